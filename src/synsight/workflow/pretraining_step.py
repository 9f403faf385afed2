"""The pilot's second step: what pretraining will cost, the runs, and whether they learnt anything."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from synsight.data import Catalog
from synsight.distributed import World
from synsight.models import load
from synsight.recipes import RECIPES, pretrain
from synsight.records import Gate, Result, RunSummary, as_json
from synsight.training import DryRun, RunConfig, override
from synsight.training.monitor import build_monitor
from synsight.workflow.data_step import Data
from synsight.workflow.gates import pretraining_gate, quote_sentence
from synsight.workflow.pages import RECIPE_NAMES
from synsight.workflow.state import PilotState

UNTRAINED = "random encoder, frozen"


@dataclass(frozen=True)
class Runs:
    """The finished runs."""

    gate: Gate
    runs: Sequence[RunSummary]
    untrained: str
    """Model name of the untrained encoder of the same kind."""
    repaired: RunSummary | None = None
    """The last recipe once more, on repaired captions."""

    @property
    def all(self) -> list[RunSummary]:
        """Every run."""
        return [*self.runs, *([self.repaired] if self.repaired else [])]


@dataclass
class PretrainingStep:
    """Every recipe, quoted and trained."""

    out: Path
    state: PilotState
    changes: Mapping[str, Any]
    data: Data

    def quote(self) -> str:
        """Time and memory of all runs, measured on this machine."""
        return quote_sentence(self.quotes())

    def quotes(self) -> dict[str, DryRun]:
        """Run name -> its dry run."""
        return {name_of(recipe): self.quoted(recipe) for recipe in self.state.settings["recipes"]}

    def quoted(self, recipe: str) -> DryRun:
        """One recipe's dry run."""
        done = self.state.once(f"quote of {recipe}", lambda: as_json(self.pretrain(recipe, dry_run=True)))
        return DryRun(**done)

    def run(self) -> Runs:
        """Train what is not trained yet."""
        recipes = self.state.settings["recipes"]
        runs = [
            replace(self.pretrain(recipe, out=self.out / "runs" / recipe, resume=True), name=name_of(recipe))
            for recipe in recipes
        ]
        config = self.config(recipes[-1])
        found = self.state.once("untrained monitor", lambda: self.untrained(config))
        untrained = Result(**found) if found is not None else None
        gate = pretraining_gate(runs, untrained=untrained, quotes=self.quotes())
        return Runs(gate, runs, f"random:{config.encoder}")

    def pretrain(self, recipe: str, **arguments: Any) -> Any:
        """One run or its quote, with the pilot's settings."""
        settings = self.state.settings
        return pretrain(
            recipe,
            data=self.data.catalog,
            label=settings["label"],
            seed=settings["seed"],
            **self.changes,
            **arguments,
        )

    def config(self, recipe: str) -> RunConfig:
        """The settings of a run."""
        settings = self.state.settings
        fixed = {"data": str(self.data.catalog), "label": settings["label"], "seed": settings["seed"]}
        return override(RECIPES[recipe](), {**fixed, **self.changes})

    def untrained(self, config: RunConfig) -> dict[str, Any] | None:
        """The monitor's view of an untrained encoder; None where there is nothing to monitor with."""
        catalog = Catalog.open(self.data.catalog)
        monitor, _ = build_monitor(config, catalog, rows=None, world=World())
        encoder = load(f"random:{config.encoder}", image_size=config.image_size, seed=config.seed).encoder
        if monitor is None or monitor.missing(encoder):
            return None
        reading = monitor.look(encoder, device=torch.device("cpu"), autocast=nullcontext())
        return as_json(
            Result(
                model=UNTRAINED,
                dataset=catalog.name,
                task="monitor",
                metric=monitor.metric,
                value=reading.values[monitor.metric],
                seed=config.seed,
                n_test=monitor.rows[1],
                catalog_version=catalog.version,
            )
        )


def name_of(recipe: str) -> str:
    """What a recipe's model is called for readers."""
    return RECIPE_NAMES.get(recipe, recipe)
