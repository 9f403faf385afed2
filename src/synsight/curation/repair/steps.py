"""The second step of `repair`: captions borrowed, made anew, scored and chosen, in one commit.

Memory: 17 bytes a row (what is open, its hash), and the texts of the rows that are open: the useless ones, or
all that are recaptioned.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synsight.curation.repair.borrowing import hashes_of, keyword_caption, keyword_rule, near_image_captions
from synsight.curation.repair.choosing import SCORES, SMALLEST_GAIN, Option, PairScorer, ScoreStage
from synsight.curation.repair.clean_column import removed_counts
from synsight.curation.repair.cleaning import CLEAN, REMOVED, ROWS_PER_CHUNK, SPELLING, joined
from synsight.curation.repair.diversity import Diversity, diversity
from synsight.curation.repair.examples import Examples
from synsight.curation.repair.open_rows import DROPPED, OpenRow, choice
from synsight.curation.repair.own_scores import SMALLEST_GAIN as OWN_GAIN
from synsight.curation.repair.own_scores import CatalogScorer, own_scores
from synsight.curation.repair.recaptioning import Recaptions, recaption
from synsight.curation.repair.row_source import RowSource, spool_of
from synsight.data.catalog import POSITION, Catalog, Commit
from synsight.data.column_stage import ColumnSpool
from synsight.errors import DataError
from synsight.files import read_json, write_json
from synsight.language.terms import Terms
from synsight.language.texts import texts_of_rows
from synsight.models.captioners import Captioner
from synsight.records import RepairExample, RepairSummary, as_json
from synsight.stages import Runner, ThreadRunner, chunk_key

REPAIRED, ORIGIN = "caption_repaired", "caption_origin"
REPAIRED_SCORE, CLEAN_SCORE = "caption_repaired_score", "caption_clean_score"
FLAGS = "caption_flags"
MISMATCH, NO_KNOWN_NOUN = "mismatch", "no-known-noun"
USELESS_FLAGS = frozenset({MISMATCH, NO_KNOWN_NOUN})
"""The audit's flags on a caption that cleaning cannot mend; but a word put right may be the missing noun."""
CLEANED = "cleaned"
EMPTY = "empty"
VERSION = "5"
EXAMPLES = 50
ROWS_A_REQUEST, ROWS_A_BATCH = 4, 64
"""Rows whose captions a kill may cost: at an endpoint, and with a local captioner."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """One run over a catalog that has `caption_clean`; see `repair` for the settings."""

    catalog: Catalog
    text_columns: tuple[str, ...]
    spelling: bool
    terms: Terms | None
    keywords_column: str | None
    near_images: bool
    drop: frozenset[str]
    captioner: Captioner | None
    is_remote: bool
    concurrency: int
    recaption_all: bool
    with_context: bool
    scorer: PairScorer | CatalogScorer | None
    runner: Runner | None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the results depend on, as JSON values."""
        return {
            "text_columns": list(self.text_columns),
            "spelling": self.spelling,
            "terms": self.terms.digest if self.terms else None,
            "keywords_column": self.keywords_column,
            "near_images": self.near_images,
            "drop": sorted(self.drop),
            "captioner": self.captioner.name if self.captioner else None,
            "recaption": "all" if self.recaption_all else "useless",
            "with_context": self.with_context,
            "score_model": self.scorer.name if self.scorer else None,
        }

    @cached_property
    def provenance(self) -> dict[str, str]:
        """For the new fields' metadata."""
        read = [*self._columns, *(["image_hash"] if "image_hash" in self.catalog.columns else [])]
        if self.captioner or self.scorer or self.near_images:
            read.append("image")
        identities = [one.identity if one else "" for one in (self.captioner, self.scorer)]
        return {
            "synsight.stage": chunk_key("repair", VERSION, self.settings, identities),
            "synsight.input": self.catalog.fingerprint(list(dict.fromkeys(read))),
        }

    def finished_summary(self) -> RepairSummary | None:
        """The summary of an earlier run that did exactly this."""
        if not (self.catalog.is_current(REPAIRED, self.provenance) and self._summary_path.exists()):
            return None
        try:
            stored = read_json(self._summary_path)
        except DataError:
            return None
        if stored.get("provenance") != self.provenance:
            return None
        found = stored["summary"]
        return RepairSummary(**{**found, "examples": [RepairExample(**one) for one in found["examples"]]})

    def run(self) -> RepairSummary:
        """Borrow, recaption, choose; adds the columns in one commit."""
        provenance = self.provenance
        opened = self._open_rows()
        self._borrow_near_images(opened)
        recaptions = self._recaption(opened)
        scores, spool = self._scores(opened)
        schema = pa.schema(
            [
                pa.field(REPAIRED, pa.string(), metadata=provenance),
                pa.field(ORIGIN, pa.string(), metadata=provenance),
                pa.field(REPAIRED_SCORE, pa.float32(), metadata=provenance),
                pa.field(CLEAN_SCORE, pa.float32(), metadata=provenance),
            ]
        )
        origins: Counter[str] = Counter()
        commit = Commit(verb="repair", config=self.settings, counts={"open": len(opened)})
        self.catalog.add_columns(schema, self._chosen(schema, opened, scores, origins), commit=commit)
        summary = self._summary(opened, recaptions, scores, origins)
        write_json(self._summary_path, {"provenance": provenance, "summary": as_json(summary)})
        for one in (recaptions and recaptions.spool, spool):
            if one:
                one.clear()
        return summary

    def changes(self) -> Iterator[RepairExample]:
        """Every row whose repaired caption is not the caption as found."""
        names = ["id", REPAIRED, ORIGIN, REPAIRED_SCORE, CLEAN_SCORE, REMOVED]
        columns = list(dict.fromkeys([*names, *self.text_columns]))
        for batch in self.catalog.scan(columns, batch_size=ROWS_PER_CHUNK):
            texts = texts_of_rows(batch, self.text_columns)
            for row, some in zip(batch.select(names).to_pylist(), texts, strict=True):
                found = joined(some)
                if row[REPAIRED] != found:
                    yield RepairExample(
                        id=row["id"],
                        before=found,
                        after=row[REPAIRED],
                        origin=row[ORIGIN],
                        score=row[REPAIRED_SCORE],
                        score_before=row[CLEAN_SCORE],
                        removed=row[REMOVED] if row[ORIGIN] in (CLEANED, DROPPED) else [],
                    )

    # -- inside -----------------------------------------------------------------------------------

    @property
    def _summary_path(self) -> Path:
        return self.catalog.work_folder / "repair.json"

    @property
    def _columns(self) -> list[str]:
        """Text that decides."""
        more = [one for one in (FLAGS, self._keywords) if one and one in self.catalog.columns]
        return list(dict.fromkeys([*self.text_columns, CLEAN, REMOVED, *more]))

    @property
    def _keywords(self) -> str | None:
        name = self.keywords_column
        return name if name in self.catalog.columns and name not in self.text_columns else None

    def _open_rows(self) -> dict[int, OpenRow]:
        """Position -> row, of the rows that cleaning does not settle, with their keywords."""
        rule = None
        if self._keywords:
            rule = keyword_rule(self.catalog, self._keywords, runner=self.runner)
        opened = {}
        for batch in self.catalog.scan(self._columns, batch_size=ROWS_PER_CHUNK, with_positions=True):
            for number, (found, clean, flags) in enumerate(self._read(batch)):
                is_useless = clean is None or bool(flags)
                if not (is_useless or self.recaption_all):
                    continue
                row = OpenRow(found, clean, is_useless, self._may_go(found, clean, flags))
                if self._keywords and is_useless:
                    words = texts_of_rows(batch.slice(number, 1), [self._keywords])[0]
                    own = clean if MISMATCH not in flags else None
                    if text := keyword_caption(words, rule, behind=own):
                        row.others.append(Option(text, "keywords"))
                opened[batch.column(POSITION)[number].as_py()] = row
        return opened

    def _may_go(self, found: str | None, clean: str | None, flags: frozenset[str]) -> bool:
        is_empty = found is not None and clean is None
        return (is_empty and EMPTY in self.drop) or (MISMATCH in flags and MISMATCH in self.drop)

    def _read(self, batch: pa.RecordBatch) -> Iterator[tuple[str | None, str | None, frozenset[str]]]:
        """For each row the caption as found, what is left of it, and which flags make that useless."""
        flags: Sequence[Any] = [None] * batch.num_rows
        if FLAGS in batch.schema.names:
            flags = batch.column(FLAGS).to_pylist()
        texts, cleans = texts_of_rows(batch, self.text_columns), batch.column(CLEAN).to_pylist()
        for some, clean, removed, raised in zip(
            texts, cleans, batch.column(REMOVED).to_pylist(), flags, strict=True
        ):
            is_spelt = clean is not None and SPELLING in removed
            mended = {NO_KNOWN_NOUN} if is_spelt else set()
            yield joined(some), clean, USELESS_FLAGS.intersection(raised or ()) - mended

    def _borrow_near_images(self, opened: Mapping[int, OpenRow]) -> None:
        hashes = hashes_of(self.catalog) if self.near_images else None
        if hashes is None:
            return
        useless = [position for position, row in opened.items() if row.is_useless]
        is_donor = np.ones(len(hashes), bool)
        is_donor[useless] = False
        found = near_image_captions(
            self.catalog,
            hashes,
            np.array(useless, np.int64),
            np.flatnonzero(is_donor),
            caption_column=CLEAN,
        )
        for position, text in found.items():
            opened[position].others.append(Option(text, "near-image"))

    def _recaption(self, opened: Mapping[int, OpenRow]) -> Recaptions | None:
        """Ask the captioner about all open rows if a score decides, else where there is nothing else."""
        wanted = [position for position, row in opened.items() if self.scorer or not row.others]
        if self.captioner is None or not wanted:
            return None
        workers = self.concurrency if self.is_remote else 1
        found = recaption(
            self.catalog,
            self.captioner,
            np.array(wanted, np.int64),
            runner=ThreadRunner(workers=workers),
            rows_per_chunk=ROWS_A_REQUEST if self.is_remote else ROWS_A_BATCH,
            context_columns=self.text_columns if self.with_context else (),
        )
        for position, text in found.texts.items():
            opened[position].others.append(Option(text, f"captioner:{self.captioner.name}"))
        return found

    def _scores(self, opened: Mapping[int, OpenRow]) -> tuple[dict[int, list[float]], ColumnSpool | None]:
        """Position -> scores of its options, where there are several."""
        several = {
            position: [one.text for one in options]
            for position, row in opened.items()
            if len(options := row.options(compared=True)) > 1
        }
        if self.scorer is None or not several:
            return {}, None
        if isinstance(self.scorer, CatalogScorer):
            return own_scores(self.catalog, several, caption_column=CLEAN, runner=self.runner), None
        positions = np.array(list(several), np.int64)
        stage = ScoreStage(self.scorer)
        source = RowSource(
            self.catalog, ["image"], positions, texts=list(several.values()), rows_per_chunk=ROWS_A_BATCH
        )
        spool = spool_of(self.catalog, stage, source)
        with self.catalog.ledger() as ledger:
            ThreadRunner(workers=1).run(
                stage, source, spool, ledger=ledger, description="score captions", total=source.rows
            )
        found = (row for batch in spool.batches() for row in batch.column(SCORES).to_pylist())
        return dict(zip(several, found, strict=True)), spool

    def _chosen(
        self,
        schema: pa.Schema,
        opened: Mapping[int, OpenRow],
        scores: Mapping[int, list[float]],
        origins: Counter[str],
    ) -> Iterator[pa.RecordBatch]:
        """The new columns, in the order of the rows."""
        gain = OWN_GAIN if isinstance(self.scorer, CatalogScorer) else SMALLEST_GAIN
        for batch in self.catalog.scan(self._columns, batch_size=ROWS_PER_CHUNK, with_positions=True):
            rows = []
            for position, (found, clean, _) in zip(
                batch.column(POSITION).to_pylist(), self._read(batch), strict=True
            ):
                row = opened.get(position) or OpenRow(found, clean, is_useless=False)
                rows.append(choice(row, scores.get(position, []), gain=gain))
            origins.update(row[1] for row in rows if row[1])
            columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
            yield pa.record_batch(
                [pa.array(list(column), one.type) for column, one in zip(columns, schema, strict=True)],
                schema=schema,
            )

    def _summary(
        self,
        opened: Mapping[int, OpenRow],
        recaptions: Recaptions | None,
        scores: Mapping[int, list[float]],
        origins: Counter[str],
    ) -> RepairSummary:
        rows = self.catalog.count_rows()
        examples = Examples(EXAMPLES)
        for change in self.changes():
            examples.add(change)
        measured = {"before": self._diversity(self.text_columns), "after": self._diversity([REPAIRED])}
        if recaptions:
            measured["captioner"] = diversity(recaptions.texts.values())
        return RepairSummary(
            rows=rows,
            changed=examples.seen,
            origins=dict(origins.most_common()),
            removed=removed_counts(self.catalog),
            kept_useless=sum(
                bool(one.found) and not (one.clean or one.others or one.may_go) for one in opened.values()
            ),
            without_caption=rows - origins.total(),
            recaptioned=recaptions.asked if recaptions else 0,
            unusable_answers=recaptions.reasons if recaptions else {},
            scored=sum(bool(one) for one in scores.values()),
            diversity={name: asdict(one) for name, one in measured.items()},
            examples=examples.chosen(),
            settings=self.settings,
        )

    def _diversity(self, columns: Sequence[str]) -> Diversity:
        batches = self.catalog.scan(list(dict.fromkeys(columns)), batch_size=ROWS_PER_CHUNK)
        return diversity(joined(texts) for batch in batches for texts in texts_of_rows(batch, columns))
