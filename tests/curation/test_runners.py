"""R10: audit and repair keep the same rows and the same bytes wherever their stages run.

Ray's part runs where Ray is installed: pip install -e ".[dev,cluster]"; elsewhere it is left out.
"""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from killing import Telling, two_killed
from planted import catalog_of, shipped
from synsight.curation.audit import caption_checks, image_checks
from synsight.curation.audit.auditing import audit
from synsight.curation.repair import clean_column, cleaning, spelling, steps
from synsight.curation.repair.repairing import repair
from synsight.data.catalog import Catalog
from synsight.process_pool import ProcessRunner
from synsight.records import AuditSummary
from synsight.stages import Runner, ThreadRunner

ROWS = 240
TEMPLATE = "Part of the Big Icon Collection"
SAID = (
    "a red heart",
    "red_star.png",
    None,
    f"a dog. {TEMPLATE}",
    "IMG_0001.jpg",
    "caf\u00c3\u00a9 cup",
    "a xqzv",
)

NOUNS = [
    "cat",
    "dog",
    "tree",
    "car",
    "star",
    "cup",
    "fish",
    "bird",
    "house",
    "boat",
    "shoe",
    "hat",
    "key",
    "lamp",
]


@pytest.fixture(params=["processes", "ray"])
def elsewhere(request) -> Runner:
    return ProcessRunner(workers=2) if request.param == "processes" else request.getfixturevalue("cluster")


@pytest.fixture
def small_chunks(monkeypatch):
    """So that two workers share the rows."""
    for module in (caption_checks, cleaning, clean_column, spelling, steps):
        monkeypatch.setattr(module, "ROWS_PER_CHUNK", 60)
    monkeypatch.setattr(image_checks, "BYTES_PER_CHUNK", 1)


def catalogs(folder: Path) -> tuple[Path, Path]:
    """The same rows twice: images good, broken and double, captions of every kind."""
    images = shipped("emoji", ROWS)
    images[3], images[5], images[7] = b"no image", None, images[6]
    captions = [f"{text} {n % 50}" if n % 3 and text else text for n, text in enumerate(SAID * 35)][:ROWS]
    captions[0] = "a red haert 50"
    for name in ("here", "there"):
        catalog_of(
            folder / name,
            images,
            caption=captions,
            keywords=[[NOUNS[n % len(NOUNS)]] if n % 4 else None for n in range(ROWS)],
            group=[f"g{n // 2}" for n in range(ROWS)],
            split=["test" if n % 5 == 0 else "train" for n in range(ROWS)],
        )
    return folder / "here", folder / "there"


def whole(path: Path) -> pa.Table:
    catalog = Catalog.open(path)
    return catalog.table(catalog.columns)


def audited(catalog: Path, runner: Runner) -> tuple[AuditSummary, bytes, dict]:
    """An audit's summary, and its files without where they were written."""
    out = catalog.with_name(f"audit_{catalog.name}")
    summary = audit(catalog, out=out, runner=runner, checks=("images", "duplicates", "captions"))
    told = json.loads((out / "audit.json").read_text())
    return (
        summary,
        (out / "findings.parquet").read_bytes(),
        {name: value for name, value in told.items() if name not in ("out", "report")},
    )


def repaired(catalog: Path, runner: Runner) -> bytes:
    out = catalog.with_name(f"repair_{catalog.name}")
    repair(catalog, borrow=("keywords",), runner=runner, out=out)
    return (out / "changes.jsonl").read_bytes()


def test_an_audit_finds_the_same_and_writes_the_same_bytes(elsewhere, small_chunks, tmp_path):
    here, there = catalogs(tmp_path)
    (first, *files), (_, *others) = audited(here, ThreadRunner(workers=2)), audited(there, elsewhere)
    assert first.findings["unreadable"] == 2
    assert first.findings["boilerplate"] > 20
    assert first.numbers["effective_captions"] > 0
    assert others == files
    assert whole(there).equals(whole(here), check_metadata=True)


def test_a_repair_writes_the_same_captions(elsewhere, small_chunks, tmp_path):
    here, there = catalogs(tmp_path)
    first, second = repaired(here, ThreadRunner(workers=2)), repaired(there, elsewhere)
    origins = whole(here)["caption_origin"].to_pylist()
    assert {"original", "cleaned", "keywords"} <= set(origins)
    assert whole(here)["caption_clean"][0].as_py() == "a red heart 50"
    assert second == first
    assert first.count(b"\n") == sum(one not in ("original", None) for one in origins)
    assert whole(there).equals(whole(here), check_metadata=True)


def test_an_audit_and_a_repair_whose_workers_are_killed_write_the_same(cluster, small_chunks, tmp_path):
    here, there = catalogs(tmp_path)
    first = audited(here, ThreadRunner(workers=2))[1:], repaired(here, ThreadRunner(workers=2))
    second = []
    for work in (lambda runner: audited(there, runner)[1:], lambda runner: repaired(there, runner)):
        folder = tmp_path / f"processes_{len(second)}"
        with two_killed(folder) as killed:
            second.append(work(Telling(cluster, folder)))
        assert len(killed) == 2
    assert tuple(second) == first
    assert whole(there).equals(whole(here), check_metadata=True)
    assert whole(there).num_rows == ROWS
