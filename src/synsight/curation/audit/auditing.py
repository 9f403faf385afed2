"""The audit: everything that is wrong with images, captions and splits, and whether captions will pay.

Each check works by itself, keeps what it has done and can be left out. What they find is gathered here into
columns, files and a page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synsight.curation.audit import files
from synsight.curation.audit.caption_checks import FINDINGS, CaptionCheck, check_captions
from synsight.curation.audit.flags import CAPTION_FLAGS, FLAGS, IMAGE_FLAGS
from synsight.curation.audit.image_checks import check_images
from synsight.curation.audit.mismatch import MismatchResult, check_mismatch
from synsight.curation.audit.near_duplicates import find_near_duplicates
from synsight.curation.audit.verdict import Verdict, judge
from synsight.data.catalog import Catalog, Commit
from synsight.data.lineage import now
from synsight.data.written_reports import note_report
from synsight.errors import ConfigError, UsageError, near_names
from synsight.files import write_text
from synsight.language.texts import SPLIT, check_text_columns
from synsight.records import AuditSummary
from synsight.reports.audit_page import audit_page
from synsight.stages import Runner, chunk_key

CHECKS: Mapping[str, tuple[str, ...]] = {
    "images": ("unreadable", "tiny", "blurred", "dark", "bright", "blank", "odd-aspect"),
    "duplicates": ("duplicate", "near-duplicate", "leak"),
    "captions": tuple(name for name, flag in FLAGS.items() if flag.kind == "caption"),
    "mismatch": ("mismatch",),
}
"""Check -> the flags it looks for."""
CAPTION_COLUMN, SCORE_COLUMN, IMAGE_COLUMN = "caption_flags", "caption_score", "image_flags"
_VERSION = "1"
_ROWS_AT_ONCE = 8192


def audit(
    catalog: str | Path | Catalog,
    *,
    out: str | Path,
    text_columns: Sequence[str] = ("caption",),
    model: str | None = None,
    checks: Sequence[str] = tuple(CHECKS),
    seed: int = 0,
    runner: Runner | None = None,
) -> AuditSummary:
    """Look at a catalog's images, captions and splits; report what is wrong and what the captions are worth.

    Adds the columns `caption_flags`, `caption_score` (0 worst to 1 best), `image_flags`, `image_hash`.
    Stopped or killed at any moment, the same call goes on where it was; a finished call does nothing.

    Args:
        catalog: Its folder, or an open catalog.
        out: Folder for report.html, audit.json and findings.parquet (id, flag, score, reason).
        text_columns: String or list-of-string columns, read as one text a row.
        model: A model that compares images with texts, as `open-clip:NAME/WEIGHTS`; None: mismatches are told
            from neighbours of captions and of images within the catalog.
        checks: Which to make: `images`, `duplicates`, `captions`, `mismatch`.
        seed: Of what is drawn: examples, and the encoder that mismatches may need.
        runner: Where the stages run; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text.
        UsageError: There is no such check.
        ConfigError: No check is named.
        CatalogError: There is no catalog.
        StorageError: The disk refused.
    """
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    chosen = _chosen(checks)
    if {"captions", "mismatch"} & set(chosen):
        check_text_columns(opened, text_columns)
    settings = {
        "text_columns": list(text_columns),
        "model": model,
        "checks": list(chosen),
        "seed": seed,
        "version": _VERSION,
    }
    read = [
        name for name in dict.fromkeys(["image", *text_columns, "group", SPLIT]) if name in opened.columns
    ]
    key = chunk_key(settings, opened.fingerprint(read))
    provenance = {"synsight.stage": "audit", "synsight.input": key}
    has_columns = all(opened.is_current(name, provenance) for name in _columns(chosen))
    if has_columns and (done := files.read_summary(Path(out), key=key)) is not None:
        return done
    found = _look(opened, chosen, text_columns=text_columns, model=model, seed=seed, runner=runner)
    counts = _counts(found.table, chosen)
    if not has_columns:
        commit = Commit(verb="audit", config=settings, counts=counts)
        schema, batches = _new_columns(found, opened.count_rows(), chosen, provenance)
        opened.add_columns(schema, batches, commit=commit)
    summary = _write(opened, Path(out), found, counts, text_columns=text_columns, seed=seed)
    files.write_summary(Path(out) / files.SUMMARY, summary, key=key, settings=settings)
    if found.captions is not None:
        found.captions.clear()
    return summary


def caption_scores(table: pa.Table, has_text: np.ndarray) -> np.ndarray:
    """How good each caption is, float32 [N], 0 worst to 1 best.

    The product over a caption's flags of 1 - (what the flag takes, `Flag.takes`) x (how strong it is); 0
    where there is no caption. Repetition counts little, as a class name is a good caption: it is in the
    number of effective captions.

    Args:
        table: Findings with `position`, `flag`, `score`.
        has_text: Whether there is a caption, bool [N].
    """
    scores = np.where(has_text, 1.0, 0.0)
    for name in CAPTION_FLAGS:
        part = table.filter(pc.equal(table["flag"], name))
        strength = np.clip(part["score"].to_numpy().astype(np.float64), 0.0, 1.0)
        np.multiply.at(scores, part["position"].to_numpy(), 1.0 - FLAGS[name].takes * strength)
    return scores.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Found:
    """What the checks found, as one table by position."""

    table: pa.Table
    captions: CaptionCheck | None
    mismatch: MismatchResult | None


def _chosen(checks: Sequence[str]) -> tuple[str, ...]:
    if not checks:
        raise ConfigError(f"checks must name at least one of {', '.join(CHECKS)}; got none.")
    for name in checks:
        if name not in CHECKS:
            raise UsageError(f"there is no check {name!r}; {near_names(name, CHECKS)}")
    return tuple(name for name in CHECKS if name in checks)


def _look(
    catalog: Catalog,
    chosen: Sequence[str],
    *,
    text_columns: Sequence[str],
    model: str | None,
    seed: int,
    runner: Runner | None,
) -> _Found:
    tables = [FINDINGS.empty_table()]
    captions, mismatch = None, None
    if {"images", "duplicates"} & set(chosen):
        images = check_images(catalog, runner=runner)
        tables.append(images.table)
        if "duplicates" in chosen:
            tables.append(find_near_duplicates(catalog, images.hashes))
    if "captions" in chosen:
        captions = check_captions(catalog, text_columns=text_columns, runner=runner)
        tables.append(captions.table)
    if "mismatch" in chosen:
        mismatch = check_mismatch(catalog, text_columns=text_columns, model=model, seed=seed, runner=runner)
        tables.append(mismatch.table)
    table = pa.concat_tables([one.select(FINDINGS.names).cast(FINDINGS) for one in tables])
    table = table.sort_by([("position", "ascending"), ("flag", "ascending")])
    return _Found(table, captions, mismatch)


def _counts(table: pa.Table, chosen: Sequence[str]) -> dict[str, int]:
    """Rows that bear each flag that was looked for, in the order of `FLAGS`."""
    looked_for = {flag for name in chosen for flag in CHECKS[name]}
    pairs = table.select(["position", "flag"]).group_by(["position", "flag"]).aggregate([])
    found = {one["values"]: one["counts"] for one in pc.value_counts(pairs["flag"]).to_pylist()}
    return {flag: int(found.get(flag, 0)) for flag in FLAGS if flag in looked_for or flag in found}


def _columns(chosen: Sequence[str]) -> list[str]:
    """The columns that these checks make."""
    columns = [CAPTION_COLUMN, SCORE_COLUMN] if "captions" in chosen else []
    return [*columns, IMAGE_COLUMN] if {"images", "duplicates"} & set(chosen) else columns


def _new_columns(
    found: _Found, rows: int, chosen: Sequence[str], provenance: Mapping[str, str]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    kinds = {
        CAPTION_COLUMN: pa.list_(pa.string()),
        SCORE_COLUMN: pa.float32(),
        IMAGE_COLUMN: pa.list_(pa.string()),
    }
    schema = pa.schema([pa.field(name, kinds[name], metadata=dict(provenance)) for name in _columns(chosen)])
    lists = {
        name: found.table.filter(pc.is_in(found.table["flag"], pa.array(flags)))
        for name, flags in ((CAPTION_COLUMN, CAPTION_FLAGS), (IMAGE_COLUMN, IMAGE_FLAGS))
    }
    scores = caption_scores(found.table, found.captions.has_text) if found.captions is not None else None

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, rows)
            columns = [
                pa.array(scores[start:stop])
                if name == SCORE_COLUMN and scores is not None
                else _flag_lists(lists[name], start, stop)
                for name in schema.names
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return schema, batches()


def _flag_lists(marks: pa.Table, start: int, stop: int) -> pa.ListArray:
    """The flags of each row from `start` to before `stop`; marks are ascending by position and flag."""
    bounds = np.searchsorted(marks["position"].to_numpy(), np.arange(start, stop + 1))
    flags = pa.array(marks["flag"].slice(bounds[0], bounds[-1] - bounds[0]).to_pylist(), pa.string())
    return pa.ListArray.from_arrays(pa.array(bounds - bounds[0], pa.int32()), flags)


def _write(
    catalog: Catalog,
    out: Path,
    found: _Found,
    counts: Mapping[str, int],
    *,
    text_columns: Sequence[str],
    seed: int,
) -> AuditSummary:
    """The findings, the page, and the summary of both."""
    note_report(catalog, out, verb="audit", names=files.NAMES)
    out.mkdir(parents=True, exist_ok=True)
    files.write_findings(catalog, found.table, out / files.FINDINGS)
    rows = catalog.count_rows()
    verdict = _verdict(found)
    summary = AuditSummary(
        rows=rows,
        findings=dict(counts),
        effective_captions=verdict.effective_captions,
        verdict=verdict.judgement,
        reasons=verdict.reasons,
        details=files.details(catalog, found.table, rows=rows, text_columns=text_columns, seed=seed),
        numbers=verdict.numbers,
        out=str(out),
        report=str(out / files.REPORT),
    )
    page = audit_page(summary, title=catalog.name, created_at=now())
    write_text(out / files.REPORT, page)
    return summary


def _verdict(found: _Found) -> Verdict:
    if found.captions is None:
        return Verdict("uncertain", ("The captions were not looked at.",), {"effective_captions": 0.0})
    return judge(found.captions, mismatch=found.mismatch)
