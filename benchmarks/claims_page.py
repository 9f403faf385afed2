"""The page of `claims.py`, from the answers that it keeps."""

import argparse
import statistics
from collections.abc import Iterator

import pyarrow as pa
from claims_runs import (
    DAMAGED,
    DRAWS,
    FEW,
    Arm,
    answers,
    finetuned_answers,
    results_of,
    settings_of,
    starts,
)
from turns import machine

from synsight import files
from synsight.evaluation import read_results
from synsight.evaluation.comparison import paired_differences
from synsight.records import Result

QUESTIONS = (("knn", None), ("linear", None), ("fewshot", 10), ("episodes", 5))
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


def page_of(arguments: argparse.Namespace, arms: list[Arm], ratio: float) -> Iterator[str]:
    """The lines of the page.

    Args:
        arguments: Of the experiment.
        arms: What was pretrained.
        ratio: CLIP's step over CatLIP's.
    """
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
                sides = (answers(arguments, one, label, task, n_labels) for one in (first, second))
                yield _difference(label, f"{first} minus {second}", task, *sides)
            yield _episodes(arguments, label, first, second)
    for labels in FEW:
        for first in ("simclr", "catlip", *(["reference"] if arguments.reference else [])):
            sides = (finetuned_answers(arguments, one, labels) for one in (first, "from scratch"))
            label = arguments.labels.split(",")[0]
            pair, task = f"{first}, fine-tuned, minus from scratch", f"{labels} labels a class"
            yield _difference(label, pair, task, *sides, stride=1)


def _difference(
    label: str, pair: str, task: str, ours: pa.Table, theirs: pa.Table, stride: int = DRAWS
) -> str:
    found = paired_differences(ours, theirs, stride=stride)
    cell = f"{found.value:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"
    return f"| {label} | {pair} | {task} | {cell} | {found.p_value:.3f} |"


def _episodes(arguments: argparse.Namespace, label: str, first: str, second: str) -> str:
    """Episodes leave no predictions by row: the differences of the training seeds stand for themselves."""
    ours, theirs = (
        [one.value for one in results_of(arguments, name, label) if one.task == "episodes"]
        for name in (first, second)
    )
    gains = [one - other for one, other in zip(ours, theirs, strict=True)]
    cell = f"{statistics.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f})"
    return f"| {label} | {first} minus {second} | episodes | {cell} | |"


def _table(
    arguments: argparse.Namespace, names: list[str], label: str, steps: dict[str, int]
) -> Iterator[str]:
    yield from ("", f"## Frozen features: {label}", "")
    yield "| | steps | k-NN | linear | 10 labels a class | 5-way 5-shot |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in names:
        found = results_of(arguments, name, label)
        cells = [_values([one for one in found if one.task == task]) for task, _ in QUESTIONS]
        yield f"| {name} | {steps.get(name, '')} | " + " | ".join(cells) + " |"
    chance = [next((one.baseline for one in found if one.task == task), None) for task, _ in QUESTIONS]
    told = " | ".join("" if one is None else f"{one:.3f}" for one in chance)
    yield f"| chance or most frequent | | {told} |"


def _finetuned_table(arguments: argparse.Namespace) -> Iterator[str]:
    yield from ("", "## Fine-tuned on few labels", "")
    yield "| | " + " | ".join(f"{labels} labels a class" for labels in FEW) + " |"
    yield "|---|" + "--:|" * len(FEW)
    for name, *_ in starts(arguments, 0):
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
    return int(settings_of(arguments)["image_size"]), arguments.reference_size


def _threads() -> int:
    import torch

    return torch.get_num_threads()
