"""What a catalog says of itself, section by section of a data sheet."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synsight.data.catalog import Catalog
from synsight.data.trained_models import noted_models
from synsight.reports.card_records import CardNote, CardSection, CardTable
from synsight.reports.text import shortened
from synsight.workflow.card_model import Facts, listed

MOST_VALUES = 20
"""Of a column, in a table."""
CONFIG_LENGTH = 200
FLAGS = ("image_flags", "caption_flags")


def data_sections(catalog: Catalog, *, label: str | None = None) -> list[CardSection]:
    """All sections, without what only people can say.

    Args:
        catalog: The data.
        label: Column whose values are counted; None: `label`, if the catalog has it.
    """
    chosen = label or ("label" if "label" in catalog.columns else None)
    licences, licence_notes = _stated(catalog, "licence", "licences")
    sources, source_notes = _stated(catalog, "source", "sources")
    labels = [] if chosen is None else [_values(catalog, chosen, "labels")]
    flags = _flags(catalog)
    return [
        CardSection(key="motivation"),
        CardSection(
            key="composition",
            facts=_composition(catalog, chosen),
            tables=[*labels, *([flags] if flags else [])],
            notes=[] if flags else [CardNote(key="not_audited")],
        ),
        CardSection(key="collection", facts=_collection(catalog), tables=sources, notes=source_notes),
        CardSection(key="preprocessing", tables=[_versions(catalog)]),
        CardSection(key="uses", facts=_models(catalog)),
        CardSection(key="distribution", tables=licences, notes=licence_notes),
        CardSection(
            key="maintenance",
            facts=[
                ("version", str(catalog.version)),
                ("deletion", f'synsight catalog delete {shortened(catalog.name, most=60)} --where "…"'),
            ],
        ),
    ]


def _composition(catalog: Catalog, label: str | None) -> Facts:
    facts = [("rows", f"{catalog.count_rows():,}"), ("table_columns", listed(catalog.columns))]
    if label is not None:
        facts.append(("label", label))
    if "split" in catalog.columns:
        facts.append(("splits", _counts(catalog, "split")))
    if "group" in catalog.columns:
        groups = pc.count_distinct(catalog.table(["group"])["group"]).as_py()
        facts.append(("groups", f"{groups:,}"))
    if "caption" in catalog.columns:
        facts.append(("captions", f"{catalog.count_rows('caption IS NOT NULL'):,}"))
    if "language" in catalog.columns:
        facts.append(("languages", _counts(catalog, "language")))
    if {"width", "height"} <= set(catalog.columns):
        sides = catalog.table(["width", "height"])
        told = [_quantiles(sides[name]) for name in ("width", "height")]
        facts.append(("sizes", " × ".join(one for one in told if one)))
    return facts


def _collection(catalog: Catalog) -> Facts:
    facts: Facts = []
    if "captured_at" in catalog.columns and catalog.count_rows():
        ends = pc.min_max(catalog.table(["captured_at"])["captured_at"]).as_py()
        if ends["min"] is not None:
            facts.append(("captured", f"{ends['min']} – {ends['max']}"))
    path = catalog.path / "rejected.parquet"
    if path.exists():
        rejected = pq.read_table(pa.BufferReader(path.read_bytes()))
        reasons = Counter(rejected["reason"].to_pylist()) if "reason" in rejected.column_names else Counter()
        why = ", ".join(
            f"{shortened(str(name), most=40)} {count:,}" for name, count in reasons.most_common(6)
        )
        facts.append(("rejected", f"{rejected.num_rows:,}" + (f" ({why})" if why else "")))
    return facts


def _models(catalog: Catalog) -> Facts:
    # The last two names of a path tell a run from another and nothing of the machine.
    found = sorted({"/".join(Path(str(one["model"])).parts[-2:]) for one in noted_models(catalog)})
    return [("models", listed(found))] if found else []


def _versions(catalog: Catalog) -> CardTable:
    rows = [
        [
            str(one.version),
            one.verb,
            one.created_at[:16].replace("T", " "),
            one.package_version,
            f"{one.rows:,}",
            shortened(json.dumps(dict(one.config), ensure_ascii=False, default=str), most=CONFIG_LENGTH),
        ]
        for one in catalog.versions()
    ]
    return CardTable(
        name="versions", head=("version", "verb", "moment", "package", "rows", "config"), rows=rows
    )


def _stated(catalog: Catalog, column: str, name: str) -> tuple[list[CardTable], list[CardNote]]:
    """A table of a provenance column's values; a note where some or all are missing."""
    missing = f"no_{column}"
    rows = catalog.count_rows()
    if column not in catalog.columns:
        return [], [CardNote(key=missing)]
    without = catalog.count_rows(f"{column} IS NULL OR {column} = ''")
    if without == rows:
        return [], [CardNote(key=missing)]
    notes = []
    if without and column == "licence":
        notes = [CardNote(key="some_licences", values=(("n", f"{without:,}"), ("of", f"{rows:,}")))]
    distinct = pc.count_distinct(catalog.table([column])[column]).as_py()
    if distinct > rows / 2 and distinct > MOST_VALUES:  # a file's name for each image
        return [], notes
    return [_values(catalog, column, name)], notes


def _values(catalog: Catalog, column: str, name: str) -> CardTable:
    counted = _count(catalog, column)
    rows = [[shortened(value, most=80), f"{count:,}"] for value, count in counted.most_common(MOST_VALUES)]
    if len(counted) > MOST_VALUES:
        rest = sum(counted.values()) - sum(count for _, count in counted.most_common(MOST_VALUES))
        rows.append([f"… (+{len(counted) - MOST_VALUES:,})", f"{rest:,}"])
    return CardTable(name=name, head=("name", "rows"), rows=rows)


def _count(catalog: Catalog, column: str) -> Counter[str]:
    values = pc.cast(catalog.table([column])[column], pa.string())
    return Counter("–" if one is None or one == "" else one for one in values.to_pylist())


def _counts(catalog: Catalog, column: str) -> str:
    return ", ".join(
        f"{shortened(name, most=40)} {count:,}" for name, count in _count(catalog, column).most_common(8)
    )


def _flags(catalog: Catalog) -> CardTable | None:
    """How many rows bear each flag of an audit; None: there was none."""
    present = [name for name in FLAGS if name in catalog.columns]
    if not present:
        return None
    counted: Counter[str] = Counter()
    for name in present:
        counted.update(pc.list_flatten(catalog.table([name])[name].combine_chunks()).to_pylist())
    rows = [[flag, f"{count:,}"] for flag, count in counted.most_common(MOST_VALUES)]
    return CardTable(name="flags", head=("flag", "rows"), rows=rows)


def _quantiles(column: pa.ChunkedArray) -> str:
    numbers = column.drop_null().to_numpy()
    if not len(numbers):
        return ""
    low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95])
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"
