"""What every runner must keep, shown on the thread runner."""

import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from synsight.errors import CatalogError, ConfigError, DataError, StorageError
from synsight.stages import REJECTED, Chunk, Ledger, Receipt, ThreadRunner, chunk_key, stage_key


def numbers(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(start, stop), pa.int64())], ["n"])


@dataclass
class Numbers:
    """0 to `chunks * size - 1`."""

    count: int
    size: int = 10

    def chunks(self) -> Iterator[Chunk]:
        for start in range(0, self.count * self.size, self.size):
            yield Chunk(
                chunk_key(start), self.size, partial(numbers, start, start + self.size), f"from {start}"
            )


@dataclass
class Doubling:
    """Doubles; rejects multiples of 7."""

    name: str = "double"
    version: str = "1"
    settings: Mapping[str, object] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        values = batch.column("n").to_pylist()
        self.calls.append(values[0])
        time.sleep(0.001 * (values[0] // 10 % 3))  # so that chunks overtake one another
        reasons = ["seven" if value % 7 == 0 else None for value in values]
        return pa.record_batch([pa.array([2 * v for v in values]), pa.array(reasons)], ["n", REJECTED])


class Memory:
    """A sink that keeps rows in memory, and may fail."""

    def __init__(self, group: int = 25) -> None:
        self.parts: dict[str, list[int]] = {}
        self.whole: dict[str, list[int]] = {}
        self.rejected: list[tuple[int, str]] = []
        self.group, self.commits, self.finished = group, 0, 0
        self.fail_at: str | None = None

    def write(self, key, kept, rejected):
        if key == self.fail_at:
            raise StorageError("disk full")
        self.parts[key] = kept.column("n").to_pylist()
        self.rejected += zip(
            rejected.column("n").to_pylist(), rejected.column(REJECTED).to_pylist(), strict=True
        )
        return {"key": key}

    def holds(self, receipt):
        return receipt.key in self.parts

    def commit(self, receipts):
        self.commits += 1
        for receipt in receipts:
            self.whole.setdefault(receipt.key, self.parts[receipt.key])

    def commit_due(self, rows):
        return rows >= self.group

    def finish(self, receipts):
        self.finished = len(list(receipts))

    @property
    def rows(self):
        return [value for part in self.whole.values() for value in part]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture(params=[ThreadRunner(workers=1, in_flight=1), ThreadRunner(workers=3)], ids=["one", "three"])
def runner(request):
    return request.param


def run(runner, stage, source, sink, ledger):
    return runner.run(stage, source, sink, ledger=ledger, description="double")


def test_results_come_in_the_order_of_the_source(runner, ledger):
    sink = Memory()
    counts = run(runner, Doubling(), Numbers(20), sink, ledger)
    assert sink.rows == [2 * n for n in range(200) if n % 7]
    assert (counts.rows_in, counts.chunks_done, counts.chunks_skipped) == (200, 20, 0)
    assert sink.finished == 20


def test_rows_in_are_rows_out_and_rejected(runner, ledger):
    sink = Memory()
    counts = run(runner, Doubling(), Numbers(20), sink, ledger)
    assert counts.rows_in == counts.rows_out + counts.rejected
    assert counts.reasons == {"seven": 29} == {"seven": len(range(0, 200, 7))}
    assert sorted(sink.rejected) == [(2 * n, "seven") for n in range(0, 200, 7)]


def test_commits_are_for_groups_of_chunks(runner, ledger):
    sink = Memory(group=50)
    run(runner, Doubling(), Numbers(20), sink, ledger)
    assert 3 <= sink.commits <= 4


def test_a_rerun_of_a_finished_job_does_no_stage_work(runner, ledger):
    sink, stage = Memory(), Doubling()
    first = run(runner, stage, Numbers(20), sink, ledger)
    stage.calls.clear()
    commits = sink.commits
    again = run(runner, stage, Numbers(20), sink, ledger)
    assert stage.calls == []
    assert sink.commits == commits
    assert (again.rows_in, again.rows_out, again.rejected) == (first.rows_in, first.rows_out, first.rejected)
    assert (again.chunks_done, again.chunks_skipped) == (0, 20)


@pytest.mark.parametrize("change", [{"name": "other"}, {"version": "2"}, {"settings": {"by": 2}}])
def test_other_code_or_settings_are_another_job(runner, ledger, change):
    run(runner, Doubling(), Numbers(3), Memory(), ledger)
    stage = Doubling(**change)
    counts = run(runner, stage, Numbers(3), Memory(), ledger)
    assert counts.chunks_done == 3


def test_after_a_failing_write_the_same_run_goes_on_there(runner, ledger):
    sink, stage = Memory(), Doubling()
    sink.fail_at = chunk_key(100)
    with pytest.raises(StorageError):
        run(runner, stage, Numbers(20), sink, ledger)
    sink.fail_at = None
    stage.calls.clear()
    counts = run(runner, stage, Numbers(20), sink, ledger)
    assert counts.chunks_skipped == 10
    assert sorted(stage.calls) == list(range(100, 200, 10))
    assert sink.rows == [2 * n for n in range(200) if n % 7]


def test_what_a_sink_lost_is_done_again(runner, ledger):
    run(runner, Doubling(), Numbers(3), Memory(), ledger)
    sink = Memory()
    counts = run(runner, Doubling(), Numbers(3), sink, ledger)
    assert counts.chunks_done == 3
    assert len(sink.parts) == 3


def test_batches_in_flight_are_bounded(ledger):
    open_now, most, lock = 0, 0, threading.Lock()

    class Counting(Numbers):
        def chunks(self):
            for chunk in super().chunks():
                yield Chunk(chunk.key, chunk.rows, partial(self.read, chunk), chunk.name)

        def read(self, chunk):
            nonlocal open_now, most
            with lock:
                open_now += 1
                most = max(most, open_now)
            return chunk.read()

    class Slow(Memory):
        def write(self, *arguments):
            nonlocal open_now
            time.sleep(0.002)
            with lock:
                open_now -= 1
            return super().write(*arguments)

    run(ThreadRunner(workers=2, in_flight=3), Doubling(), Counting(40), Slow(), ledger)
    assert 2 <= most <= 3


class Broken(Doubling):
    def __call__(self, batch):
        if batch.column("n")[0].as_py() == 50:
            raise ValueError("cannot double 50")
        return super().__call__(batch)


def test_a_failing_stage_names_the_chunk_and_keeps_what_came_before(runner, ledger):
    sink = Memory()
    with pytest.raises(DataError, match="double failed on chunk from 50: ValueError: cannot double 50"):
        run(runner, Broken(), Numbers(20), sink, ledger)
    counts = run(runner, Doubling(), Numbers(20), sink, ledger)
    assert counts.chunks_skipped == 5


class Losing(Doubling):
    def __call__(self, batch):
        return super().__call__(batch).slice(1)


def test_a_stage_that_loses_rows_is_refused(runner, ledger):
    with pytest.raises(DataError, match="10 announced, 10 read, 9 returned"):
        run(runner, Losing(), Numbers(2), Memory(), ledger)


def test_a_chunk_that_announces_other_rows_than_it_reads_is_refused(runner, ledger):
    class Lying(Numbers):
        def chunks(self):
            yield Chunk("a", 11, partial(numbers, 0, 10))

    with pytest.raises(DataError, match="11 announced, 10 read"):
        run(runner, Doubling(), Lying(1), Memory(), ledger)


def test_two_chunks_of_one_key_are_refused(runner, ledger):
    class Twice(Numbers):
        def chunks(self):
            yield from [*super().chunks(), *super().chunks()]

    with pytest.raises(DataError, match="distinct keys"):
        run(runner, Doubling(), Twice(2), Memory(), ledger)


def test_a_stage_without_rejects_keeps_all(runner, ledger):
    class Plain(Doubling):
        def __call__(self, batch):
            return super().__call__(batch).drop_columns([REJECTED])

    class Kept(Memory):
        def write(self, key, kept, rejected):
            assert rejected.num_rows == 0
            self.parts[key] = kept.column("n").to_pylist()
            return {}

    counts = run(runner, Plain(), Numbers(2), Kept(), ledger)
    assert (counts.rows_out, counts.rejected, counts.reasons) == (20, 0, {})


def test_an_empty_source_is_a_finished_job(runner, ledger):
    assert run(runner, Doubling(), Numbers(0), Memory(), ledger).rows_in == 0


def test_stages_and_chunks_travel_to_other_processes():
    chunk = next(Numbers(1).chunks())
    stage = pickle.loads(pickle.dumps(Doubling()))
    assert stage(pickle.loads(pickle.dumps(chunk)).read()).num_rows == 10
    assert stage_key(stage) == stage_key(Doubling())


def test_keys_do_not_depend_on_the_order_of_settings():
    assert stage_key(Doubling(settings={"a": 1, "b": 2})) == stage_key(Doubling(settings={"b": 2, "a": 1}))
    assert stage_key(Doubling(settings={"a": 1})) != stage_key(Doubling(settings={"a": 2}))


def test_settings_without_a_stable_hash_are_refused():
    with pytest.raises(ConfigError, match="JSON values"):
        stage_key(Doubling(settings={"function": len}))


def test_a_runner_without_workers_is_refused():
    with pytest.raises(ConfigError, match="workers must be >= 1"):
        ThreadRunner(workers=0)


def receipt(key, **more):
    return Receipt(key=key, value={"at": key}, rows_in=3, rows_out=2, rejected=1, reasons={"x": 1}, **more)


def test_the_ledger_gives_back_what_it_was_told(ledger):
    ledger.note("s", receipt("b"))
    ledger.note("s", receipt("a"))
    ledger.note("other", receipt("a"))
    assert ledger.receipt("s", "a") == receipt("a")
    assert ledger.receipt("s", "c") is None
    assert [one.key for one in ledger.receipts("s")] == ["b", "a"]
    ledger.mark_committed("s", ["b"])
    assert ledger.receipt("s", "b") == receipt("b", committed=True)
    assert [(stage, one.key) for stage, one in ledger.waiting()] == [("s", "a"), ("other", "a")]


def test_a_chunk_noted_again_keeps_its_place(ledger):
    for key in ("b", "a", "b"):
        ledger.note("s", receipt(key))
    assert [one.key for one in ledger.receipts("s")] == ["b", "a"]


def test_the_ledger_is_synced_at_each_note(ledger):
    database = ledger._database
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_file_that_is_no_ledger_is_one_sentence(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(CatalogError, match="expected a ledger, found something else"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_second_run_on_one_ledger_is_refused(runner, ledger):
    with (
        Ledger(ledger.path) as other,
        other.exclusive(),
        pytest.raises(CatalogError, match="another process"),
    ):
        run(runner, Doubling(), Numbers(1), Memory(), ledger)
    run(runner, Doubling(), Numbers(1), Memory(), ledger)


NOTING = """
import sys
from synsight.stages import Ledger, Receipt
ledger = Ledger(sys.argv[1])
for number in range(10**9):
    ledger.note("s", Receipt(key=str(number), value={}, rows_in=1, rows_out=1, rejected=0))
    print(number, flush=True)
"""


def test_no_noted_chunk_is_lost_by_a_kill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    process = subprocess.Popen([sys.executable, "-c", NOTING, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    acknowledged += process.communicate()[0].split("\n")[:-1]
    with Ledger(path) as ledger:
        kept = {one.key for one in ledger.receipts("s")}
    assert set(acknowledged) <= kept


STOPPED = """
import sys
sys.path.insert(0, {folder!r})
from test_stages import *
from synsight.errors import Interrupted
class Slow(Doubling):
    def __call__(self, batch):
        time.sleep(0.05)
        print("working", flush=True)
        return super().__call__(batch)
sink = Memory(group=10)
try:
    with Ledger({path!r}) as ledger:
        ThreadRunner(workers=2).run(Slow(), Numbers(1000), sink, ledger=ledger, description="double")
except Interrupted as stopped:
    print(stopped)
    print("rows", len(sink.rows), sink.rows == [2 * n for n in range(10000) if n % 7][: len(sink.rows)])
    sys.exit(stopped.exit_code)
"""


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    path = str(tmp_path / "ledger.sqlite")
    program = STOPPED.format(folder=str(Path(__file__).parent), path=path)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(6):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130, output
    assert "double was stopped; " in output
    assert "run the same command again" in output
    with Ledger(path) as ledger:
        done = list(ledger.receipts(stage_key(Doubling())))
    acknowledged = sum(one.rows_out for one in done)
    rows, is_prefix = output.splitlines()[-1].removeprefix("rows ").split()
    assert is_prefix == "True"
    assert 0 < acknowledged - 10 <= int(rows) <= acknowledged  # the last one may wait for the next run
