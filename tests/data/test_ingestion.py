"""Ingest: rows, rejects, splits, ids; exactly once, whenever it is killed."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pictures import encoded, jpeg, picture, png, put

from synsight.data import checking
from synsight.data.catalog import Catalog, Commit
from synsight.data.checking import CheckImages
from synsight.data.ingestion import ingest
from synsight.data.sources import open_source
from synsight.errors import CatalogError, DataError, StorageError
from synsight.stages import ThreadRunner, stage_key


def rows_of(path, *columns) -> list:
    table = Catalog.open(path).table(columns or ["id"])
    return (
        table.column(0).to_pylist()
        if len(columns) < 2
        else [tuple(row.values()) for row in table.to_pylist()]
    )


def rejects_of(path) -> list[tuple]:
    table = pq.read_table(Path(path) / "rejected.parquet")
    return [(row["place"], row["reject_reason"]) for row in table.to_pylist()]


def mixed_folder(folder: Path, count: int = 40) -> Path:
    """Good images of all formats among bad files of every kind."""
    kinds = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
    put(
        folder,
        {f"good/{n:04}.{kinds[n % 6].lower()}": encoded(picture(n), kinds[n % 6]) for n in range(count)},
    )
    return put(
        folder,
        {
            "bad/cut.jpg": jpeg(1)[:-100],
            "bad/empty.png": b"",
            "bad/notes.jpg": "only text",
            "bad/page.png": "<html></html>",
            "bad/draft.psd": b"8BPS" + bytes(30),
            "good/png_named.jpg": png(999),
        },
    )


def test_a_folder_becomes_a_catalog_and_every_row_is_counted(tmp_path):
    summary = ingest(mixed_folder(tmp_path / "in"), out=tmp_path / "cat")
    assert (summary.rows, summary.rejected, summary.catalog) == (41, 5, str(tmp_path / "cat"))
    assert summary.reasons == {"truncated": 1, "empty": 1, "not_an_image": 2, "unsupported_format": 1}
    assert sum(summary.splits.values()) == 41
    assert summary.columns == {
        "image": "files",
        "file_name": "paths of the files",
        "label": "names of the class folders",
    }
    assert rejects_of(tmp_path / "cat") == [
        ("bad/cut.jpg", "truncated"),
        ("bad/draft.psd", "unsupported_format"),
        ("bad/empty.png", "empty"),
        ("bad/notes.jpg", "not_an_image"),
        ("bad/page.png", "not_an_image"),
    ]
    found = rows_of(tmp_path / "cat", "file_name", "format", "width", "height", "image")
    assert found[-1] == ("good/png_named.jpg", "png", 48, 32, png(999))


def test_the_columns_of_a_catalog_come_in_one_order_with_caption_and_keywords_always_there(tmp_path):
    put(tmp_path / "in", {"a.png": png(), "t.csv": "note,lot,path,class,split\nhello,7,a.png,x,dev\n"})
    ingest(tmp_path / "in/t.csv", out=tmp_path / "cat")
    catalog = Catalog.open(tmp_path / "cat")
    made = ["id", "image", "width", "height", "format", "caption", "keywords", "label", "group", "split"]
    assert catalog.columns == [*made, "note", "lot", "path", "class"]
    row = catalog.table(["caption", "keywords", "label", "group", "split", "lot"]).to_pylist()[0]
    assert row == {"caption": "hello", "keywords": None, "label": "x", "group": "7", "split": "val", "lot": 7}
    put(tmp_path / "flat", {"a.png": png()})
    ingest(tmp_path / "flat", out=tmp_path / "flat_cat")
    assert rows_of(tmp_path / "flat_cat", "caption", "keywords") == [(None, None)]


def test_the_list_of_rejects_begins_with_place_reason_and_sentence_even_when_it_is_empty(tmp_path):
    for name, files in (("none", {}), ("one", {"b.png": b""})):
        ingest(put(tmp_path / name, {"a.png": png()} | files), out=tmp_path / f"{name}_cat")
        table = pq.read_table(tmp_path / f"{name}_cat" / "rejected.parquet")
        assert table.column_names[:3] == ["place", "reject_reason", "reject_message"]
        assert "image" not in table.column_names
        assert table.num_rows == len(files)


def test_the_first_version_says_what_made_it(tmp_path):
    ingest(put(tmp_path / "in", {"a.png": png()}), out=tmp_path / "cat")
    first = Catalog.open(tmp_path / "cat").versions()[0]
    assert first.verb == "ingest"
    assert first.config["source"] == str(tmp_path / "in")
    assert first.config["columns"] == {"image": "files", "file_name": "paths of the files"}


def test_an_id_is_the_hash_of_the_bytes_and_copies_are_numbered_in_order(tmp_path):
    put(tmp_path / "in", {f"{name}.png": png(name in "bdf") for name in "abcdef"})
    ingest(tmp_path / "in", out=tmp_path / "cat")
    one, two = (hashlib.sha256(png(seed)).hexdigest()[:32] for seed in (0, 1))
    assert rows_of(tmp_path / "cat", "id") == [one, two, f"{one}-2", f"{two}-2", f"{one}-3", f"{two}-3"]
    assert len({split for key, split in rows_of(tmp_path / "cat", "id", "split") if key.startswith(one)}) == 1


def test_thousands_of_copies_of_one_image_are_numbered_too(tmp_path):
    put(tmp_path, {"a.png": png(), "t.csv": "file_name\n" + "a.png\n" * 2500})
    ingest(tmp_path / "t.csv", out=tmp_path / "cat")
    suffixes = [key.partition("-")[2] for key in rows_of(tmp_path / "cat", "id")]
    assert suffixes == ["", *(str(n) for n in range(2, 2501))]


def test_a_group_is_in_one_split_and_given_splits_are_kept(tmp_path):
    lines = [f"a.png,lot {n % 40},{'test' if n == 3 else ''}" for n in range(400)]
    put(tmp_path, {"a.png": png(), "t.csv": "file_name,lot,split\n" + "\n".join(lines)})
    ingest(tmp_path / "t.csv", out=tmp_path / "cat")
    rows = rows_of(tmp_path / "cat", "group", "split")
    assert rows[3] == ("lot 3", "test")
    drawn = {
        group: {split for n, (one, split) in enumerate(rows) if one == group and n != 3} for group, _ in rows
    }
    assert all(len(splits) == 1 for splits in drawn.values())
    assert {split for splits in drawn.values() for split in splits} == {"train", "val", "test"}


def test_strict_makes_the_first_reject_an_error_that_names_it(tmp_path):
    folder = put(tmp_path / "in", {"a.png": png(), "b.png": b""})
    with pytest.raises(DataError, match=r"^b\.png: expected an image, found a file of 0 bytes"):
        ingest(folder, out=tmp_path / "cat", strict=True)
    assert ingest(folder, out=tmp_path / "cat").rejected == 1
    with pytest.raises(DataError, match=r"found 1 empty"):
        ingest(folder, out=tmp_path / "cat", strict=True)


def test_when_no_row_can_be_used_the_error_says_why(tmp_path):
    folder = put(tmp_path / "in", {"a.png": b"", "b.png": "text", "c.png": ""})
    with pytest.raises(DataError, match=r"none of 3 rows can be used \(2 empty, 1 not_an_image\)"):
        ingest(folder, out=tmp_path / "cat")


def test_a_catalog_as_the_source_is_said_to_be_one(tmp_path):
    ingest(put(tmp_path / "in", {"a.png": png()}), out=tmp_path / "cat")
    with pytest.raises(DataError, match=r"cat: is a catalog already; use it as it is, as in `synsight words"):
        ingest(tmp_path / "cat", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    folder = put(tmp_path / "in", {"a.png": png()})
    put(tmp_path / "mine", {"thesis.tex": "years of work"})
    with pytest.raises(CatalogError, match=r"expected a new or empty folder, found 'thesis\.tex'"):
        ingest(folder, out=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_the_catalog_of_another_source_or_of_an_earlier_state_is_an_error(tmp_path):
    first, second = (put(tmp_path / name, {f"{name}.png": png()}) for name in ("one", "two"))
    ingest(first, out=tmp_path / "cat")
    with pytest.raises(CatalogError, match=rf"found one made from {first}; choose another folder"):
        ingest(second, out=tmp_path / "cat")
    put(first, {"more.png": png(1)})
    with pytest.raises(CatalogError, match=r"made from an earlier state of it"):
        ingest(first, out=tmp_path / "cat")


def test_a_finished_ingest_run_again_decodes_nothing_and_says_the_same(tmp_path, monkeypatch):
    folder = mixed_folder(tmp_path / "in")
    summary = ingest(folder, out=tmp_path / "cat")
    version = Catalog.open(tmp_path / "cat").version
    monkeypatch.setattr(checking, "check_image", lambda *_: pytest.fail("an image was decoded"))
    assert ingest(folder, out=tmp_path / "cat") == summary
    assert Catalog.open(tmp_path / "cat").version == version


def test_equal_input_gives_equal_catalogs_whatever_the_number_of_threads(tmp_path):
    folder = mixed_folder(tmp_path / "in", 60)
    for workers in (1, 2, 5):
        ingest(folder, out=tmp_path / f"cat{workers}", runner=ThreadRunner(workers=workers))
    tables = [
        Catalog.open(tmp_path / f"cat{n}").table(["id", "image", "file_name", "split"]) for n in (1, 2, 5)
    ]
    assert tables[0] == tables[1] == tables[2]
    prints = {Catalog.open(tmp_path / f"cat{n}").fingerprint(("image", "split")) for n in (1, 2, 5)}
    assert len(prints) == 1


def test_of_every_kind_of_damage_no_good_row_is_lost(tmp_path):
    rng = random.Random(1)
    files = {}
    for n in range(120):
        good = encoded(picture(n, width=100, height=80), ("JPEG", "PNG")[n % 2])
        files[f"{n:03}_good.jpg"] = good
        files[f"{n:03}_bad.jpg"] = (good[: len(good) // 2], b"", b"<html>", rng.randbytes(900))[n % 4]
    summary = ingest(put(tmp_path / "in", files), out=tmp_path / "cat")
    assert (summary.rows, summary.rejected) == (120, 120)
    assert all(name.endswith("_good.jpg") for name in rows_of(tmp_path / "cat", "file_name"))
    assert summary.reasons == {"truncated": 30, "empty": 30, "not_an_image": 60}


def test_a_stopped_ingest_keeps_the_numbers_of_copies_when_it_goes_on(tmp_path, monkeypatch):
    put(tmp_path, {"a.png": png(), "t.csv": "file_name\n" + "a.png\n" * 3500})
    calls = []

    def stop_in_the_third_chunk(*arguments):
        calls.append(1)
        if len(calls) > 2500:
            raise StorageError("stopped.")
        return real(*arguments)

    real = checking.check_image
    monkeypatch.setattr(checking, "check_image", stop_in_the_third_chunk)
    with pytest.raises(StorageError):
        ingest(tmp_path / "t.csv", out=tmp_path / "cat", runner=ThreadRunner(workers=1))
    monkeypatch.setattr(checking, "check_image", real)
    ingest(tmp_path / "t.csv", out=tmp_path / "cat")
    suffixes = [key.partition("-")[2] for key in rows_of(tmp_path / "cat", "id")]
    assert suffixes == ["", *(str(n) for n in range(2, 3501))]


# -- killed ------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from synsight.data.ingestion import ingest
from synsight.stages import ThreadRunner
print("ready", flush=True)
ingest(sys.argv[1], out=sys.argv[2], runner=ThreadRunner(workers=2))
"""


@pytest.fixture(scope="module")
def torture_source(tmp_path_factory) -> Path:
    """12,000 rows: images with many copies, missing files and bad rows; seconds of work."""
    folder = tmp_path_factory.mktemp("torture")
    put(folder, {f"{n}.jpg": jpeg(n, quality=60) for n in range(300)} | {"bad.jpg": b"nothing"})
    lines = []
    for n in range(12_000):
        name = "bad.jpg" if n % 97 == 0 else "missing.jpg" if n % 101 == 0 else f"{n % 300}.jpg"
        lines.append(f"{name},caption {n}" if n % 103 else f"{name}")
    put(folder, {"t.csv": "file_name,caption\n" + "\n".join(lines)})
    return folder / "t.csv"


@pytest.fixture(scope="module")
def whole(torture_source, tmp_path_factory) -> tuple[Path, float]:
    """The catalog that nobody killed, and the seconds it took."""
    out = tmp_path_factory.mktemp("whole") / "cat"
    start = time.perf_counter()
    ingest(torture_source, out=out)
    return out, time.perf_counter() - start


def killed_after(source: Path, out: Path, seconds: float) -> bool:
    """Start the real command in a process, kill it with SIGKILL; False when it had ended before."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(source), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def survives_kills(source: Path, whole: tuple[Path, float], out: Path, *, seed: int, kills: int) -> int:
    """Kill at random moments, look each time, then let it end and compare. Returns how many kills hit."""
    expected, seconds = whole
    stage = stage_key(CheckImages(schema=open_source(source).schema))
    rng, hits, committed = random.Random(seed), 0, 0
    for _ in range(kills):
        hits += killed_after(source, out, rng.uniform(0, seconds * 0.6))
        if Catalog.exists(out):
            catalog = Catalog.open(out)
            ids = catalog.table(["id"]).column("id").to_pylist()
            assert len(ids) == len(set(ids)) >= committed
            committed = len(ids)
            with catalog.ledger() as ledger:
                acknowledged = list(ledger.receipts(stage))
            appender = catalog.appender(commit=Commit(verb="test"))
            assert all(appender.holds(receipt) for receipt in acknowledged), "acknowledged rows are lost"
            assert sum(one.rows_out for one in acknowledged) >= committed
    summary = ingest(source, out=out)
    columns = ["id", "image", "caption", "file_name", "split"]
    assert Catalog.open(out).table(columns) == Catalog.open(expected).table(columns)
    assert sorted(rejects_of(out)) == sorted(rejects_of(expected))
    assert summary.rows + summary.rejected == 12_000
    return hits


def test_killed_three_times_an_ingest_loses_nothing_and_finishes_exactly(torture_source, whole, tmp_path):
    assert survives_kills(torture_source, whole, tmp_path / "cat", seed=1, kills=3) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_a_hundred_times_an_ingest_loses_nothing(torture_source, whole, tmp_path, seed):
    survives_kills(torture_source, whole, tmp_path / "cat", seed=100 + seed, kills=5)


def test_a_source_without_images_leaves_no_catalog_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected images, found none"):
        ingest(tmp_path / "empty", out=tmp_path / "cat")
    assert not (tmp_path / "cat").exists()
