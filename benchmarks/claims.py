"""What the papers claim, asked again of one encoder on images anyone can get.

    python benchmarks/claims.py --data DIR --pool emoji-google,emoji-twitter,vemoji-fluent-emoji,\\
vemoji-fluent-emoji-flat --out claims/ [--reference local-dir:lite0]

Every run begins from random weights unless it says otherwise, and trains on the same rows; every model is
judged frozen on test concepts nobody trained on. Asked are

    labels      SimCLR's pretraining, then fine-tuning on few labels, against supervised training on them
    language    LGSimCLR against SimCLR: few-shot up, linear probe not
    width       the same with features of 2048 numbers in place of 512
    stopping    LGSimCLR four times as long: the last weights against those at the monitor's peak
    time        CatLIP against CLIP at equal and at 1/2.7 of the time, on clean captions and with half damaged
    start       Transfer Init against random rows, converged and after a fixed number of steps

Time is counted in steps times the measured cost of a step (both methods in turns, several times), so that
another job on the machine does not shorten one of the runs. Differences are paired by test row, their 95%
intervals draw the test groups again and count the training seeds. Stopped at any moment, the same command
goes on where it was.

What it leaves out: other encoders and sizes, tuning of any recipe, runs of more than two minutes.
"""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from damage import damage_captions
from turns import machine

from synsight import evaluate, files, words
from synsight.data.ingestion import ingest
from synsight.evaluation import read_predictions, read_results
from synsight.evaluation.comparison import paired_differences
from synsight.evaluation.storage import PREDICTIONS
from synsight.finetuning import finetune
from synsight.recipes import pretrain
from synsight.records import Result

TEXT = "text"
WIDE = {"encoder": "resnet14t"}
"""As deep as resnet10t, with bottlenecks: 2048 features in place of 512."""
PAPER_SHARE = 1 / 2.7
"""Of CLIP's time that CatLIP needed in its paper."""
DRAWS = 3
QUESTIONS = (("knn", None), ("linear", None), ("fewshot", 10), ("episodes", 5))
FEW = (5, 50)
"""Labels a class of the fine-tuning: about 1% and 10% of the rows."""
DAMAGED = "half damaged"


@dataclass(frozen=True)
class Arm:
    """One way of pretraining."""

    name: str
    recipe: str
    steps: int
    damaged: bool = False
    changes: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    arguments = _arguments()
    catalogs = {False: _catalog(arguments, 0.0), True: _catalog(arguments, 0.5)}
    ratio = _step_ratio(arguments, catalogs[False])
    arms = _arms(arguments, ratio)
    for seed in range(arguments.seeds):
        for arm in arms:
            _judged(arguments, arm, catalogs, seed)
        _finetuned(arguments, catalogs[False], seed)
    if arguments.reference:
        _reference(arguments, catalogs[False])
    page = "\n".join(_page(arguments, arms, ratio))
    files.write_text(arguments.out / "claims.md", page)
    print(page)


def _arms(arguments: argparse.Namespace, ratio: float) -> list[Arm]:
    steps = arguments.steps
    equal = round(arguments.clip_steps * ratio)
    stopped, unwatched = {"stopping.enabled": True}, {"monitor.metric": "none"}
    arms = [
        Arm("simclr", "simclr", steps),
        Arm("lgsimclr", "lgsimclr", steps),
        Arm("simclr, 2048", "simclr", steps, changes=WIDE),
        Arm("lgsimclr, 2048", "lgsimclr", steps, changes=WIDE),
        Arm("lgsimclr, long, peak", "lgsimclr", 4 * steps, changes=stopped),
        Arm("lgsimclr, long, last", "lgsimclr", 4 * steps, changes=unwatched | {"stopping.enabled": False}),
    ]
    for damaged in (False, True):
        told = f", {DAMAGED}" if damaged else ""
        arms += [
            Arm(f"clip{told}", "clip", arguments.clip_steps, damaged),
            Arm(f"catlip, equal time{told}", "catlip", equal, damaged),
            Arm(f"catlip, 1/2.7 of the time{told}", "catlip", round(equal * PAPER_SHARE), damaged),
        ]
    return arms


def _catalog(arguments: argparse.Namespace, damage: float) -> Path:
    """The pool, with words, caption vectors and neighbours of one text column; perhaps with damaged texts."""
    path: Path = arguments.out / "catalogs" / ("damaged" if damage else "clean")
    if not path.exists():
        parts = [_rows(arguments.data, name) for name in arguments.pool.split(",")]
        table = pa.concat_tables(parts)
        if damage:
            table = _damaged(table, damage)
        texts = [
            ", ".join([caption or "", *(keywords or [])])
            for caption, keywords in zip(
                table["caption"].to_pylist(), table["keywords"].to_pylist(), strict=True
            )
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        source = path.with_suffix(".parquet")
        pq.write_table(table.append_column(TEXT, pa.array(texts)), source)
        ingest(source, out=path, label_column=arguments.labels.split(",")[0])
        source.unlink()
    words(path, text_columns=(TEXT,), caption_encoder="minilm", neighbours=8)
    return path


def _rows(folder: Path, name: str) -> pa.Table:
    kept = ["id", "image", "caption", "keywords", "category", "subcategory", "group", "split"]
    table = pq.read_table(folder / f"{name}.parquet", columns=kept)
    return table.set_column(0, "id", pa.array([f"{name}/{one}" for one in table["id"].to_pylist()]))


def _damaged(table: pa.Table, share: float) -> pa.Table:
    """Half of the hit rows get the text of another row, half lose most of theirs."""
    chosen = np.random.default_rng(0).permutation(table.num_rows)[: round(share * table.num_rows)]
    for kind, rows in zip(("shuffled", "truncated"), np.array_split(chosen, 2), strict=True):
        mask = np.zeros(table.num_rows, bool)
        mask[rows] = True
        whole = damage_captions(table, kind=kind, share=1.0, columns=("caption", "keywords"))
        for column in ("caption", "keywords"):
            place = table.schema.get_field_index(column)
            mixed = pc.if_else(pa.array(mask), whole[column].combine_chunks(), table[column].combine_chunks())
            table = table.set_column(place, column, mixed)
    return table


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    changes = dict(change.split("=", 1) for change in arguments.set)
    return {"label": arguments.labels.split(",")[0], "text_column": TEXT, **changes}


def _step_ratio(arguments: argparse.Namespace, catalog: Path) -> float:
    """CLIP's step over CatLIP's: measured in turns, the median."""
    kept = arguments.out / "step_ratio.json"
    if not kept.exists():
        ratios = []
        for _ in range(5):
            pace = [
                pretrain(
                    recipe, data=catalog, dry_run=True, **_settings(arguments), steps=100
                ).seconds_per_step
                for recipe in ("clip", "catlip")
            ]
            ratios.append(pace[0] / pace[1])
        files.write_json(kept, sorted(ratios))
    return float(statistics.median(files.read_json(kept)))


def _judged(arguments: argparse.Namespace, arm: Arm, catalogs: dict[bool, Path], seed: int) -> None:
    folder = arguments.out / "runs" / arm.name.replace("/", "_of_").replace(", ", "_").replace(" ", "_")
    settings = _settings(arguments) | {"seed": seed, "steps": arm.steps} | arm.changes
    data = catalogs[arm.damaged]
    summary = pretrain(arm.recipe, data=data, out=folder / f"run_{seed}", resume=True, **settings)
    # Images and labels are those of the clean catalog; the damaged one holds the same.
    for label in arguments.labels.split(","):
        _evaluated(
            arguments, summary.model, arm.name, catalogs[False], label, folder / f"{label}_{seed}", seed
        )
    if arm.name == "catlip, equal time" and not (folder / f"start_{seed}" / "results.json").exists():
        evaluate(
            [summary.model],
            data=catalogs[False],
            label=arguments.labels.split(",")[0],
            tasks=["start"],
            labels_per_class=[1, 5, 10],
            draws=DRAWS,
            seed=DRAWS * seed,
            out=folder / f"start_{seed}",
            names={summary.model: arm.name},
            check_copies=False,
        )


def _evaluated(
    arguments: argparse.Namespace,
    model: str,
    name: str,
    catalog: Path,
    label: str,
    out: Path,
    seed: int,
    image_size: int | None = None,
) -> None:
    if not (out / "results.json").exists():
        evaluate(
            [model],
            data=catalog,
            label=label,
            tasks=["knn", "linear", "fewshot", "episodes"],
            labels_per_class=[10],
            draws=DRAWS,
            seed=DRAWS * seed,
            out=out,
            names={model: name},
            image_size=image_size,
            check_copies=False,
        )


def _reference(arguments: argparse.Namespace, catalog: Path) -> None:
    size = int(_settings(arguments)["image_size"])
    for label in arguments.labels.split(","):
        for side in (size, arguments.reference_size):
            name = f"reference, {side} px"
            out = arguments.out / "runs" / f"reference_{side}" / f"{label}_0"
            _evaluated(arguments, arguments.reference, name, catalog, label, out, 0, image_size=side)


def _starts(arguments: argparse.Namespace, seed: int) -> Iterator[tuple[str, str, str]]:
    """(name, model, start of the classifier) of what is fine-tuned."""
    encoder = str(_settings(arguments).get("encoder", "resnet10t"))
    yield "from scratch", f"random:{encoder}", "random"
    for name, folder in (("simclr", "simclr"), ("catlip", "catlip_equal_time")):
        yield name, str(arguments.out / "runs" / folder / f"run_{seed}" / "model"), "probe"
    if arguments.reference:
        yield "reference", arguments.reference, "probe"


def _finetuned(arguments: argparse.Namespace, catalog: Path, seed: int) -> None:
    size = int(_settings(arguments)["image_size"])
    for name, model, head in _starts(arguments, seed):
        for labels in FEW:
            out = arguments.out / "finetuned" / f"{name.replace(' ', '_')}_{labels}_{seed}"
            if (out / "results.json").exists():
                continue
            finetune(
                model,
                data=catalog,
                label=arguments.labels.split(",")[0],
                out=out,
                labels_per_class=labels,
                draws=1,
                steps=arguments.finetune_steps,
                seed=seed,
                start_head=head,
                name=name,
                image_size=None if Path(model).is_dir() else size,
            )


def _page(arguments: argparse.Namespace, arms: list[Arm], ratio: float) -> Iterator[str]:
    yield machine("synsight", "torch", "timm", threads=_threads())
    spread = files.read_json(arguments.out / "step_ratio.json")
    yield ""
    yield (
        f"{arguments.seeds} training seeds; CLIP's step costs {ratio:.2f} of CatLIP's "
        f"({spread[0]:.2f} to {spread[-1]:.2f})."
    )
    reference = [f"reference, {side} px" for side in _sides(arguments)] if arguments.reference else []
    for label in arguments.labels.split(","):
        names = [*(arm.name for arm in arms), *reference]
        yield from _table(arguments, names, label, {arm.name: arm.steps for arm in arms})
    yield from _finetuned_table(arguments)
    yield from _start_table(arguments)
    yield from ("", "## Differences", "", "| question | first minus second | task | difference | p |")
    yield "|---|---|---|--:|--:|"
    for first, second in PAIRS:
        for label in arguments.labels.split(","):
            for task, n_labels in QUESTIONS[:-1]:
                sides = (_answers(arguments, one, label, task, n_labels) for one in (first, second))
                yield _difference(label, f"{first} minus {second}", task, *sides)
            yield _episodes(arguments, label, first, second)
    for labels in FEW:
        for first in ("simclr", "catlip", *(["reference"] if arguments.reference else [])):
            sides = (_finetuned_answers(arguments, one, labels) for one in (first, "from scratch"))
            label = arguments.labels.split(",")[0]
            pair, task = f"{first}, fine-tuned, minus from scratch", f"{labels} labels a class"
            yield _difference(label, pair, task, *sides, stride=1)


PAIRS = (
    ("lgsimclr", "simclr"),
    ("simclr, 2048", "simclr"),
    ("lgsimclr, 2048", "lgsimclr"),
    ("lgsimclr, long, peak", "lgsimclr, long, last"),
    ("lgsimclr, long, last", "lgsimclr"),
    ("catlip, equal time", "clip"),
    ("catlip, 1/2.7 of the time", "clip"),
    (f"catlip, equal time, {DAMAGED}", f"clip, {DAMAGED}"),
    (f"catlip, 1/2.7 of the time, {DAMAGED}", f"clip, {DAMAGED}"),
    (f"catlip, equal time, {DAMAGED}", "catlip, equal time"),
    (f"clip, {DAMAGED}", "clip"),
)
"""Arms that are compared."""


def _difference(
    label: str, pair: str, task: str, ours: pa.Table, theirs: pa.Table, stride: int = DRAWS
) -> str:
    found = paired_differences(ours, theirs, stride=stride)
    cell = f"{found.value:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"
    return f"| {label} | {pair} | {task} | {cell} | {found.p_value:.3f} |"


def _episodes(arguments: argparse.Namespace, label: str, first: str, second: str) -> str:
    """Episodes leave no predictions by row: the differences of the training seeds stand for themselves."""
    ours, theirs = (
        [one.value for one in _results(arguments, name, label) if one.task == "episodes"]
        for name in (first, second)
    )
    gains = [one - other for one, other in zip(ours, theirs, strict=True)]
    cell = f"{statistics.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f})"
    return f"| {label} | {first} minus {second} | episodes | {cell} | |"


def _folder(arguments: argparse.Namespace, name: str) -> Path:
    if name.startswith("reference"):
        return arguments.out / "runs" / name.replace(", ", "_").removesuffix(" px")
    return arguments.out / "runs" / name.replace("/", "_of_").replace(", ", "_").replace(" ", "_")


def _answers(
    arguments: argparse.Namespace, name: str, label: str, task: str, n_labels: int | None
) -> pa.Table:
    tables = [read_predictions(one) for one in sorted(_folder(arguments, name).glob(f"{label}_[0-9]*"))]
    joined = pa.concat_tables(tables) if tables else PREDICTIONS.empty_table()
    chosen = pc.equal(joined["task"], task)
    if n_labels is not None:
        chosen = pc.and_(chosen, pc.equal(joined["n_labels"], n_labels))
    return joined.filter(chosen)


def _results(arguments: argparse.Namespace, name: str, label: str) -> list[Result]:
    folders = sorted(_folder(arguments, name).glob(f"{label}_[0-9]*"))
    return [one for folder in folders for one in read_results(folder) if one.metric == "acc1"]


def _finetuned_answers(arguments: argparse.Namespace, name: str, labels: int) -> pa.Table:
    folders = sorted((arguments.out / "finetuned").glob(f"{name.replace(' ', '_')}_{labels}_[0-9]*"))
    return pa.concat_tables([read_predictions(one) for one in folders])


def _table(
    arguments: argparse.Namespace, names: list[str], label: str, steps: dict[str, int]
) -> Iterator[str]:
    yield from ("", f"## Frozen features: {label}", "")
    yield "| | steps | k-NN | linear | 10 labels a class | 5-way 5-shot |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in names:
        found = _results(arguments, name, label)
        cells = [_values([one for one in found if one.task == task]) for task, _ in QUESTIONS]
        yield f"| {name} | {steps.get(name, '')} | " + " | ".join(cells) + " |"
    chance = [next((one.baseline for one in found if one.task == task), None) for task, _ in QUESTIONS]
    told = " | ".join("" if one is None else f"{one:.3f}" for one in chance)
    yield f"| chance or most frequent | | {told} |"


def _finetuned_table(arguments: argparse.Namespace) -> Iterator[str]:
    yield from ("", "## Fine-tuned on few labels", "")
    yield "| | " + " | ".join(f"{labels} labels a class" for labels in FEW) + " |"
    yield "|---|" + "--:|" * len(FEW)
    for name, *_ in _starts(arguments, 0):
        cells = []
        for labels in FEW:
            folders = (arguments.out / "finetuned").glob(f"{name.replace(' ', '_')}_{labels}_[0-9]*")
            found = [one for folder in folders for one in read_results(folder) if one.metric == "acc1"]
            cells.append(_values(found))
        yield f"| {name} | " + " | ".join(cells) + " |"


def _start_table(arguments: argparse.Namespace) -> Iterator[str]:
    found = [
        one
        for folder in sorted((arguments.out / "runs" / "catlip_equal_time").glob("start_*"))
        for one in read_results(folder)
        if one.metric == "acc1"
    ]
    sizes = sorted({one.n_labels for one in found}, key=lambda size: -1 if size is None else size)
    yield from ("", "## Where a probe begins (CatLIP, equal time)", "")
    yield "| | " + " | ".join("no label" if size is None else f"{size} a class" for size in sizes) + " |"
    yield "|---|" + "--:|" * len(sizes)
    for task in dict.fromkeys(one.task for one in found):
        cells = [
            _values([one for one in found if (one.task, one.n_labels) == (task, size)]) for size in sizes
        ]
        yield f"| {task} | " + " | ".join(cells) + " |"


def _values(found: list[Result]) -> str:
    """Mean over draws and seeds, lowest and highest."""
    values = [one.value for one in found]
    if not values:
        return ""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _sides(arguments: argparse.Namespace) -> tuple[int, int]:
    return int(_settings(arguments)["image_size"]), arguments.reference_size


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--pool", required=True, help="files to pretrain on, commas between")
    parser.add_argument("--labels", default="category,subcategory")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of SimCLR and LGSimCLR")
    parser.add_argument("--clip-steps", type=int, default=60)
    parser.add_argument("--finetune-steps", type=int, default=100)
    parser.add_argument("--reference", help="an encoder people would otherwise take, as local-dir:PATH")
    parser.add_argument("--reference-size", type=int, default=224)
    parser.add_argument("--set", nargs="*", default=["image_size=48"], metavar="SETTING=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
