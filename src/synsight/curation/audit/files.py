"""What an audit leaves in its folder: findings.parquet, audit.json, and examples for the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synsight.curation.audit.flags import FLAGS
from synsight.curation.outlines import BETWEEN, row_texts
from synsight.curation.thumbnails import thumbnail
from synsight.data.catalog import Catalog
from synsight.errors import DataError
from synsight.files import read_json, replacing, write_json
from synsight.records import AuditSummary, Finding, FindingExample, as_json
from synsight.seeding import generator

FINDINGS, SUMMARY, REPORT = "findings.parquet", "audit.json", "report.html"
NAMES = (FINDINGS, SUMMARY, REPORT)
EXAMPLES = 12
"""Of each flag."""
ROWS_AT_ONCE = 65_536
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("flag", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("reason", pa.string()),
    ]
)


def write_findings(catalog: Catalog, table: pa.Table, path: Path) -> None:
    """Write findings with the ids of their rows, in the rows' order.

    Args:
        catalog: At the version whose positions the table has.
        table: Columns `position`, `flag`, `score`, `reason`; ascending by position.
        path: A Parquet file with `id`, `flag`, `score`, `reason`.

    Raises:
        StorageError: The disk refused.
    """
    with replacing(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        for start in range(0, table.num_rows, ROWS_AT_ONCE):
            part = table.slice(start, ROWS_AT_ONCE)
            ids = catalog.take(part["position"].to_numpy(), ["id"])["id"].cast(pa.string())
            columns = [ids, *(part[name].cast(_SCHEMA.field(name).type) for name in _SCHEMA.names[1:])]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))


def details(
    catalog: Catalog, table: pa.Table, *, rows: int, text_columns: Sequence[str], seed: int
) -> list[Finding]:
    """The flags that some row bears, most rows first, each with examples.

    Examples are drawn by chance, different captions first, and shown strongest first.
    """
    found = []
    for flag, about in FLAGS.items():
        part = table.filter(pc.equal(table["flag"], flag))
        if not part.num_rows:
            continue
        bearing = len(np.unique(part["position"].to_numpy()))
        finding = Finding(
            flag=flag,
            kind=about.kind,
            rows=bearing,
            share=bearing / max(rows, 1),
            meaning=about.meaning,
            advice=about.advice,
            examples=_examples(catalog, part, text_columns, generator(seed, "audit examples", flag)),
        )
        found.append(finding)
    return sorted(found, key=lambda one: -one.rows)


def write_summary(path: Path, summary: AuditSummary, *, key: str, settings: dict[str, Any]) -> None:
    """Write audit.json: the summary without its pictures, and what it was made from.

    Raises:
        StorageError: The disk refused.
    """
    value = as_json(summary)
    for finding in value["details"]:
        for example in finding["examples"]:
            del example["thumbnail"]
    write_json(path, {**value, "settings": settings, "key": key})


def read_summary(out: Path, *, key: str) -> AuditSummary | None:
    """The summary of a finished audit of the same content with the same settings; None: there is none."""
    if not all((out / name).exists() for name in (FINDINGS, SUMMARY, REPORT)):
        return None
    try:
        stored = read_json(out / SUMMARY)
        if stored["key"] != key:
            return None
        parts = [
            Finding(**{**one, "examples": [FindingExample(**example) for example in one["examples"]]})
            for one in stored["details"]
        ]
        return AuditSummary(
            **{name: stored[name] for name in AuditSummary.__dataclass_fields__ if name != "details"},
            details=parts,
        )
    except (DataError, KeyError, TypeError):  # damaged, or written by another version
        return None


def _examples(
    catalog: Catalog, part: pa.Table, text_columns: Sequence[str], random: np.random.Generator
) -> list[FindingExample]:
    some = np.sort(random.permutation(part.num_rows)[: 8 * EXAMPLES])
    part = part.take(some)
    positions = part["position"].to_numpy()
    captions = _captions(catalog, positions, text_columns)
    seen: dict[str, int] = {}
    for place in random.permutation(len(some)).tolist():
        seen.setdefault(captions[place], place)
    chosen = list(seen.values())[:EXAMPLES]
    if len(chosen) < EXAMPLES:  # one caption on many images
        taken = set(chosen)
        chosen += [place for place in range(len(some)) if place not in taken][: EXAMPLES - len(chosen)]
    scores, reasons = part["score"].to_pylist(), part["reason"].to_pylist()
    chosen.sort(key=lambda place: (-scores[place], positions[place]))
    wanted = [name for name in ("id", "image") if name in catalog.columns]
    rows = catalog.take(positions[chosen], wanted).to_pylist()
    return [
        FindingExample(
            id=str(row.get("id", positions[place])),
            score=scores[place],
            reason=reasons[place],
            caption=captions[place],
            thumbnail=thumbnail(row.get("image")),
        )
        for row, place in zip(rows, chosen, strict=True)
    ]


def _captions(catalog: Catalog, positions: np.ndarray, text_columns: Sequence[str]) -> list[str]:
    columns = [name for name in dict.fromkeys(text_columns) if name in catalog.columns]
    if not columns:
        return [""] * len(positions)
    batches = catalog.take(positions, columns).combine_chunks().to_batches()
    return [text.replace(BETWEEN, "; ") for batch in batches for text in row_texts(batch, columns)]
