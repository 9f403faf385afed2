"""Full and failing disks: a clear sentence, the former version whole, and the same command finishes later."""

import errno
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from catalogs import COMMIT, filled, ingest_rows, rows, square_column

from synsight.data.catalog import Catalog, Commit
from synsight.errors import StorageError, SynsightError
from synsight.ledger import Ledger

PROGRAM = Path(__file__).with_name("killed.py")


class FailingSync:
    """Stands in for `os.fsync`; the n-th call fails."""

    def __init__(self, at, number):
        self.at, self.number, self.calls, self.real = at, number, 0, os.fsync

    def __call__(self, descriptor):
        self.calls += 1
        if self.calls == self.at:
            raise OSError(self.number, os.strerror(self.number))
        self.real(descriptor)


def syncs_of(monkeypatch, act):
    counting = FailingSync(-1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counting)
        act()
    return counting.calls


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_ingest_that_fails_at_any_sync_is_finished_by_the_same_command(tmp_path, monkeypatch, number):
    calls = syncs_of(monkeypatch, lambda: ingest_rows(tmp_path / "whole", 150))
    expected = Catalog.open(tmp_path / "whole").table(["number", "image"])
    assert calls > 15
    for at in range(1, calls + 1, 1 if number == errno.ENOSPC else 4):
        path = tmp_path / f"cat{at}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", FailingSync(at, number))
            with pytest.raises(StorageError) as caught:
                ingest_rows(path, 150)
        assert str(path) in str(caught.value)
        assert os.strerror(number) in str(caught.value)
        if Catalog.exists(path):
            Catalog.open(path).table(["number"])
        ingest_rows(path, 150)
        assert Catalog.open(path).table(["number", "image"]).equals(expected)
        shutil.rmtree(path)


def test_a_column_that_fails_at_any_sync_is_finished_by_the_same_command(tmp_path, monkeypatch):
    filled(tmp_path / "whole", 150)
    calls = syncs_of(monkeypatch, lambda: square_column(tmp_path / "whole"))
    for at in range(1, calls + 1):
        path = filled(tmp_path / f"cat{at}", 150).path
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", FailingSync(at, errno.ENOSPC))
            with pytest.raises(StorageError, match="No space left"):
                square_column(path)
        square_column(path)
        table = Catalog.open(path).table(["number", "square"])
        assert table["square"].to_pylist() == [n * n for n in table["number"].to_pylist()]


def test_a_purge_that_fails_at_any_sync_is_finished_by_the_same_call(tmp_path, monkeypatch):
    def purge(path):
        return Catalog.open(path).purge("number < 20")

    ingest_rows(tmp_path / "whole", 120)
    calls = syncs_of(monkeypatch, lambda: purge(tmp_path / "whole"))
    for at in range(1, calls + 1, 2):
        path = tmp_path / f"cat{at}"
        ingest_rows(path, 120)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", FailingSync(at, errno.EIO))
            with pytest.raises(SynsightError):
                purge(path)
        assert purge(path).hits == 0
        assert Catalog.open(path).table(["number"])["number"].to_pylist() == [
            n for n in range(20, 120) if n != 113
        ]


def test_nothing_is_acknowledged_before_it_is_synced(tmp_path, monkeypatch):
    events = []
    real_sync, real_note, real_mark = os.fsync, Ledger.note, Ledger.mark_committed

    def sync(descriptor):
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_sync(descriptor)

    def note(self, stage, receipt):
        events.append(("note", [one["files"][0]["path"] for one in receipt.value["fragments"]]))
        real_note(self, stage, receipt)

    def mark(self, stage, keys):
        newest = max(
            (tmp_path / "cat" / "_versions").glob("*.manifest"), key=lambda path: path.stat().st_mtime_ns
        )
        transaction = max(
            (tmp_path / "cat" / "_transactions").iterdir(), key=lambda path: path.stat().st_mtime_ns
        )
        events.append(("mark", [newest.name, transaction.name]))
        real_mark(self, stage, keys)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Ledger, "note", note)
    monkeypatch.setattr(Ledger, "mark_committed", mark)
    ingest_rows(tmp_path / "cat", 300)
    synced = set()
    for kind, what in events:
        if kind == "sync":
            synced.add(what)
        else:
            assert set(what) <= synced, kind
    assert [kind for kind, _ in events].count("note") == 3


@contextmanager
def small_disk(folder, megabytes):
    """A file system of its own, so that it can be full."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_work_goes_on_when_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk", 6) as disk:
        path, filler = disk / "cat", disk / "filler"
        ingest_rows(path, 1000)
        before = Catalog.open(path).count_rows()
        for spare in (0, 50_000, 200_000, 400_000, 800_000):
            filler.write_bytes(b"")
            free = shutil.disk_usage(disk).free
            filler.write_bytes(bytes(max(free - spare, 0)))
            with pytest.raises(StorageError) as caught:
                ingest_rows(path, 2500)
            assert "\n" not in str(caught.value)
            assert str(path) in str(caught.value)
            assert Catalog.open(path).count_rows() >= before
        filler.unlink()
        ingest_rows(path, 2500)
        numbers = Catalog.open(path).table(["number"])["number"].to_pylist()
        assert numbers == [n for n in range(2500) if n % 100 != 13]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("verb", ["ingest", "square"])
def test_the_system_saw_a_sync_of_every_acknowledged_file(tmp_path, verb):
    path, trace = tmp_path / "cat", tmp_path / "trace"
    if verb == "square":
        ingest_rows(path, 3000)
    old = {file for file in path.rglob("*") if file.is_file()}
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync,rename,link,renameat2", "-o", str(trace)]
    subprocess.run([*command, sys.executable, str(PROGRAM), verb, str(path), "3000"], check=True)
    text = trace.read_text()
    synced = {Path(one).name for one in re.findall(r"f(?:data)?sync\(\d+<([^>]+)>\)\s+= 0", text)}
    renamed = dict(re.findall(r'rename\("([^"]+)", "([^"]+)"\)\s+= 0', text))
    synced |= {Path(new).name for old_name, new in renamed.items() if Path(old_name).name in synced}
    not_ours = ("latest_version_hint.json", "-shm", ".lock")  # made again when missing
    for file in sorted({file for file in path.rglob("*") if file.is_file()} - old):
        assert file.name in synced or file.name.endswith(not_ours), file
    assert {"data", "_versions", "_transactions", "_synsight"} <= synced


def test_a_version_that_cannot_be_synced_is_not_reported(tmp_path, monkeypatch):
    catalog = filled(tmp_path / "cat")
    fragments = catalog.write_fragment(rows(100, 110))
    version = catalog.version
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", FailingSync(1, errno.EIO))
        with pytest.raises(StorageError, match="Input/output error"):
            catalog.append(fragments, commit=COMMIT)
    assert catalog.version == version
    catalog.append(fragments, commit=Commit(verb="again"))
    assert catalog.count_rows() == 110
