"""The pilot's step on request: the judged recipe once more, on repaired captions."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synsight.curation.audit.auditing import audit
from synsight.curation.repair.repairing import repair
from synsight.errors import UsageError
from synsight.models.captions import words
from synsight.records import RunSummary, as_json
from synsight.workflow.data_step import READS_WORDS, Data
from synsight.workflow.pretraining_step import PretrainingStep, name_of
from synsight.workflow.state import PilotState

REPAIRED = "caption_repaired"


def check_repairable(recipes: list[str]) -> None:
    """Refuse a repair that the judged run would not notice.

    Raises:
        UsageError: The last recipe does not learn from the words of captions.
    """
    if recipes[-1] not in READS_WORDS:
        raise UsageError(
            f"repair asks whether better captions pay, but {recipes[-1]} does not learn from their words; "
            f"put {' or '.join(sorted(READS_WORDS))} last, or leave repair out."
        )


@dataclass
class RepairStep:
    """Audit, repair, words of the repaired captions, and the run; each once.

    The words that the other runs learnt from are put back at the end, so that the catalog is left as the data
    step made it, with the audit's and the repair's columns beside.
    """

    out: Path
    state: PilotState
    data: Data
    pretraining: PretrainingStep

    def run(self) -> RunSummary | None:
        """The run on repaired captions; None: there was nothing to repair, so there is nothing to compare."""
        path, columns = self.data.catalog, self.data.text_columns
        seed = self.state.settings["seed"]
        self.state.once(
            "audit",
            lambda: audit(path, out=self.out / "audit", text_columns=columns[:1], seed=seed).verdict,
        )
        done = self.state.once("repair", self.repair)
        if not done["changed"]:
            return None
        recipe = self.state.settings["recipes"][-1]
        self.state.once("repaired words", lambda: self.words((REPAIRED, *columns[1:])))
        folder = self.out / "runs" / f"{recipe}-repaired"
        summary: RunSummary = self.pretraining.pretrain(recipe, out=folder, resume=True)
        self.state.once("words put back", lambda: self.words(columns))
        return replace(summary, name=f"{name_of(recipe)}, repaired captions")

    def repair(self) -> dict[str, Any]:
        """What the repair changed, as plain values."""
        summary = repair(
            self.data.catalog,
            text_columns=self.data.text_columns[:1],
            score_model="catalog",  # else a wrong `mismatch` flag alone would cost a good caption
            out=self.out / "repair",
        )
        found = as_json(summary)
        return {name: found[name] for name in ("rows", "changed", "origins", "removed")}

    def words(self, columns: tuple[str, ...]) -> int:
        """Read the words of these columns; returns the size of their vocabulary."""
        return words(self.data.catalog, text_columns=columns).vocabulary_size
