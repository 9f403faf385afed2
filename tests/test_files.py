"""Files are whole or absent, even on a disk that fails at any write."""

import errno
import json
import os
from pathlib import Path

import pytest

from synsight import files
from synsight.errors import DataError, StorageError
from synsight.files import (
    append_json_line,
    read_json,
    read_json_lines,
    replacing,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)

FAILURES = [errno.ENOSPC, errno.EIO]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_with(number):
    def failing(*_, **__):
        raise OSError(number, os.strerror(number))

    return failing


WRITERS = {
    "bytes": lambda path: write_bytes(path, b"new"),
    "text": lambda path: write_text(path, "new"),
    "json": lambda path: write_json(path, {"new": 1}),
}


@pytest.mark.parametrize("number", FAILURES)
@pytest.mark.parametrize("call", ["_write_all", "replace", "fsync"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_failing_disk_leaves_the_former_file_and_no_litter(tmp_path, monkeypatch, writer, call, number):
    path = tmp_path / "result"
    path.write_text("old")
    monkeypatch.setattr(files if call == "_write_all" else os, call, fail_with(number))
    with pytest.raises(StorageError) as caught:
        WRITERS[writer](path)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert str(path) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_the_error_says_how_many_bytes_were_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_write_all", fail_with(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"could not be written \(12,345 bytes\): No space left"):
        write_bytes(tmp_path / "big", bytes(12_345))


def test_the_order_is_write_sync_rename_sync_folder(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        calls.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_sync(descriptor)

    def replace(source, target):
        calls.append(("rename", Path(target).name))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_text(tmp_path / "a.txt", "x")
    at = calls.index(("rename", "a.txt"))
    assert any(kind == "sync" and name.startswith(".a.txt.") for kind, name in calls[:at])
    assert ("sync", tmp_path.name) in calls[at:]


def test_a_block_that_raises_leaves_the_former_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "folder"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / f"{text}.txt").write_text(text)
    assert names(path) == ["second.txt"]
    assert names(tmp_path) == ["folder"]


def fill(temporary, text):
    temporary.mkdir()
    (temporary / "inside.txt").write_text(text)


@pytest.mark.parametrize("number", FAILURES)
@pytest.mark.parametrize("step", ["sync", "sync, two steps", "second of two steps"])
def test_a_failing_disk_leaves_the_former_folder(tmp_path, monkeypatch, step, number):
    path = tmp_path / "folder"
    with replacing(path) as temporary:
        fill(temporary, "old")
    real_replace, failing = os.replace, fail_with(number)
    if "two steps" in step:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())
    if "sync" in step:
        monkeypatch.setattr(os, "fsync", failing)
    else:
        calls = iter([real_replace, failing, real_replace])
        monkeypatch.setattr(os, "replace", lambda *names: next(calls)(*names))
    with pytest.raises(StorageError), replacing(path) as temporary:
        fill(temporary, "new")
    monkeypatch.undo()
    assert (path / "inside.txt").read_text() == "old"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_a_file_and_a_file_of_a_folder(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())
    path = tmp_path / "thing"
    write_text(path, "file")
    with replacing(path) as temporary:
        fill(temporary, "folder")
    assert (path / "inside.txt").read_text() == "folder"
    write_text(path, "file again")
    assert path.read_text() == "file again"
    assert names(tmp_path) == ["thing"]


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_json_line(path, {"step": 1})
    append_json_line(path, {"step": 2})
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert read_json_lines(path) == [{"step": 1}, {"step": 2}][: whole[:cut].count(b"\n")]


@pytest.mark.parametrize("number", FAILURES)
def test_a_line_that_cannot_be_appended_says_so(tmp_path, monkeypatch, number):
    real_open = type(tmp_path).open

    def open_failing(path, *arguments, **options):
        if path.suffix == ".jsonl":
            raise OSError(number, os.strerror(number))
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(type(tmp_path), "open", open_failing)
    with pytest.raises(StorageError, match=r"metrics\.jsonl"):
        append_json_line(tmp_path / "metrics.jsonl", {"step": 1})


def test_json_comes_back_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"käse": [1, None, "猫"]})
    assert read_json(path) == {"käse": [1, None, "猫"]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text())["käse"] == [1, None, "猫"]


def test_a_file_that_is_no_json_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="expected a JSON file, found nothing"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"{\xff")
    with pytest.raises(DataError, match="expected JSON, found something else"):
        read_json(tmp_path / "bad.json")


def test_sha256_is_the_known_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
