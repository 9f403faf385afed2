"""The pilot's third step: test images that nothing has seen, and training from scratch to compare with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from synsight.data.catalog import Catalog
from synsight.evaluation import (
    difference_results,
    evaluate,
    mean_over_draws,
    read_predictions,
    read_results,
    write_evaluation,
)
from synsight.evaluation.verdicts import corrected
from synsight.finetuning import run_name, supervised_baseline
from synsight.records import Gate, Result
from synsight.workflow.data_step import READS_WORDS, Data
from synsight.workflow.gates import proof_gate
from synsight.workflow.pilot_copies import copy_facts
from synsight.workflow.pretraining_step import UNTRAINED, Runs
from synsight.workflow.state import PilotState

SCRATCH = "supervised from scratch"

LENGTHS = frozenset({"epochs", "steps"})
"""The baseline takes as many steps as the run it is compared with, whatever made that number."""


@dataclass(frozen=True)
class Proof:
    """What was measured on the test rows."""

    gate: Gate
    results: list[Result]
    """Means over draws, then the paired differences, the deciding one first."""


@dataclass
class ProofStep:
    """The judged model against the untrained encoder, the other runs, and training from scratch."""

    out: Path
    state: PilotState
    changes: Mapping[str, Any]
    data: Data
    runs: Runs

    def run(self) -> Proof:
        """Measure what is not measured yet, and write results.json and predictions.parquet."""
        scratch, frozen = self.out / "supervised", self.out / "evaluation"
        few, full, seen = scratch / "few_labels", scratch / "all_labels", scratch / "neighbours"
        few_labels = self.state.settings["labels_per_class"]
        self.state.once("few labels from scratch", lambda: len(self.train_from_scratch(few, few_labels)))
        self.state.once("all labels from scratch", lambda: len(self.train_from_scratch(full, None)))
        self.state.once("neighbours of it", lambda: len(self.neighbours(full, seen)))
        self.state.once("evaluation", lambda: len(self.evaluate(frozen)))
        folders = (frozen, seen, full, few)
        measured = [one for folder in folders for one in read_results(folder)]
        predictions = pa.concat_tables([read_predictions(folder) for folder in folders])
        means = mean_over_draws(measured, predictions)
        order = [UNTRAINED, SCRATCH, *(run.name for run in self.runs.all)]
        means.sort(key=lambda one: order.index(one.model))
        judged = self.runs.runs[-1].name
        rivals = [SCRATCH, UNTRAINED, *(run.name for run in self.runs.runs[:-1])]
        found = corrected(
            [
                one
                for rival in rivals
                for one in difference_results(means, predictions, model=judged, against=rival)
            ]
        )
        found.sort(key=lambda one: (one.metric != "acc1_difference", one.n_labels is None))
        repaired = self.repaired(means, predictions, judged)
        results = [*means, *found, *repaired]
        catalog = Catalog.open(self.data.catalog)
        write_evaluation(self.out, results, predictions, settings=self.state.settings, catalog=catalog)
        subject = subject_of(self.state.settings["recipes"])
        gate = proof_gate(
            means, differences=[one for one in found if one.metric.startswith("acc1")], subject=subject
        )
        checks = [*gate.checks, *self.repair_checks(repaired), *self.copy_checks(frozen)]
        gate = replace(gate, checks=checks)
        return Proof(gate, results)

    def repaired(self, means: list[Result], predictions: pa.Table, judged: str) -> list[Result]:
        """What the run on repaired captions is ahead of the one on the captions as found."""
        if self.runs.repaired is None:
            return []
        model = self.runs.repaired.name
        return list(difference_results(means, predictions, model=model, against=judged))

    def repair_checks(self, differences: list[Result]) -> list[tuple[str, str, bool]]:
        """Lines of the gate about the repair."""
        if not self.state.settings.get("repair"):
            return []
        done = self.state.steps["repair"]
        found = f"{done['changed']:,} of {done['rows']:,} captions changed"
        checks = [("repair", found if done["changed"] else "no caption to repair, so no second run", True)]
        for one in differences:
            if one.metric == "acc1_difference":
                what = f"{one.task}, all labels" if one.n_labels is None else f"{one.n_labels} labels a class"
                found = f"{one.value:+.3f} ({one.ci_low:+.3f} to {one.ci_high:+.3f})"
                # No difference found is an answer, too: the check fails only where repair has done harm.
                checks.append((f"repaired minus raw, {what}", found, one.ci_high is None or one.ci_high >= 0))
        return checks

    def copy_checks(self, evaluation: Path) -> list[tuple[str, str, bool]]:
        """The line of the gate about test images that the training pool nearly has."""
        found = copy_facts(evaluation, Catalog.open(self.data.catalog))
        return [] if found is None else [("near copies", found.sentence, not found.copies)]

    def train_from_scratch(self, out: Path, labels_per_class: int | None) -> list[Result]:
        """The baseline on the same few labels, or on all, with as many steps as the judged run."""
        settings = self.state.settings
        return supervised_baseline(
            self.data.catalog,
            label=settings["label"],
            out=out,
            steps=self.runs.runs[-1].steps,
            labels_per_class=labels_per_class,
            draws=settings["draws"],
            seed=settings["seed"],
            name=SCRATCH,
            **{name: value for name, value in self.changes.items() if name not in LENGTHS},
        )

    def neighbours(self, baseline: Path, out: Path) -> list[Result]:
        """k-NN over the features of the network that saw all labels."""
        settings = self.state.settings
        model = str(baseline / run_name(None, settings["seed"]) / "model")
        return evaluate(
            [model],
            data=self.data.catalog,
            label=settings["label"],
            out=out,
            tasks=("knn",),
            seed=settings["seed"],
            names={model: SCRATCH},
            check_copies=False,
        )

    def evaluate(self, out: Path) -> list[Result]:
        """All frozen encoders on the same questions."""
        settings = self.state.settings
        names = {self.runs.untrained: UNTRAINED} | {run.model: run.name for run in self.runs.all}
        return evaluate(
            list(names),
            data=self.data.catalog,
            label=settings["label"],
            out=out,
            labels_per_class=(settings["labels_per_class"],),
            draws=settings["draws"],
            seed=settings["seed"],
            names=names,
        )


def subject_of(recipes: list[str]) -> str:
    """What the verdict is about."""
    return "Captions" if recipes[-1] in READS_WORDS else "Pretraining"
