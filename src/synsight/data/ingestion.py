"""Ingest: from a folder or a table to a catalog."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from synsight.data.append_sink import read_parquet
from synsight.data.catalog import Catalog, Commit
from synsight.data.checking import CheckImages
from synsight.data.distinct_ids import DistinctIds
from synsight.data.sources import MESSAGE, PLACE, ImageSource, open_source
from synsight.data.split_rules import SplitRule, add_split_column, rows_without_time, split_rule
from synsight.errors import CatalogError, DataError, UsageError
from synsight.files import read_json, replacing, write_json
from synsight.records import IngestSummary, as_json
from synsight.stages import REJECTED, Runner, StageCounts, ThreadRunner, stage_key
from synsight.stores import place


def ingest(
    source: str | Path,
    *,
    out: str | Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    keywords_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    split_by: str | None = None,
    time_column: str | None = None,
    strict: bool = False,
    runner: Runner | None = None,
) -> IngestSummary:
    """Read a folder of images or a table of images into a catalog.

    Rows that cannot be used are counted, and listed with their reasons in `out/rejected.parquet`. Stopped or
    killed, the same command goes on where it was; finished, it does nothing.

    Args:
        source: A folder, a CSV, TSV, JSONL or Parquet file, or a folder with a `metadata.*` table.
        out: The catalog's folder: new, empty, or left by the same command.
        image_column: Column with paths or bytes; None: guessed from the usual names. So for the others, where
            "" means that no column plays the role.
        caption_column: Column with the text.
        keywords_column: Column with tags.
        label_column: Column with the class.
        group_column: Column with the lot, patient or camera; a group stays in one split.
        split_column: Column with train, val or test; missing splits are drawn 70/10/20 by a hash.
        split_by: Part all rows anew, whatever the source says of splits: `hash`, `time` (the newest are the
            test) or `stratified` (the shares hold in each class); see `splits`. None: as the source says.
        time_column: Of `time`; None: `captured_at`.
        strict: Make the first row that cannot be used an error.
        runner: Where the work runs; None: threads of this process.

    Raises:
        DataError: The source holds nothing that can be used, a column is missing, or, with `strict`, a row
            cannot be used.
        UsageError: An unknown way to part rows, or one beside a split column.
        CatalogError: `out` holds something else.
        StorageError: The disk refused.
        Interrupted: Ctrl-C; what was done is kept.
    """
    if split_by is not None and split_column:
        raise UsageError(
            f"rows are parted by the column {split_column!r} or by {split_by}; found both, so leave one out."
        )
    chosen = {
        "image": image_column,
        "caption": caption_column,
        "keywords": keywords_column,
        "label": label_column,
        "group": group_column,
        "split": split_column,
    }
    if Path(str(source)).is_dir() and Catalog.exists(source):
        raise DataError(
            f"{source}: is a catalog already; use it as it is, as in `synsight words {source}`, or take rows "
            f"out with `synsight catalog export {source}`."
        )
    opened = open_source(source, chosen=chosen)
    rule = split_rule(split_by, schema=opened.schema, columns=opened.columns, time_column=time_column)
    return ingest_source(opened, name=str(source), out=place(out), rule=rule, strict=strict, runner=runner)


def ingest_source(
    source: ImageSource,
    *,
    name: str,
    out: Path,
    rule: SplitRule | None = None,
    strict: bool = False,
    runner: Runner | None = None,
) -> IngestSummary:
    """Ingest an opened source; see `ingest`.

    Args:
        name: What the user calls the source, for messages and lineage.
        rule: How rows are parted; None: as the source says.
    """
    out = place(out)
    catalog = _earlier_ingest(out, source, name, rule)
    summary_path = out / "_synsight" / "ingest.json"
    if catalog is not None and summary_path.exists():
        summary = IngestSummary(**read_json(summary_path))
        _refuse_rejects(summary.reasons, name, out, strict=strict)
        return summary
    stage = CheckImages(schema=source.schema, splits=_made(rule))
    config = {"source": name, "identity": source.identity, "columns": dict(source.columns)}
    if rule is not None:
        config["split_by"] = rule.settings
    commit = Commit(verb="ingest", config=config)
    if catalog is None:
        next(source.chunks(), None)  # a source without a row says so here, before there is a folder
        catalog = Catalog.create(out, stage.output_schema, commit=commit)
    with catalog.ledger() as ledger:
        if catalog.count_rows() and next(ledger.receipts(stage_key(stage)), None) is None:
            raise CatalogError(
                f"{out}: expected the ledger of its ingest in {catalog.local_folder}, found none; "
                "go on where it was begun, or delete the catalog and begin anew."
            )
        counts = (runner or ThreadRunner()).run(
            stage,
            source,
            DistinctIds(catalog.appender(commit=commit), strict=strict),
            ledger=ledger,
            description="ingest",
            total=source.rows,
        )
    _places_first(out / "rejected.parquet")
    if not counts.rows_out:
        raise DataError(
            f"{name}: expected images, but none of {counts.rejected:,} rows can be used "
            f"({_listed(counts.reasons)}); mend them as "
            f"{out / 'rejected.parquet'} says, delete {out}, and try again."
        )
    _refuse_rejects(counts.reasons, name, out, strict=strict)
    catalog = Catalog.open(out)
    if rule is not None and "split" not in catalog.columns:
        add_split_column(catalog, rule, commit=Commit(verb="ingest", config=config))
    summary = _summary(catalog, source, counts, rule)
    write_json(summary_path, as_json(summary))
    return summary


def _made(rule: SplitRule | None) -> Literal["given", "hash", "later"]:
    """When splits are made: a hash needs one row, the others all of them."""
    return "given" if rule is None else "hash" if rule.by == "hash" else "later"


def _earlier_ingest(out: Path, source: ImageSource, name: str, rule: SplitRule | None) -> Catalog | None:
    """The catalog that this command made before; None when there is none.

    Raises:
        CatalogError: There is one from something else.
    """
    if not Catalog.exists(out):
        return None
    catalog = Catalog.open(out)
    first = catalog.versions()[0]
    is_same = first.verb == "ingest" and first.config.get("identity") == source.identity
    if is_same and first.config.get("split_by") == (rule and rule.settings):
        return catalog
    made_from = first.config.get("source", "something else")
    same = "an earlier state of it, or with other columns or splits" if made_from == name else str(made_from)
    raise CatalogError(
        f"{out}: expected a new folder or the catalog of {name}, found one made from {same}; "
        "choose another folder, or delete this one."
    )


def _places_first(path: Path) -> None:
    """Put what a reader looks for in front: place, reason, sentence; also when nothing was rejected."""
    rejected = read_parquet(path)
    front = [PLACE, REJECTED, MESSAGE]
    if rejected.column_names[:3] == front:
        return
    for name in front:
        if name not in rejected.column_names:
            rejected = rejected.append_column(name, pa.nulls(rejected.num_rows, pa.string()))
    rest = [name for name in rejected.column_names if name not in front]
    with replacing(path) as temporary:
        pq.write_table(rejected.select([*front, *rest]), temporary)


def _refuse_rejects(reasons: Mapping[str, int], name: str, out: Path, *, strict: bool) -> None:
    if strict and reasons:
        raise DataError(
            f"{name}: expected no row that cannot be used, found {_listed(reasons)}; "
            f"mend them as {out / 'rejected.parquet'} says, or leave out --strict."
        )


def _summary(
    catalog: Catalog, source: ImageSource, counts: StageCounts, rule: SplitRule | None
) -> IngestSummary:
    columns = dict(source.columns)
    if rule is not None:
        missing = rows_without_time(catalog, rule.column) if rule.by == "time" else 0
        columns["split"] = rule.words + (f" ({missing:,} rows without a time)" if missing else "")
    splits: Counter[str] = Counter()
    for batch in catalog.scan(["split"], batch_size=8192):
        splits.update(batch.column("split").to_pylist())
    return IngestSummary(
        catalog=str(catalog.path),
        rows=counts.rows_out,
        rejected=counts.rejected,
        columns=columns,
        reasons=dict(counts.reasons),
        splits=dict(sorted(splits.items())),
        ignored=source.ignored,
        unread_tables=list(source.unread_tables),
    )


def _listed(reasons: Mapping[str, int]) -> str:
    """As "12 truncated, 3 empty", the most frequent first."""
    return ", ".join(
        f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda one: -one[1])
    )
