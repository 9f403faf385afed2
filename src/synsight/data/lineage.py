"""Who made a catalog's versions: the record that travels in each commit, and outlives a purge.

The record of a version is a property of its Lance transaction. A purge removes old versions with their
transactions, so it first copies their records to `_synsight/lineage.json`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synsight.files import read_json, write_json
from synsight.records import Version, as_json

PROPERTY = "synsight"
"""Name of the transaction property that holds the record."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Who makes a new version of a catalog, and from what settings."""

    verb: str
    """The command, as "words"."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Its resolved settings, as JSON values."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What it counted, as {"rows": 1024}."""

    def properties(self, **more_counts: int) -> dict[str, str]:
        """The transaction properties that carry this record, with package version and time."""
        record = {
            "verb": self.verb,
            "config": dict(self.config),
            "counts": {**self.counts, **more_counts},
            "package_version": package_version(),
            "created_at": now(),
        }
        return {PROPERTY: json.dumps(record, ensure_ascii=False, default=str)}


def version_record(
    number: int, rows: int, created_at: str, verb: str, properties: Mapping[str, str]
) -> Version:
    """The record of a version from its transaction.

    Args:
        number: The version.
        rows: Rows in it.
        created_at: When the table says it was made; ISO 8601.
        verb: What to call it when the transaction carries no record of ours (a compaction).
        properties: The transaction's.
    """
    record = json.loads(properties.get(PROPERTY, "{}"))
    return Version(
        version=number,
        verb=record.get("verb", verb),
        created_at=record.get("created_at", created_at),
        rows=rows,
        config=record.get("config", {}),
        package_version=record.get("package_version", ""),
        counts=record.get("counts", {}),
    )


def keep_records(path: Path, versions: list[Version]) -> None:
    """Add the records of versions that are about to go to the file of former versions."""
    known = {one.version: one for one in former_versions(path)}
    known.update({one.version: one for one in versions})
    write_json(path, [as_json(known[number]) for number in sorted(known)])


def former_versions(path: Path) -> list[Version]:
    """The records of versions that a purge removed."""
    return [Version(**record) for record in read_json(path)] if path.exists() else []


def package_version() -> str:
    """The installed synsight's version; empty when it runs from a bare source tree."""
    try:
        return version("synsight")
    except PackageNotFoundError:
        return ""


def now() -> str:
    """The moment in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
