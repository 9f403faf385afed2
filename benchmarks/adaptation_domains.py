"""A domain nobody has labelled: which estimator needs the fewest labels of it?

Two shifts. `vendor`: emoji of some vendors are labelled, those of another are new (same concepts, another
hand; test concepts are in no training row). `clipart`: drawings of openclipart are labelled, emoji are new;
the classes are those that both know. Of the new domain k labels of each class are known, the rest of its
training rows are seen without labels. All estimators get the same rows; the baseline is tuned logistic
regression. One more table for each encoder: what adapted spaces still tell of classes that they have not
learnt from.

The catalogs and the encoders `catlip`, `simclr` and `clip` are those that `benchmarks/methods.py` makes (its
--out is methods/): rows are called SOURCE/..., which names their domain, and no encoder has seen a test
image; all have seen training images of all vendors, without labels. Any other model can be named too.

    OMP_NUM_THREADS=1 python benchmarks/adaptation_domains.py --emoji methods/pool \\
        --clipart methods/clipart --out adapt/ --image-size 48 --text --models lite0=local-dir:lite0 \\
        catlip=methods/seen_images/runs/catlip-resnet10t-seed_0/model

Each answered question is kept in OUT/units, so that a stopped run goes on; OUT/page.md and OUT/figure.svg are
made of all that is there. `--text` adds blocks of the column `caption_embedding` (the shift `vendor`). A
caption that holds a word of its label's name would give the label away: such rows are left out there, for
every estimator, and counted. What it leaves out: full fine-tuning, LoRA, other seeds of the encoders.
"""

import argparse
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from turns import machine

from synsight import files
from synsight.adaptation import ESTIMATORS as MADE
from synsight.adaptation import ContrastiveProjector, trials
from synsight.adaptation.gated import GatedLogistic
from synsight.adaptation.retention import retention
from synsight.adaptation.words_head import WordsHead
from synsight.data.catalog import Catalog
from synsight.evaluation import mean_over_draws
from synsight.evaluation.estimators import Answer, Estimator
from synsight.evaluation.rows import Rows, Splits, read_splits
from synsight.evaluation.scoring import Origin, score
from synsight.evaluation.shifts import Known, Shift
from synsight.evaluation.shots import few_of, gains, shots, target_only, tuned_logistic
from synsight.models import Model, embed, features_at, load
from synsight.records import Result, as_json
from synsight.workflow.adapt_fit import fit_estimator, probabilities_of

SIZES = (0, 1, 4, 16, 64)
LABEL, BASELINE = "category", "logistic"
SAME = {
    "animals": "animals-nature",
    "food": "food-drink",
    "people": "people-body",
    "signs_and_symbols": "symbols",
    "transportation": "travel-places",
    "recreation": "activities",
    "office": "objects",
    "tools": "objects",
}
"""Class of openclipart -> class of emoji; others stay away, as do emoji of no such class."""
HELD_OUT = ("food-drink", "activities")
"""Classes that no space learns from when retention is measured; their sub-classes are asked for."""
SHOWN = {
    "logistic": ("#222222", "-", "o"),
    "auto": ("#0b7285", "-", "s"),
    "projector": ("#c2410c", "--", "^"),
    "projector (paper)": ("#c2410c", ":", "v"),
    "lda": ("#5f3dc4", "-.", "D"),
    "tip-adapter": ("#868e96", "--", "x"),
    "prototypes": ("#2b8a3e", ":", "P"),
    "words, 8 a class": ("#b08900", "-", "*"),
}
"""Lines of the figure: colour, dashes, marker."""


@dataclass(frozen=True)
class Unit:
    """One number of labels of one shift with one encoder: what is kept when it is answered."""

    shift: str
    encoder: str
    size: int

    def path(self, out: Path) -> Path:
        return out / "units" / f"{self.shift}-{self.encoder}-{self.size}.json"


def main() -> None:
    arguments = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    trials.clock = time.process_time  # what else the machine does shall not change what `auto` has time for
    out: Path = arguments.out
    (out / "units").mkdir(parents=True, exist_ok=True)
    named = dict(one.split("=", 1) for one in arguments.models)
    for shift_name in filter(None, arguments.shifts.split(",")):
        for name, source in named.items():
            _answer(shift_name, name, source, arguments)
    if arguments.text:
        for name, source in named.items():
            _answer("text", name, source, arguments)
    page = _page(out, arguments)
    files.write_text(out / "page.md", page)
    print(page)


def _answer(shift_name: str, name: str, source: str, arguments: argparse.Namespace) -> None:
    """Ask what has not been answered yet of one shift and one encoder."""
    out: Path = arguments.out
    units = [Unit(shift_name, name, size) for size in SIZES]
    kept = out / "units" / f"retention-{name}.json"
    todo = [unit for unit in units if not unit.path(out).exists()]
    if not todo and (kept.exists() or shift_name != "vendor"):
        return
    model = load(source, image_size=None if Path(source).is_dir() else arguments.image_size)
    shift, widths, told = SHIFTS[shift_name](model, arguments)
    estimators = _estimators(model, widths)
    for unit in todo:
        began = time.process_time()
        answers = list(
            shots(
                shift,
                estimators,
                sizes=[unit.size],
                draws=arguments.draws,
                need_target=("logistic, new domain only",),
            )
        )
        origin = Origin(model=name, dataset=shift_name, catalog_version=0, class_names=shift.class_names)
        scored = [score(one, origin=origin, config_hash="") for one in answers]
        results = [one for some in scored for one in some.results if one.metric == "acc1"]
        predictions = pa.concat_tables([one.predictions for one in scored])
        found = [
            *mean_over_draws(results, predictions),
            *(
                one
                for one in gains(answers, against=BASELINE, origin=origin, config_hash="")
                if one.metric == "acc1_difference"
            ),
        ]
        files.write_json(unit.path(out), {"told": told, "results": [_short(one) for one in found]})
        print(f"{unit} {time.process_time() - began:.0f} s of processor time", flush=True)
    if shift_name == "vendor" and not kept.exists():
        files.write_json(kept, _retention(model, arguments))


def _short(one: Result) -> dict[str, Any]:
    """A record without what a page does not show."""
    plain = as_json(one)
    kept = ("draws", "values", "against", "p_value", "interval", "train_rows", "taken")
    return {**plain, "details": {key: plain["details"][key] for key in kept if key in plain["details"]}}


def _estimators(model: Model, widths: Sequence[int]) -> dict[str, Estimator]:
    """Name -> estimator, in the order of the table."""
    blocks = list(widths) if len(widths) > 1 else None
    found: dict[str, Estimator] = {
        BASELINE: tuned_logistic,
        "logistic, new domain only": target_only(tuned_logistic),
    }
    for name in ("knn", "prototypes", "lda", "lp++", "tip-adapter", "tip-adapter-f", "clip-adapter"):
        found[name] = _of(lambda seed, name=name: MADE[name](blocks=blocks, seed=seed))
    found["projector"] = _of(lambda seed: ContrastiveProjector(blocks=blocks, seed=seed))
    found["projector (paper)"] = _of(
        lambda seed: ContrastiveProjector(recipe="paper", blocks=blocks, seed=seed)
    )
    if model.word_head is not None and model.vocabulary is not None and blocks is None:
        head, names = model.word_head, model.vocabulary.names
        found["words, 8 a class"] = _of(lambda seed: WordsHead.of(head, names))
    if blocks is not None:
        found["gated"] = _of(lambda seed: GatedLogistic(blocks=blocks, seed=seed))
        found["logistic, image alone"] = _columns(tuned_logistic, slice(0, widths[0]))
        found["logistic, text alone"] = _columns(tuned_logistic, slice(widths[0], None))
    found["auto"] = _of(lambda seed: MADE["auto"](blocks=blocks, seed=seed))
    return found


def _of(make: Callable[[int], Any]) -> Estimator:
    """An estimator of scikit-learn's shape, as the protocol asks it."""

    def ask(problem: Any) -> Answer:
        fitted, _ = fit_estimator(make(problem.seed), problem)
        return Answer(probabilities_of(fitted, problem), {"taken": getattr(fitted, "method_", "")})

    return ask


def _columns(estimator: Estimator, columns: slice) -> Estimator:
    def ask(problem: Any) -> Answer:
        names = ("train_features", "val_features", "test_features", "unlabelled_features")
        return estimator(replace(problem, **{name: getattr(problem, name)[:, columns] for name in names}))

    return ask


# The shifts.


def _vendor(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    catalog = Catalog.open(arguments.emoji)
    splits = read_splits(catalog, LABEL)
    shift = _cut(catalog, splits, _features(model, catalog, splits), arguments)
    told = (
        f"{', '.join(arguments.old.split(','))} → {arguments.new}: {len(shift.source):,} labelled rows, "
        f"{len(shift.target):,} training and {len(shift.test):,} test rows of the new vendor, "
        f"{shift.num_classes} classes"
    )
    return shift, [model.config.embedding_dim], told


def _text(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    """Images beside captions, where the caption does not name the label."""
    catalog = Catalog.open(arguments.emoji)
    everything = read_splits(catalog, LABEL)
    parts, left_out, total = {}, 0, 0
    for name in ("train", "val", "test"):
        rows: Rows = getattr(everything, name)
        texts = catalog.take(rows.positions, [arguments.text_column])[arguments.text_column].to_pylist()
        silent = np.array(
            [
                not (_words(text) & _words(everything.class_names[label]))
                for text, label in zip(texts, rows.labels, strict=True)
            ]
        )
        left_out, total = left_out + int((~silent).sum()), total + len(rows)
        parts[name] = rows.take(silent)
    splits = replace(everything, **parts)
    images = _features(model, catalog, splits)
    vectors = [_vectors(catalog, rows) for rows in (splits.train, splits.val, splits.test)]
    both = [np.concatenate(pair, axis=1) for pair in zip(images, vectors, strict=True)]
    shift = _cut(catalog, splits, both, arguments)
    told = (
        f"images beside caption vectors, {arguments.old} → {arguments.new}: of {total:,} rows {left_out:,} "
        "stay away, as their text holds a word of their label's name; "
        f"{len(shift.source):,} labelled rows, {len(shift.test):,} test rows"
    )
    return shift, [model.config.embedding_dim, vectors[0].shape[1]], told


def _clipart(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    emoji, clipart = Catalog.open(arguments.emoji), Catalog.open(arguments.clipart)
    names = tuple(sorted(set(SAME.values())))
    new, old = read_splits(emoji, LABEL), read_splits(clipart, LABEL)
    known: dict[str, Known] = {}
    for side, catalog, splits, classes in (
        ("old", clipart, old, SAME),
        ("new", emoji, new, {name: name for name in names}),
    ):
        number = np.array([names.index(classes[one]) if one in classes else -1 for one in splits.class_names])
        features = _features(model, catalog, splits)
        for part, values in zip(("train", "val", "test"), features, strict=True):
            rows: Rows = getattr(splits, part)
            kept = number[rows.labels] >= 0
            if side == "new":
                kept &= _domains(rows) == arguments.new
            # Groups of two catalogs are of different things, whatever their numbers.
            codes = rows.group_codes + (10**6 if side == "old" else 0)
            renamed = replace(rows, labels=number[rows.labels], group_codes=codes)
            known[f"{side} {part}"] = Known(renamed, values).take(np.flatnonzero(kept))
    source = _few(known["old train"], arguments.source_labels)
    shift = Shift(
        name=arguments.new,
        label=LABEL,
        class_names=names,
        source=source,
        source_val=_few(known["old val"], arguments.source_labels),
        target=known["new train"],
        target_val=known["new val"],
        test=known["new test"],
        unlabelled=known["new train"].features[:0],
    )
    told = (
        f"openclipart → {arguments.new}: {len(source):,} labelled drawings, {len(shift.target):,} training "
        f"and {len(shift.test):,} test emoji, {len(names)} classes"
    )
    return shift, [model.config.embedding_dim], told


SHIFTS = {"vendor": _vendor, "text": _text, "clipart": _clipart}


def _cut(
    catalog: Catalog, splits: Splits, features: Sequence[np.ndarray], arguments: argparse.Namespace
) -> Shift:
    """The vendors' rows by role; of the old ones so many labels of each class."""
    old = arguments.old.split(",")
    parts = {}
    for part, values in zip(("train", "val", "test"), features, strict=True):
        rows: Rows = getattr(splits, part)
        domains = _domains(rows)
        for side, wanted in (("old", np.isin(domains, old)), ("new", domains == arguments.new)):
            parts[f"{side} {part}"] = Known(rows, values).take(np.flatnonzero(wanted))
    return Shift(
        name=arguments.new,
        label=LABEL,
        class_names=splits.class_names,
        source=_few(parts["old train"], arguments.source_labels),
        source_val=_few(parts["old val"], arguments.source_labels),
        target=parts["new train"],
        target_val=parts["new val"],
        test=parts["new test"],
        unlabelled=parts["new train"].features[:0],
    )


def _few(known: Known, per_class: int) -> Known:
    return known.take(few_of(known.rows.labels, per_class=per_class, seed=0))


def _features(model: Model, catalog: Catalog, splits: Splits) -> list[np.ndarray]:
    """Of train, val and test; the catalog keeps them."""
    positions = [rows.positions for rows in (splits.train, splits.val, splits.test)]
    embed(model, catalog, progress=False)
    return features_at(model, catalog, positions, progress=False)


def _vectors(catalog: Catalog, rows: Rows) -> np.ndarray:
    found = catalog.take(rows.positions, ["caption_embedding"])["caption_embedding"].combine_chunks()
    return found.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1).astype(np.float32)


def _domains(rows: Rows) -> np.ndarray:
    """What stands before the first slash of an id."""
    return np.array([one.split("/", 1)[0] for one in rows.ids], dtype=object)


def _words(text: str | None) -> set[str]:
    """Lower case, letters only, a final s less: `animals-nature` holds `animal` and `nature`."""
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", (text or "").lower())}


# Retention.


def _retention(model: Model, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Episodes over sub-classes of classes that were held out, in the frozen and in the adapted space."""
    catalog = Catalog.open(arguments.emoji)
    splits = read_splits(catalog, LABEL)
    train, _, test = _features(model, catalog, splits)
    away = np.isin(np.array(splits.class_names, object), HELD_OUT)
    learnt = ~away[splits.train.labels]
    asked = away[splits.test.labels]
    finer = catalog.take(splits.test.positions[asked], ["subcategory"])["subcategory"]
    names = np.array([f"sub {one}" for one in pc.fill_null(finer, "").to_pylist()])
    found = []
    for name, make in (
        ("projector", lambda seed: ContrastiveProjector(seed=seed, validated=False)),
        ("projector, chosen", lambda seed: ContrastiveProjector(seed=seed)),
        (
            "projector, no pull to the identity",
            lambda seed: ContrastiveProjector(seed=seed, validated=False, identity=0),
        ),
        ("projector (paper)", lambda seed: ContrastiveProjector(recipe="paper", seed=seed)),
        ("clip-adapter", lambda seed: MADE["clip-adapter"](seed=seed)),
    ):
        before, after = [], []
        for seed in range(arguments.draws):
            rows = few_of(splits.train.labels[learnt], per_class=arguments.source_labels, seed=seed)
            labels = np.array(splits.class_names)[splits.train.labels[learnt][rows]]
            fitted = make(seed).fit(
                train[learnt][rows], labels, groups=splits.train.group_codes[learnt][rows]
            )
            kept = retention(fitted, test[asked], names, episodes=200, seed=seed)
            before.append(kept.frozen.acc1)
            after.append(kept.adapted.acc1)
        found.append({"name": name, "before": before, "after": after})
    return found


# The page.


def _page(out: Path, arguments: argparse.Namespace) -> str:
    told, results = {}, []
    for path in sorted((out / "units").glob("*.json")):
        if path.name.startswith("retention"):
            continue
        found = json.loads(path.read_text())
        told[found["results"][0]["dataset"]] = found["told"]
        results += [Result(**one) for one in found["results"]]
    lines = [
        machine("synsight", "torch", "scikit-learn", threads=1),
        "",
        f"Of the old domain {arguments.source_labels} labels of each class are known, of the new one k; "
        f"{arguments.draws} draws. Mean accuracy over the draws; in brackets the 95% interval that draws the "
        "test groups again. Bold: better than logistic regression by more than the interval of the paired "
        "difference; struck through: worse.",
        "",
    ]
    for shift, encoder in dict.fromkeys((one.dataset, one.model) for one in results):
        mine = [one for one in results if (one.dataset, one.model) == (shift, encoder)]
        lines += [f"### {shift}, {encoder}", "", told[shift] + ".", "", *_table(mine), ""]
    lines += _retention_lines(out)
    _figure(results, out / "figure.svg")
    return "\n".join(lines)


def _table(results: Sequence[Result]) -> Iterator[str]:
    sizes = sorted({one.n_labels for one in results})
    yield "| | " + " | ".join(f"k = {size}" for size in sizes) + " | seconds a fit, k = 16 |"
    yield "|---|" + "--:|" * (len(sizes) + 1)
    baseline = next(one.baseline for one in results if one.metric == "acc1")
    yield f"| most frequent class | {' | '.join([f'{baseline:.3f}'] * len(sizes))} | |"
    values = {(one.task, one.n_labels): one for one in results if one.metric == "acc1"}
    gained = {(one.task, one.n_labels): one for one in results if one.metric == "acc1_difference"}
    for name in dict.fromkeys(task for task, _ in values):
        cells = [_cell(values.get((name, size)), gained.get((name, size))) for size in sizes]
        timed = values.get((name, 16))
        seconds = "" if timed is None else f"{timed.seconds / timed.details.get('draws', 1):.2f}"
        yield f"| {name} | " + " | ".join(cells) + f" | {seconds} |"


def _cell(one: Result | None, gain: Result | None) -> str:
    if one is None:
        return ""
    text = f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]"
    if gain is not None and gain.ci_low is not None and gain.ci_low > 0:
        return f"**{text}**"
    if gain is not None and gain.ci_high is not None and gain.ci_high < 0:
        return f"~~{text}~~"
    return text


def _retention_lines(out: Path) -> list[str]:
    found = {
        path.stem.split("-", 1)[1]: json.loads(path.read_text())
        for path in (out / "units").glob("retention-*")
    }
    if not found:
        return []
    lines = [
        "### What the adapted space still tells of classes it has not learnt from",
        "",
        f"Adapted without {' and '.join(HELD_OUT)}; then 5-way 5-shot episodes over their sub-classes, "
        "nearest class mean. Means over the draws; in brackets the lowest and the highest change of a draw.",
        "",
        "| encoder | space | frozen | adapted | change |",
        "|---|---|--:|--:|--:|",
    ]
    for encoder, rows in sorted(found.items()):
        for row in rows:
            before, after = np.array(row["before"]), np.array(row["after"])
            change = after - before
            lines.append(
                f"| {encoder} | {row['name']} | {before.mean():.3f} | {after.mean():.3f} | "
                f"{change.mean():+.3f} [{change.min():+.3f}, {change.max():+.3f}] |"
            )
    return [*lines, ""]


def _figure(results: Sequence[Result], path: Path) -> None:
    """Accuracy over labels of the new domain, a panel for each shift and encoder; the band is the baseline's
    interval.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys((one.dataset, one.model) for one in results))
    if not panels:
        return
    matplotlib.rcParams["svg.hashsalt"] = "adaptation"
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False)
    for panel, (shift, encoder) in zip(axes.flat, panels, strict=False):
        _draw(panel, [one for one in results if (one.dataset, one.model) == (shift, encoder)])
        panel.set_title(f"{shift}, {encoder}", fontsize=10)
    for panel in axes.flat[len(panels) :]:
        panel.set_visible(False)
    named = {
        text: line
        for panel in axes.flat
        for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.legend(
        named.values(), named.keys(), ncols=len(named), fontsize=8, frameon=False, loc="lower center"
    )
    figure.savefig(path, metadata={"Date": None})


def _draw(panel: Any, results: Sequence[Result]) -> None:
    sizes = sorted({one.n_labels for one in results if one.n_labels is not None})
    values: Mapping[tuple[str, int | None], Result] = {
        (one.task, one.n_labels): one for one in results if one.metric == "acc1"
    }
    for name, (colour, dashes, marker) in SHOWN.items():
        line = [values[name, size] for size in sizes if (name, size) in values]
        if not line:
            continue
        places = [sizes.index(one.n_labels or 0) for one in line]
        panel.plot(
            places,
            [one.value for one in line],
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=4,
            linewidth=1.3,
            label=name,
        )
        if name == BASELINE:
            ends = [[getattr(one, end) for one in line] for end in ("ci_low", "ci_high")]
            panel.fill_between(places, *ends, color=colour, alpha=0.12, linewidth=0)
    panel.axhline(
        next(one.baseline for one in results if one.metric == "acc1"), color="#999999", linewidth=0.8
    )
    panel.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    panel.set_xlabel("labels of each class, new domain", fontsize=8)
    panel.set_ylabel("accuracy", fontsize=8)
    panel.tick_params(labelsize=8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--emoji", type=Path, required=True, help="catalog of all vendors")
    parser.add_argument("--clipart", type=Path, help="catalog of openclipart, for the shift `clipart`")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=MODEL")
    parser.add_argument("--image-size", type=int, help="input side of models that are no folder")
    parser.add_argument("--old", default="emoji-google,emoji-twitter")
    parser.add_argument("--new", default="vemoji-fluent-emoji")
    parser.add_argument("--shifts", default="vendor,clipart", help="'': none")
    parser.add_argument("--text", action="store_true", help="also images beside caption vectors")
    parser.add_argument("--text-column", default="text", help="what the caption vectors are of")
    parser.add_argument("--source-labels", type=int, default=16, help="of each class of the old domain")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
