"""The guided pilot: from a source to a decision, through three gates, in one resumable command."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synsight.errors import Interrupted, UsageError, near_names
from synsight.recipes import RECIPES
from synsight.records import Gate, Result
from synsight.workflow.data_step import DataStep
from synsight.workflow.desk import Desk
from synsight.workflow.pretraining_step import PretrainingStep
from synsight.workflow.proof_step import ProofStep
from synsight.workflow.repair_step import RepairStep, check_repairable
from synsight.workflow.report_step import write_pilot_page
from synsight.workflow.state import PilotState

LEARNS_FROM_LABELS = "supervised"
"""No recipe for a pilot: it is what the others are compared with."""


@dataclass(frozen=True, kw_only=True)
class PilotSummary:
    """Where a pilot stands."""

    out: str
    report: str
    """The page."""
    stopped_at: str | None
    """The gate where somebody said no; None: it went through."""
    gates: Sequence[Gate]
    models: Mapping[str, str]
    """What a model is called -> its folder."""
    results: Sequence[Result]
    """Means over draws, then paired differences; empty before the last gate."""


def pilot(
    source: str | Path,
    *,
    label: str,
    out: str | Path,
    text_columns: Sequence[str] | None = None,
    recipes: Sequence[str] = ("simclr", "catlip"),
    labels_per_class: int = 10,
    draws: int = 3,
    seed: int = 0,
    repair: bool = False,
    yes: bool = False,
    **overrides: object,
) -> PilotSummary:
    """Find out on your own data whether pretraining pays: data, pretraining, proof.

    Each gate ends with a stop-or-go summary. Stopped at any moment, the same call goes on where it was;
    finished steps are not repeated. The page is written wherever the pilot ends.

    Args:
        source: A sample's name (`emoji`, `clipart`), a folder or table that `ingest` reads, or a catalog,
            which then gets the new columns itself.
        label: Column with the classes that models are judged on.
        out: Folder for everything: catalog/, runs/, supervised/, evaluation/, results.json, report.html.
        text_columns: Columns to find words in; None: `caption` and `keywords`, where there are. One that
            names the label is left out, and the page says so.
        recipes: What to pretrain; the last one is judged.
        labels_per_class: Of the few-label comparison.
        draws: Of the few labels.
        seed: Of everything.
        repair: Also audit and repair the captions, train the judged recipe on the repaired ones, and compare.
        yes: Go through the gates without asking.
        overrides: Settings of all runs, as `encoder="resnet18"`, `epochs=5` or `**{"optim.lr": 1e-3}`; None
            leaves a setting to its recipe.

    Raises:
        UsageError: An unknown recipe, column or setting, or nobody there to ask.
        ConfigError: The folder holds a pilot with other settings.
        DataError: The source cannot be used, or the label is missing in a split.
        TrainingError: A run cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    _check_recipes(recipes)
    if repair:
        check_repairable(list(recipes))
    desk = Desk(yes=yes)
    changes = {name: value for name, value in overrides.items() if value is not None}
    settings = {
        "source": str(source),
        "label": label,
        "text_columns": list(text_columns) if text_columns is not None else None,
        "recipes": list(recipes),
        "labels_per_class": labels_per_class,
        "draws": draws,
        "seed": seed,
        **({"repair": True} if repair else {}),
        "overrides": {name: str(value) for name, value in changes.items()},
    }
    out = Path(out)
    state = PilotState(out, settings)
    try:
        return _Pilot(out, state, desk, changes).run()
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            f"the pilot in {out} was stopped; what is done is kept, so run the same command again to go on."
        ) from None


@dataclass
class _Pilot:
    """The chain of steps; each one gives a gate, and somebody may stop at it."""

    out: Path
    state: PilotState
    desk: Desk
    changes: Mapping[str, Any]

    def run(self) -> PilotSummary:
        gates: list[Gate] = []
        data = DataStep(self.out, self.state).run()
        if not self.passed(data.gate, gates, "Go on to pretraining?"):
            return self.end(gates, data)
        pretraining = PretrainingStep(self.out, self.state, self.changes, data)
        self.desk.tell(pretraining.quote())
        if not self.agreed("quote", "Start?"):
            return self.end(gates, data)
        runs = pretraining.run()
        if not self.passed(runs.gate, gates, "Go on to the proof?"):
            return self.end(gates, data, runs)
        if self.state.settings.get("repair"):
            runs = replace(runs, repaired=RepairStep(self.out, self.state, data, pretraining).run())
        proof = ProofStep(self.out, self.state, self.changes, data, runs).run()
        gates.append(proof.gate)
        self.desk.show(len(gates), proof.gate)
        return self.end(gates, data, runs, proof.results, stopped=False)

    def passed(self, gate: Gate, gates: list[Gate], question: str) -> bool:
        gates.append(gate)
        self.desk.show(len(gates), gate)
        return self.agreed(gate.name, question)

    def agreed(self, name: str, question: str) -> bool:
        """Ask once: a yes is remembered, a no may be thought over."""
        key = f"agreed to {name}"
        if not self.state.done(key) and not self.desk.agrees(question):
            return False
        self.state.once(key, lambda: True)
        return True

    def end(
        self,
        gates: Sequence[Gate],
        data: Any,
        runs: Any = None,
        results: Sequence[Result] = (),
        *,
        stopped: bool = True,
    ) -> PilotSummary:
        """Write the page with what there is."""
        page = write_pilot_page(
            self.out, self.state, gates=gates, data=data, runs=runs, results=results, command=self.command()
        )
        return PilotSummary(
            out=str(self.out),
            report=str(page),
            stopped_at=gates[-1].name if stopped else None,
            gates=gates,
            models={} if runs is None else {run.name: run.model for run in runs.all},
            results=results,
        )

    def command(self) -> str:
        """What a user types to get here."""
        given = self.state.settings
        words = ["synsight", "pilot", given["source"], "--label", given["label"]]
        if given["text_columns"] is not None:
            words += ["--text-columns", ",".join(given["text_columns"])]
        words += ["--recipes", ",".join(given["recipes"])]
        for name in ("labels_per_class", "draws", "seed"):
            words += [f"--{name.replace('_', '-')}", str(given[name])]
        for name, value in given["overrides"].items():
            words += [f"--{name.replace('_', '-')}", value]
        words += ["--repair"] if given.get("repair") else []
        return shlex.join([*words, "--out", str(self.out)])


def _check_recipes(recipes: Sequence[str]) -> None:
    known = [name for name in RECIPES if name != LEARNS_FROM_LABELS]
    if not recipes:
        raise UsageError(f"a pilot needs a recipe to try; known: {', '.join(known)}.")
    for recipe in recipes:
        if recipe not in known:
            raise UsageError(f"no recipe to pretrain with is called {recipe!r}; {near_names(recipe, known)}")
