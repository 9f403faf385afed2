"""A killed stage leaves a catalog that opens; the same command finishes it, each row once."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from catalogs import Checking, Squaring, ingest_rows, square_column

from synsight.data.catalog import Catalog
from synsight.ledger import Ledger
from synsight.stages import stage_key

ROWS = 3_000
KEPT = [n for n in range(ROWS) if n % 100 != 13]


def kill_at_random(verb: str, path: Path, generator: random.Random, seconds: float) -> bool:
    """Start the work, kill it somewhere in the middle; True if it was still at it."""
    program = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(program), verb, str(path), str(ROWS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(generator.uniform(0, seconds))
    process.kill()
    return "done" not in process.communicate()[0]


def acknowledged(path: Path, key: str) -> int:
    if not (path / "_synsight" / "ledger.sqlite").exists():
        return 0
    with Ledger(path / "_synsight" / "ledger.sqlite") as ledger:
        return len(list(ledger.receipts(key)))


def check_ingest(path: Path, generator: random.Random, kills: int) -> int:
    hits = committed = 0
    for _ in range(kills):
        hits += kill_at_random("ingest", path, generator, 0.7)
        if Catalog.exists(path):
            numbers = Catalog.open(path).table(["number"])["number"].to_pylist()
            assert numbers == KEPT[: len(numbers)]
            assert len(numbers) >= committed
            committed = len(numbers)
    done = acknowledged(path, stage_key(Checking()))
    stage = Checking()
    counts = ingest_rows(path, ROWS, size=50, stage=stage)
    assert stage.calls == ROWS // 50 - done == counts.chunks_done
    catalog = Catalog.open(path)
    assert catalog.table(["number"])["number"].to_pylist() == KEPT
    assert (counts.rows_in, counts.rows_out, counts.rejected) == (ROWS, len(KEPT), ROWS - len(KEPT))
    return hits


def check_column(path: Path, generator: random.Random, kills: int) -> int:
    hits = 0
    for _ in range(kills):
        hits += kill_at_random("square", path, generator, 0.4)
        assert Catalog.open(path).count_rows() == len(KEPT)
    stage = Squaring()
    finished = "square" in Catalog.open(path).columns
    done = acknowledged(path, stage_key(stage))
    counts = square_column(path, stage=stage, size=50)
    if finished:
        assert counts is None
    else:
        assert counts is not None
        assert (counts.chunks_skipped, stage.calls) == (done, -(-len(KEPT) // 50) - done)
    table = Catalog.open(path).table(["number", "square"])
    assert table["number"].to_pylist() == KEPT
    assert table["square"].to_pylist() == [n * n for n in KEPT]
    return hits


def test_an_ingest_killed_three_times_is_finished_by_the_same_command(tmp_path):
    check_ingest(tmp_path / "cat", random.Random(time.time_ns()), kills=3)


def test_a_column_stage_killed_three_times_is_finished_by_the_same_command(tmp_path):
    ingest_rows(tmp_path / "cat", ROWS)
    check_column(tmp_path / "cat", random.Random(time.time_ns()), kills=3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_and_double_nothing(tmp_path):
    generator, hits = random.Random(0), 0
    for number in range(50):
        hits += check_ingest(tmp_path / f"cat{number}", generator, kills=2)
        hits += check_column(tmp_path / f"cat{number}", generator, kills=1)
    assert hits > 50, "most kills came after the work: the test no longer tests"
