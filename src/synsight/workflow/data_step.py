"""The pilot's first step: a catalog with words, and what can be expected of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synsight.data import SAMPLES, Catalog, ingest, sample
from synsight.errors import DataError
from synsight.evaluation.rows import read_splits
from synsight.models.captions import words
from synsight.records import Gate, IngestSummary, WordsSummary, as_json
from synsight.workflow.caption_facts import LEAK_SHARE, CaptionFacts, caption_facts, label_leak
from synsight.workflow.gates import data_gate
from synsight.workflow.state import PilotState

READS_WORDS = frozenset({"catlip"})
"""Recipes that learn from captions."""

TEXT_COLUMNS = ("caption", "keywords")


@dataclass(frozen=True)
class Data:
    """What the later steps stand on."""

    catalog: Path
    gate: Gate
    ingest: IngestSummary
    words: WordsSummary | None
    text_columns: tuple[str, ...]
    """Those that are read, leaks left out."""


@dataclass
class DataStep:
    """Source to catalog to words, each once."""

    out: Path
    state: PilotState

    def run(self) -> Data:
        """Do what is not done yet.

        Raises:
            DataError: The source cannot be used, the label is missing in a split, or every text names it.
        """
        ingested = IngestSummary(**self.state.once("ingest", lambda: as_json(self.read())))
        leaks = self.state.once("leaks", self.leaks)
        kept = tuple(name for name, share in leaks.items() if share <= LEAK_SHARE)
        found = facts = None
        if READS_WORDS & set(self.state.settings["recipes"]):
            _check_texts(kept, leaks, self.path)
            found = WordsSummary(
                **self.state.once("words", lambda: as_json(words(self.path, text_columns=kept)))
            )
            facts = CaptionFacts(
                **self.state.once("captions", lambda: as_json(caption_facts(self.catalog, kept[0])))
            )
        gate = self.state.once("data gate", lambda: as_json(self.judge(ingested, found, facts, leaks)))
        return Data(self.path, Gate(**gate), ingested, found, kept)

    @property
    def path(self) -> Path:
        """The catalog: the source itself if it is one, else a new one in the pilot's folder."""
        source = Path(self.state.settings["source"])
        return source if (source / "_versions").is_dir() else self.out / "catalog"

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog, open."""
        return Catalog.open(self.path)

    def read(self) -> IngestSummary:
        """Make the catalog, or look at the one there is."""
        source = self.state.settings["source"]
        if self.path == Path(source):
            return _summary_of(self.catalog)
        if source in SAMPLES:
            return sample(source, out=self.path)
        return ingest(source, out=self.path)

    def leaks(self) -> dict[str, float]:
        """Text column -> share of rows where it names the label."""
        label = self.state.settings["label"]
        read_splits(self.catalog, label)  # a wrong label is said before anything is done with it
        wanted: Sequence[str] | None = self.state.settings["text_columns"]
        columns = wanted or [name for name in TEXT_COLUMNS if name in self.catalog.columns]
        return {name: label_leak(self.catalog, name, label=label) for name in columns}

    def judge(
        self,
        ingested: IngestSummary,
        found: WordsSummary | None,
        facts: CaptionFacts | None,
        leaks: Mapping[str, float],
    ) -> Gate:
        """The gate."""
        splits = read_splits(self.catalog, self.state.settings["label"])
        labelled = {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)}
        return data_gate(
            ingest=ingested,
            labelled=labelled,
            classes=splits.num_classes,
            words=found,
            facts=facts,
            leaks=leaks,
        )


def _check_texts(kept: Sequence[str], leaks: Mapping[str, float], path: Path) -> None:
    if kept:
        return
    if not leaks:
        raise DataError(
            f"{path}: expected a column caption or keywords, found neither; name one with --text-columns."
        )
    name, share = max(leaks.items(), key=lambda pair: pair[1])
    raise DataError(
        f"{path}: every text column names the label itself ({name!r} in {share:.0%} of the rows), so "
        "learning from it would prove nothing; choose other text columns or another label."
    )


def _summary_of(catalog: Catalog) -> IngestSummary:
    counts = {split: catalog.count_rows(f"split = '{split}'") for split in ("train", "val", "test")}
    return IngestSummary(
        catalog=str(catalog.path),
        rows=catalog.count_rows(),
        rejected=0,
        columns={name: name for name in catalog.columns},
        splits=counts,
    )
