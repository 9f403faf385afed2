"""WebDataset tars: read in place, hostile ones too."""

import io
import json
import pickle
import tarfile
import time
import tracemalloc

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import jpeg, png

from synsight.data import Catalog, ingest
from synsight.data.export import export_webdataset
from synsight.data.sources import MESSAGE, open_source
from synsight.data.sources.roots import LocalRoot
from synsight.data.sources.shards import shards
from synsight.data.sources.tar_members import BrokenTarError, MemberRoot, members
from synsight.errors import DataError
from synsight.stages import REJECTED


def tar(path, files, *, form=tarfile.USTAR_FORMAT):
    """A tar of (name, bytes) or ready-made members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as out:
        for one in files:
            if isinstance(one, tarfile.TarInfo):
                out.addfile(one)
                continue
            info = tarfile.TarInfo(one[0])
            info.size = len(one[1])
            out.addfile(info, io.BytesIO(one[1]))
    return path


def rows_of(place, **chosen):
    source = open_source(place, chosen=chosen)
    rows = [row for chunk in source.chunks() for row in chunk.read().to_pylist()]
    assert len(rows) == source.rows
    return rows


def test_consecutive_members_with_one_key_are_one_row(tmp_path):
    about = json.dumps({"caption": "from json", "width_mm": 7, "key": "mine", "image": "theirs"}).encode()
    place = tar(
        tmp_path / "a.tar",
        [
            ("d/0.v1.jpg", jpeg(1)),
            ("d/0.v1.txt", b" a dog \n"),
            ("d/1.png", png(2)),
            ("d/1.json", about),
            ("d/1.cls", b"5"),
            ("d/2.txt", b"no image"),
        ],
    )
    rows = rows_of(place)
    assert [(row["key"], row["caption"], row["width_mm"], row["label"]) for row in rows] == [
        ("d/0", "a dog", None, None),
        ("d/1", "from json", 7, "5"),
        ("d/2", "no image", None, None),
    ]
    assert [row["image"] for row in rows] == [jpeg(1), png(2), None]
    assert rows[2][REJECTED] == "no_image"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read_in_every_format(tmp_path, form):
    long = "x" * 80 if form == tarfile.USTAR_FORMAT else "長い名前" * 60
    place = tar(tmp_path / "a.tar", [(f"{long}/1.png", png(3)), (f"{long}/1.txt", "犬".encode())], form=form)
    (row,) = rows_of(place)
    assert (row["image"], row["caption"]) == (png(3), "犬")


def test_brace_ranges_joins_folders_and_split_folders(tmp_path):
    for number in range(3):
        tar(tmp_path / f"s-{number:02d}.tar", [(f"{number}.png", png(number))])
    tar(tmp_path / "more" / "z.tar", [("9.png", png(9))])
    text = f"{tmp_path}/s-{{00..01}}.tar::{tmp_path}/more/z.tar"
    assert [row["key"] for row in rows_of(text)] == ["0", "1", "9"]
    assert [row["key"] for row in rows_of(f"file://{tmp_path}/s-{{01..02}}.tar")] == ["1", "2"]
    tar(tmp_path / "sets" / "train" / "0.tar", [("a.png", png(1))])
    tar(tmp_path / "sets" / "valid" / "0.tar", [("b.png", png(2))])
    assert [(row["key"], row["split"]) for row in rows_of(tmp_path / "sets")] == [
        ("a", "train"),
        ("b", "val"),
    ]


def test_a_list_of_tars_is_understood_or_refused_in_a_sentence(tmp_path):
    assert shards("a-{008..010}.tar::b.tar") == ["a-008.tar", "a-009.tar", "a-010.tar", "b.tar"]
    assert shards("a-{0..1}-{0..1}.tar") == ["a-0-0.tar", "a-0-1.tar", "a-1-0.tar", "a-1-1.tar"]
    assert shards("a.tar") is None
    assert shards("a.csv::b.tar") is None
    with pytest.raises(DataError, match="a range that rises"):
        shards("a-{5..1}.tar")
    with pytest.raises(DataError, match="at most 100,000 tars"):
        shards("a-{0..999999999}.tar")
    with pytest.raises(DataError, match=r"expected the tar s-1\.tar"):
        open_source(f"{tar(tmp_path / 's-0.tar', [('a.png', png(1))]).parent}/s-{{0..1}}.tar")
    with pytest.raises(DataError, match="found nothing"):
        open_source("pipe:touch /tmp/never")
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="compressed tar cannot be read in place"):
        open_source(tmp_path / "x.tar.gz")


def test_our_own_export_comes_back_the_same(tmp_path):
    for number in range(5):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.png").write_bytes(png(number))
        (tmp_path / "in" / f"{number}.txt").write_text(f"caption {number}")
    ingest(tmp_path / "in", out=tmp_path / "cat")
    catalog = Catalog.open(tmp_path / "cat")
    export_webdataset(catalog, tmp_path / "tars", rows_per_shard=2)
    ingest(f"{tmp_path}/tars/shard-{{000000..000002}}.tar", out=tmp_path / "again")
    names = ["id", "image", "caption", "split"]
    again = [batch.to_pylist() for batch in Catalog.open(tmp_path / "again").scan(names)]
    assert again == [batch.to_pylist() for batch in catalog.scan(names)]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_traversal_links_devices_and_pickles_do_nothing(tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "secret.txt").write_text("secret")
    link, hard, device = (tarfile.TarInfo(name) for name in ("1.txt", "2.txt", "3.txt"))
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.txt")
    hard.type, hard.linkname = tarfile.LNKTYPE, "../secret.txt"
    device.type = tarfile.CHRTYPE
    evil = pickle.dumps(Evil(str(marker)))
    files = [
        ("../../../../up.png", png(1)),
        ("/absolute.png", png(2)),
        *(link, hard, device),
        *((f"4.{ending}", evil) for ending in ("pyd", "pkl", "pth", "npy", "pt2")),
        ("4.png", png(4)),
        ("ｕｐ／..／5.png", png(5)),
    ]
    place = tar(tmp_path / "in" / "a.tar", files, form=tarfile.PAX_FORMAT)
    before = sorted(path for path in tmp_path.rglob("*"))
    rows = rows_of(place)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert not marker.exists()
    assert [row["image"] for row in rows] == [png(1), png(2), png(4), png(5)]
    assert "secret" not in str(rows)


def test_a_broken_tar_gives_what_it_holds_and_says_where_it_ends(tmp_path):
    place = tar(tmp_path / "a.tar", [("0.png", png(0)), ("1.png", png(1)), ("2.png", png(2))])
    data = place.read_bytes()
    place.write_bytes(data[: 512 * 3 + 10 + len(png(0))])
    rows = rows_of(place)
    assert rows[0]["image"] == png(0)
    assert rows[-1][REJECTED] == "bad_row"
    assert "a.tar sample" in rows[-1][MESSAGE]
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError):
        ingest(tmp_path / "b.tar", out=tmp_path / "cat")


def test_a_headers_own_length_is_not_believed(tmp_path):
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2_000_000
    place = tmp_path / "a.tar"
    place.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 2_000_000)
    with pytest.raises(BrokenTarError, match="a header of"):
        list(members(MemberRoot(LocalRoot(tmp_path)), "a.tar"))


def test_many_members_take_no_memory_and_no_bytes_of_theirs_are_read(tmp_path):
    place = tar(tmp_path / "a.tar", [(f"{number:06d}.bin", b"") for number in range(20_000)])
    tracemalloc.start()
    count = sum(1 for _ in members(MemberRoot(LocalRoot(tmp_path)), place.name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 3_000_000


@given(data=st.binary(max_size=3000), cut=st.integers(0, 4000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_or_one_sentence(data, cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    whole = tar(folder / "a.tar", [("0.png", png(0)), ("0.json", data)]).read_bytes()
    (folder / "a.tar").write_bytes(whole[:cut] + data + whole[cut + len(data) :])
    try:
        for row in rows_of(folder / "a.tar"):
            assert (row["image"] is None) == (row[REJECTED] is not None)
    except DataError as error:
        assert str(error)


@pytest.mark.parametrize("count", [1, 2, 10, 100])
def test_any_number_of_tars_ends(tmp_path, count):
    for number in range(count):
        tar(tmp_path / f"{number:03d}.tar", [("a.png", png(number))])
    began = time.monotonic()
    assert len(rows_of(tmp_path)) == count
    assert time.monotonic() - began < 60  # hangs, not slowness


def test_a_rejected_row_of_a_tar_is_listed_with_its_place(tmp_path):
    place = tar(tmp_path / "a.tar", [("0.png", png(0)), ("1.json", b"[1, 2]"), ("1.png", png(1))])
    summary = ingest(place, out=tmp_path / "cat")
    assert (summary.rows, summary.rejected) == (1, 1)
    (row,) = pq.read_table(tmp_path / "cat" / "rejected.parquet").to_pylist()
    assert row["place"] == "a.tar sample 2"
    assert "expected a JSON object" in row[MESSAGE]
