"""How often does `monitor` ring where nothing has changed, and how often where drift was planted?

    python benchmarks/drift.py [--data emoji clipart FILE.parquet ...] [--model FOLDER] [--runs 200]
        [--planted-runs 75] [--planted none "class mix" ...] [--only emoji:google ...] [--rows 500,300]
        [--exchanges 199] [--domain-column domain] [--out drift.md]

A FILE.parquet has the columns `image`, `category` and, where there are some, `group` and `domain`.

Each run draws groups anew: those of the reference and those of the current side never meet, but for
`new domain`, which comes from the next data set. Images are altered before they are encoded, features are
computed once for each alteration, and then `find_drift` judges as the verb does: features, words, class
probabilities and image measures, one verdict. Beside it: how often any word was named, how often the
accuracy was estimated, and how far it then was from the true one (a probe, fitted on groups that no run
draws, answers as the model). `true labels` is what nobody has: the same test on the classes themselves.

Intervals of shares are Clopper and Pearson's, 95%. Left out: real cameras, and drift that grows slowly.
"""

import argparse
import io
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import beta

import synsight
import synsight.data
from synsight.data.corrupting import corrupt
from synsight.data.images import decode_image
from synsight.deployment import label_shift
from synsight.deployment.monitoring import Columns, Evidence, Predicted, find_drift
from synsight.deployment.watched_rows import WatchedRows, joint_codes
from synsight.deployment.word_drift import SeenWords, word_probabilities
from synsight.metrics import fit_few_labels
from synsight.metrics.exchanges import draw_exchanges
from synsight.metrics.mean_differences import largest_difference
from synsight.models.saved import Model
from synsight.reports.drift_records import DriftSummary, SampleFacts
from synsight.seeding import generator
from synsight.workflow.watched_quality import look, measures

SAMPLES = Path(synsight.data.__file__).parent / "sample_files"
PROBE_ROWS = 400
POOL_ROWS = 1300
ALPHA = 0.03
Pixels = NDArray[np.uint8]


def blurred(pixels: Pixels) -> Pixels:
    """By 2 pixels."""
    return np.rint(gaussian_filter(pixels.astype(float), (2, 2, 0), mode="nearest")).astype(np.uint8)


def dimmed(pixels: Pixels) -> Pixels:
    """Brightness less 40%."""
    return np.rint(pixels * 0.6).astype(np.uint8)


def cropped(pixels: Pixels) -> Pixels:
    """A new camera: 80% of the side, off the middle."""
    height, width = pixels.shape[:2]
    box = (0.05 * width, 0.15 * height, 0.85 * width, 0.95 * height)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box))


def noisy(pixels: Pixels) -> Pixels:
    """ImageNet-C's Gaussian noise, severity 1."""
    return corrupt(pixels, "gaussian_noise", severity=1, rng=generator("noise", pixels.shape))


ALTERATIONS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "blur 2 px": blurred,
    "brightness -40%": dimmed,
    "new camera crop": cropped,
    "noise": noisy,
}


@dataclass(frozen=True, eq=False)
class Look:
    """A pool as a model sees it."""

    features: NDArray[np.float32]
    words: NDArray[np.float32] | None
    measures: pa.Table
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows of a data set that runs draw from."""

    name: str
    groups: NDArray[np.object_]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    looks: Mapping[str, Look]


def tables(names: Sequence[str], rows: int, seed: int, column: str) -> list[tuple[str, pa.Table]]:
    """Data sets by domain, rows drawn by whole groups; the same groups in every domain."""
    found = []
    for name in names:
        path = SAMPLES / f"{name}.parquet"
        table = pq.read_table(path if path.exists() else name)
        table = table.filter(pa.array([one not in (None, "") for one in table["category"].to_pylist()]))
        domains = table[column].to_pylist() if column in table.column_names else [""] * len(table)
        for domain in dict.fromkeys(domains):
            part = table.filter(pa.array([one == domain for one in domains]))
            groups = part["group" if "group" in part.column_names else "id"].to_pylist()
            keys = [generator(seed, "rows", one).random() for one in groups]
            chosen = np.sort(np.argsort(keys, kind="stable")[:rows])
            title = Path(name).stem + (f":{domain}" if domain and len(set(domains)) > 1 else "")
            found.append((title, part.take(pa.array(chosen))))
    return found


def encoded(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pool_of(name: str, table: pa.Table, model: Model, seed: int, *, altered: bool) -> Pool:
    """Features of the table, under every alteration if `altered`, and a probe's answers."""
    groups = np.array(
        [str(one) for one in table["group" if "group" in table.column_names else "id"].to_pylist()], object
    )
    class_names, labels = np.unique(table["category"].to_pylist(), return_inverse=True)
    originals = [np.asarray(decode_image(one).convert("RGB")) for one in table["image"].to_pylist()]
    order = np.array([generator(seed, "probe", one).random() for one in groups])
    asked = order >= np.sort(order)[min(PROBE_ROWS, len(order) // 3)]

    def seen(alter: Callable[[Pixels], Pixels] | None) -> tuple[NDArray[np.float32], pa.Table]:
        images = [encoded(one if alter is None else alter(one)) for one in originals]
        return model.embed(images).astype(np.float16).astype(np.float32), look(images)

    clean = seen(None)
    codes = np.unique(groups, return_inverse=True)[1]
    probe = fit_few_labels(clean[0][~asked], labels[~asked], codes[~asked], num_classes=len(class_names))
    looks = {}
    for title, alter in {"": None, **(ALTERATIONS if altered else {})}.items():
        features, measured = clean if alter is None else seen(alter)
        features, measured = features[asked], measured.filter(pa.array(asked))
        words = word_probabilities(model, features) if model.word_head is not None else None
        looks[title] = Look(features, words, measured, probe.probabilities(features))
    return Pool(name, groups[asked], labels[asked], tuple(class_names.tolist()), looks)


def side(
    pool: Pool, look_at: Look, rows: NDArray[np.int64], *, shift: NDArray[np.float32] | None = None
) -> WatchedRows:
    features = look_at.features[rows]
    return WatchedRows(
        facts=SampleFacts(
            catalog=pool.name,
            version=1,
            where=None,
            rows=len(rows),
            looked_at=len(rows),
            groups=len(set(pool.groups[rows])),
        ),
        positions=rows,
        ids=np.array([f"{pool.name} {one}" for one in rows], object),
        groups=pool.groups[rows],
        features=features if shift is None else features + shift,
        labels=np.full(len(rows), None, object),
        moments=np.full(len(rows), None, object),
        measures=look_at.measures.take(pa.array(rows)),
    )


def drawn(
    pool: Pool, rows: tuple[int, int], rng: np.random.Generator, *, mixed: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of two sides without a common group; `mixed`: the second has the largest class twice as often."""
    names, codes = np.unique(pool.groups.astype(str), return_inverse=True)
    order = rng.permutation(len(names))[codes]
    ranked = np.argsort(order, kind="stable")
    first, rest = ranked[: rows[0]], ranked[rows[0] :]
    rest = rest[~np.isin(codes[rest], codes[first])]
    if not mixed:
        return np.sort(first), np.sort(rest[: rows[1]])
    top = pool.labels[rest] == np.bincount(pool.labels).argmax()
    share = min(0.95, 2 * float(top.mean()))
    size = min(rows[1], int(top.sum() / share))
    many = round(share * size)
    return np.sort(first), np.sort(np.concatenate([rest[top][:many], rest[~top][: size - many]]))


@dataclass(frozen=True)
class Judged:
    """What one run found."""

    summary: DriftSummary
    error: float | None
    """Estimated accuracy less the true one; None: no estimate."""
    by_labels: bool | None
    """Whether the test on the true labels is at most alpha; None: there are none."""


def judged(
    pool: Pool,
    reference: NDArray[np.int64],
    current: NDArray[np.int64],
    *,
    altered: str = "",
    other: Pool | None = None,
    shift: NDArray[np.float32] | None = None,
    words: Sequence[str],
    exchanges: int,
    seed: int,
) -> Judged:
    """One run."""
    now = other or pool
    before, after = pool.looks[""], now.looks[altered]
    sides = side(pool, before, reference), side(now, after, current, shift=shift)
    seen = None
    if before.words is not None and after.words is not None and shift is None:
        seen = SeenWords(tuple(words), before.words[reference], after.words[current], "model")
    predicted, truth, by_labels = None, float("nan"), None
    if other is None and shift is None:
        predicted = Predicted(
            pool.class_names,
            before.probabilities[reference],
            after.probabilities[current],
            pool.labels[reference],
            "model",
        )
        truth = float((after.probabilities[current].argmax(axis=1) == pool.labels[current]).mean())
        dealt = draw_exchanges(*joint_codes(*sides), exchanges=exchanges, seed=seed)
        labels = np.eye(len(pool.class_names), dtype=np.float32)[
            pool.labels[np.concatenate([reference, current])]
        ]
        by_labels = largest_difference(labels, dealt).p_value <= ALPHA
    measured: Columns | None = None if shift is not None else measures(*sides)
    found = find_drift(
        *sides,
        Evidence(seen, predicted, measured, None),
        model="m",
        alpha=ALPHA,
        exchanges=exchanges,
        seed=seed,
    )
    accuracy = found.summary.accuracy
    told = accuracy is not None and accuracy.value is not None
    return Judged(found.summary, accuracy.value - truth if told else None, by_labels)


def share_text(hits: int, runs: int) -> str:
    """As "4.5% (2.1 to 8.4)"."""
    low = beta.ppf(0.025, hits, runs - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, runs - hits) if hits < runs else 1.0
    return f"{100 * hits / runs:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["emoji", "clipart"])
    parser.add_argument("--domain-column", default="domain", help="'': a file is one domain")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--planted-runs", type=int, default=75)
    parser.add_argument("--planted", nargs="+", default=[], help="plant only these, as none")
    parser.add_argument("--rows", default="500,300")
    parser.add_argument("--exchanges", type=int, default=199)
    parser.add_argument("--only", nargs="+", default=[], help="judge only these, as emoji:google")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    label_shift.RESAMPLES = 8  # intervals of class shares, of which nothing is said here
    rows = tuple(int(one) for one in options.rows.split(","))
    model = synsight.load(options.model) if options.model else trained()
    words = model.vocabulary.names if model.vocabulary is not None else []
    found = tables(options.data, POOL_ROWS, 0, options.domain_column)
    chosen = {name: other for (name, _), (other, _) in zip(found, [*found[1:], found[0]], strict=True)}
    if options.only:
        chosen = {name: chosen[name] for name in options.only}
    pools = {
        name: pool_of(name, table, model, 0, altered=name in chosen)
        for name, table in found
        if name in {*chosen, *chosen.values()}
    }
    lines = [
        "| data | planted | runs | `drift` | `watch` or `drift` "
        "| MMD | energy | classifier | words | classes | measures | true labels | median AUC "
        "| runs that name a word | accuracy estimated | mean error, 95% within (points) | s a run |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    print(*lines, sep="\n", flush=True)
    for name, after in chosen.items():
        pool, other = pools[name], pools[after]
        spread = pool.looks[""].features.std(axis=0)
        rng = generator("direction", pool.name)
        some = (rng.random(len(spread)) < 1 / 8).astype(np.float32)
        conditions: dict[str, dict] = {
            "none": {},
            **{name: {"altered": name} for name in ALTERATIONS},
            "class mix": {"mixed": True},
            f"new domain ({other.name})": {"other": other},
            "0.3 sd in every dimension": {"shift": 0.3 * spread},
            "0.3 sd in an eighth of them": {"shift": 0.3 * spread * some},
        }
        for title, planted in conditions.items():
            if options.planted and title not in options.planted:
                continue
            runs = options.runs if title == "none" else options.planted_runs
            found_in, began = [], time.process_time()
            for run in range(runs):
                rng = generator("run", pool.name, run)
                first, second = drawn(pool, rows, rng, mixed=planted.get("mixed", False))
                if "other" in planted:
                    second = np.sort(rng.permutation(len(other.groups))[: rows[1]])
                rest = {key: value for key, value in planted.items() if key != "mixed"}
                found_in.append(
                    judged(pool, first, second, **rest, words=words, exchanges=options.exchanges, seed=run)
                )
            lines.append(row_text(pool.name, title, found_in, (time.process_time() - began) / runs))
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{model.name}, {rows[0]} reference and {rows[1]} current rows, {options.exchanges} exchanges, "
        f"alpha {ALPHA}; {platform.machine()}, one thread, Python {platform.python_version()}, torch "
        f"{torch.__version__}, numpy {np.__version__}.",
    ]
    print(lines[-1])
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def row_text(name: str, title: str, found: Sequence[Judged], seconds: float) -> str:
    summaries, runs = [one.summary for one in found], len(found)
    cells = [name, title, str(runs)]
    cells.append(share_text(sum(one.verdict == "drift" for one in summaries), runs))
    cells.append(percent(one.verdict != "none" for one in summaries))
    for test in ("mmd", "energy", "classifier", "words", "labels", "quality"):
        cells.append(
            percent(one.p_value <= ALPHA for all_ in summaries for one in all_.tests if one.name == test)
        )
    cells.append(percent(one.by_labels for one in found if one.by_labels is not None))
    cells.append(f"{median(one.auc for one in summaries):.2f}")
    cells.append(percent(bool(one.words) for one in summaries))
    asked = [one for one in found if one.summary.accuracy is not None]
    cells.append(percent(one.error is not None for one in asked))
    known = np.array([one.error for one in asked if one.error is not None])
    cells.append(
        f"{100 * known.mean():+.1f}, {100 * np.quantile(np.abs(known), 0.95):.1f}" if len(known) else ""
    )
    return "| " + " | ".join([*cells, f"{seconds:.2f}"]) + " |"


def percent(hits: Iterable[bool]) -> str:
    """As "12%"; "" of nothing."""
    every = list(hits)
    return f"{100 * fmean(every):.0f}%" if every else ""


def trained() -> Model:
    """A small CatLIP model of the shipped emoji, trained for a minute or two."""
    folder = Path(tempfile.mkdtemp())
    synsight.sample("emoji", out=folder / "cat")
    synsight.words(folder / "cat", text_columns=("caption", "keywords"))
    run = folder / "run"
    from synsight.cli import main as program

    arguments = [
        "pretrain",
        "catlip",
        "--data",
        str(folder / "cat"),
        "--out",
        str(run),
        "--encoder",
        "resnet10t",
    ]
    arguments += ["--image-size", "48", "--epochs", "4", "--batch-size", "128"]
    if program(arguments):
        raise SystemExit("the training failed")
    return synsight.load(run / "model")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
