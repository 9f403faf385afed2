"""One run of a sweep: pretrain, then ask; a run that cannot go on leaves its sentence in place of numbers."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synsight import files
from synsight.data.catalog import Catalog
from synsight.errors import Interrupted, StorageError, SynsightError, TrainingError, UsageError
from synsight.evaluation import evaluate
from synsight.metrics import rank_me
from synsight.models import Model, catalog_features, load
from synsight.recipes import pretrain
from synsight.records import SweepRun, as_json
from synsight.training.run_folder import RunFolder
from synsight.workflow.pages import write_run_page
from synsight.workflow.sweep_probes import Asked, Probe

T = TypeVar("T")

UNTRAINED = "random"
"""Stands for a recipe where nothing is trained."""

EVALUATIONS = "evaluations"

RANK_FILE = "rank.json"

TEST_ROWS = "split = 'test'"

RANK_ROWS = 2_000
"""Most test rows whose features the effective rank is taken of; the same rows for all models."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that one run needs to know; plain values, so that it can travel to another machine."""

    name: str
    """Of its folders."""
    cell: str
    """Name of its cell."""
    title: str
    recipe: str
    """`random`: the untrained encoder."""
    encoder: str
    image_size: int
    seed: int
    data: str
    changes: Mapping[str, Any]
    """Settings besides the recipe's own."""
    axes: Mapping[str, Any]
    out: str
    """The sweep's folder."""
    asked: Asked
    refused: str = ""
    """Why it is not even begun; "": it is."""

    @property
    def run(self) -> Path:
        """The run's folder."""
        return Path(self.out) / "runs" / self.name

    @property
    def answers(self) -> Path:
        """Folder of its evaluations: one for each probe."""
        return Path(self.out) / EVALUATIONS / self.name

    @property
    def is_done(self) -> bool:
        """Whether it is trained and every probe has its answers."""
        trained = self.recipe == UNTRAINED or RunFolder(self.run).done.exists()
        ends = [f"{probe.folder}/results.json" for probe in self.asked.probes]
        return trained and all((self.answers / end).exists() for end in (*ends, RANK_FILE))


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    record: dict[str, Any]
    """A `records.SweepRun` as JSON."""
    again: bool = False
    """Whether the next call tries once more: what stood in the way may be gone by then."""


def carry_out(work: Work) -> Outcome:
    """Train and ask, or go on with it; what is finished is not repeated."""
    if work.refused:
        return failed(work, work.refused, again=True)
    return attempted(work, lambda: Outcome(as_json(_record(work))))


def attempted(work: Work, act: Callable[[], T]) -> T | Outcome:
    """What the act gives, or a failed outcome with the sentence that says why.

    Raises:
        Interrupted: Stopped from outside; the work so far is saved.
        StorageError: The disk refused; no other run would fare better.
        UsageError: A name that does not exist.
    """
    try:
        return act()
    except (Interrupted, StorageError, UsageError):
        raise
    except SynsightError as error:
        return failed(work, str(error), again=not isinstance(error, TrainingError))
    except Exception as error:  # the other runs of a long night shall not suffer for it
        notes = Path(work.out) / "failures" / f"{work.name}.txt"
        files.write_text(notes, traceback.format_exc())
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return failed(work, f"a defect, {said}; please report it with {notes}.", again=True)


def failed(work: Work, sentence: str, *, again: bool) -> Outcome:
    """The outcome of a run that came to nothing."""
    return Outcome(as_json(SweepRun(**_identity(work), failure=sentence)), again)


def _record(work: Work) -> SweepRun:
    if work.recipe == UNTRAINED:
        model = f"random:{work.encoder}"
        return SweepRun(**_identity(work), **_evaluated(work, model))
    if not RunFolder(work.run).done.exists():
        files.remove(work.answers)  # of another run that once had the name
    summary = pretrain(work.recipe, data=work.data, out=work.run, resume=True, **work.changes)
    write_run_page(summary)
    return SweepRun(
        **_identity(work),
        **_evaluated(work, summary.model),
        steps=summary.steps,
        best_step=summary.best_step,
        seconds=summary.seconds,
        monitor=summary.monitor,
        best_value=summary.best_value,
        stopped_because=summary.stopped_because,
    )


def _identity(work: Work) -> dict[str, Any]:
    return {
        "name": work.name,
        "model": work.title,
        "recipe": work.recipe,
        "encoder": work.encoder,
        "seed": work.seed,
        "axes": dict(work.axes),
    }


def _evaluated(work: Work, model: str) -> dict[str, Any]:
    """Ask what is not asked yet; the width and the effective rank of the features."""
    asked = work.asked
    seed, size = asked.first_draw(work.seed), None if Path(model).is_dir() else work.image_size
    features = _Features(asked.probes)
    for probe in asked.probes:
        out = work.answers / probe.folder
        if (out / "results.json").exists():
            continue
        evaluate(
            [model],
            data=probe.data,
            label=probe.label,
            out=out,
            tasks=asked.tasks,
            labels_per_class=asked.labels_per_class,
            draws=asked.draws,
            seed=seed,
            names={model: work.cell},
            image_size=size,
            check_copies=False,
            source=features,
        )
    if not (work.answers / RANK_FILE).exists():
        catalog = Catalog.open(asked.probes[0].data)
        positions, found = features(load(model, image_size=size, seed=seed), catalog)
        chosen = catalog.positions(TEST_ROWS)
        chosen = chosen[:: -(-len(chosen) // RANK_ROWS)]
        rank = rank_me(found[np.searchsorted(positions, chosen)])
        known = {"embedding_dim": found.shape[1], "rankme": rank, "rank_rows": len(chosen)}
        files.write_json(work.answers / RANK_FILE, known)
    record: dict[str, Any] = files.read_json(work.answers / RANK_FILE)
    return record


class _Features:
    """Features of every row that some probe asks for, computed once and kept in memory: a sweep's many models
    leave the catalogs as they are.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = probes
        self._known: dict[Path, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def __call__(self, model: Model, catalog: Catalog) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if catalog.path not in self._known:
            labels = [probe.label for probe in self._probes if Path(probe.data) == catalog.path]
            where = " OR ".join([TEST_ROWS, *(f"`{label}` IS NOT NULL" for label in labels)])
            self._known[catalog.path] = catalog_features(model, catalog, where=where)
        return self._known[catalog.path]
