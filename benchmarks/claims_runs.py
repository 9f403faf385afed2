"""What `claims.py` runs, and where its answers lie."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synsight.evaluation import read_predictions, read_results
from synsight.evaluation.storage import PREDICTIONS
from synsight.records import Result

TEXT = "text"
WIDE = {"encoder": "resnet14t"}
"""As deep as resnet10t, with bottlenecks: 2048 features in place of 512."""
PAPER_SHARE = 1 / 2.7
"""Of CLIP's time that CatLIP needed in its paper."""
DRAWS = 3
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


def arms_of(arguments: argparse.Namespace, ratio: float) -> list[Arm]:
    """What is pretrained; `ratio` is CLIP's step over CatLIP's."""
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


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings of every run."""
    changes = dict(change.split("=", 1) for change in arguments.set)
    return {"label": arguments.labels.split(",")[0], "text_column": TEXT, **changes}


def folder_of(arguments: argparse.Namespace, name: str) -> Path:
    """Where the runs and answers of an arm, or of the reference, lie."""
    if name.startswith("reference"):
        return arguments.out / "runs" / name.replace(", ", "_").removesuffix(" px")
    return arguments.out / "runs" / name.replace("/", "_of_").replace(", ", "_").replace(" ", "_")


def starts(arguments: argparse.Namespace, seed: int) -> Iterator[tuple[str, str, str]]:
    """(name, model, start of the classifier) of what is fine-tuned."""
    encoder = str(settings_of(arguments).get("encoder", "resnet10t"))
    yield "from scratch", f"random:{encoder}", "random"
    for name, folder in (("simclr", "simclr"), ("catlip", "catlip_equal_time")):
        yield name, str(arguments.out / "runs" / folder / f"run_{seed}" / "model"), "probe"
    if arguments.reference:
        yield "reference", arguments.reference, "probe"


def answers(
    arguments: argparse.Namespace, name: str, label: str, task: str, n_labels: int | None
) -> pa.Table:
    """Predictions of all seeds on frozen features; none: an empty table."""
    tables = [read_predictions(one) for one in sorted(folder_of(arguments, name).glob(f"{label}_[0-9]*"))]
    joined = pa.concat_tables(tables) if tables else PREDICTIONS.empty_table()
    chosen = pc.equal(joined["task"], task)
    if n_labels is not None:
        chosen = pc.and_(chosen, pc.equal(joined["n_labels"], n_labels))
    return joined.filter(chosen)


def results_of(arguments: argparse.Namespace, name: str, label: str) -> list[Result]:
    """Accuracies of all seeds on frozen features."""
    folders = sorted(folder_of(arguments, name).glob(f"{label}_[0-9]*"))
    return [one for folder in folders for one in read_results(folder) if one.metric == "acc1"]


def finetuned_answers(arguments: argparse.Namespace, name: str, labels: int) -> pa.Table:
    """Predictions of all seeds after fine-tuning on so many labels a class."""
    folders = sorted((arguments.out / "finetuned").glob(f"{name.replace(' ', '_')}_{labels}_[0-9]*"))
    return pa.concat_tables([read_predictions(one) for one in folders])
