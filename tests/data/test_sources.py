"""Folders of images, the column guess, and the wall around a source's folder."""

import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import jpeg, png, put

from synsight.data.columns import distinct_names, guess_columns, kept_names
from synsight.data.sources import MESSAGE, PLACE, open_source
from synsight.data.sources.roots import LocalRoot, PlaceError, RemoteRoot
from synsight.errors import DataError
from synsight.fetching import FetchError
from synsight.stages import REJECTED


def rows_of(place, **chosen) -> list[dict]:
    source = open_source(place, chosen=chosen)
    batches = [chunk.read() for chunk in source.chunks()]
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert len(rows) == source.rows
    assert all(
        set(batch.schema.names) == {PLACE, REJECTED, MESSAGE, "image", *source.schema.names}
        for batch in batches
    )
    return rows


def columns_of(rows, *names):
    return [tuple(row.get(name) for name in names) for row in rows]


def test_class_folders_below_split_folders_give_labels_and_splits(tmp_path):
    put(tmp_path, {"train/cat/a.png": png(1), "train/dog/b.png": png(2), "valid/cat/deep/er/c.png": png(3)})
    assert columns_of(rows_of(tmp_path), "file_name", "label", "split") == [
        ("train/cat/a.png", "cat", "train"),
        ("train/dog/b.png", "dog", "train"),
        ("valid/cat/deep/er/c.png", "cat", "valid"),
    ]


def test_class_folders_alone_give_labels_and_one_folder_is_no_class(tmp_path):
    put(tmp_path / "two", {"cat/a.png": png(1), "dog/b.png": png(2)})
    put(tmp_path / "one", {"images/a.png": png(1), "images/b.png": png(2)})
    assert columns_of(rows_of(tmp_path / "two"), "label", "split") == [("cat", None), ("dog", None)]
    assert "label" not in rows_of(tmp_path / "one")[0]


def test_a_text_file_beside_an_image_is_its_caption(tmp_path):
    put(
        tmp_path,
        {"a.png": png(1), "a.txt": "\ufeff a cat \n", "b.png": png(2), "b.txt": " ", "c.png": png(3)},
    )
    assert columns_of(rows_of(tmp_path), "file_name", "caption") == [
        ("a.png", "a cat"),
        ("b.png", None),
        ("c.png", None),
    ]


def test_hidden_files_and_notes_are_passed_over_and_counted(tmp_path):
    put(
        tmp_path,
        {
            "a.png": png(),
            ".hidden.png": png(),
            "Thumbs.db": b"x",
            ".DS_Store": b"x",
            "README.md": "notes",
            ".git/b.png": png(),
            "sub/desktop.ini": "x",
        },
    )
    source = open_source(tmp_path)
    assert (source.rows, source.ignored) == (1, 5)


def test_a_table_beside_the_images_is_named_and_not_read(tmp_path):
    put(tmp_path, {"a.png": png(), "notes.CSV": "file,caption", ".hidden.csv": "x", "deep/b.json": "{}"})
    source = open_source(tmp_path)
    assert (source.rows, source.ignored, list(source.unread_tables)) == (1, 3, ["notes.CSV"])
    put(tmp_path, {"metadata.csv": "file_name,caption\na.png,a part\n"})
    assert list(open_source(tmp_path).unread_tables) == []


def test_images_of_formats_that_are_not_read_are_rows_and_not_passed_over(tmp_path):
    put(tmp_path, {"a.png": png(), "b.heic": b"\x00\x00\x00\x18ftypheic", "c.svg": "<svg/>"})
    assert len(rows_of(tmp_path)) == 3


def test_files_come_in_the_order_of_their_names_whenever_they_were_made(tmp_path):
    for name in ("c.png", "a/z.png", "b.png", "a/b.png"):
        put(tmp_path, {name: png()})
    assert columns_of(rows_of(tmp_path), "file_name") == [("a/b.png",), ("a/z.png",), ("b.png",), ("c.png",)]


def test_file_names_in_any_bytes_are_read(tmp_path):
    put(tmp_path, {"猫.png": png(1), "new\nline.png": png(2)})
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:  # noqa: PTH123  no path can say these bytes
        file.write(png(3))
    rows = rows_of(tmp_path)
    assert columns_of(rows, "file_name") == [("caf\\udce9.png",), ("new\\x0aline.png",), ("猫.png",)]
    assert all(row["image"] for row in rows)


@pytest.mark.parametrize("place", ["nothing", "empty", "notes", "model.npy", "data.pkl", "book.xlsx"])
def test_what_is_no_source_is_an_error_of_one_sentence(tmp_path, place):
    (tmp_path / "empty").mkdir()
    put(tmp_path, {"notes/a.md": "x", "model.npy": b"\x93NUMPY", "data.pkl": b"\x80\x04", "book.xlsx": b"PK"})
    with pytest.raises(DataError, match=r"expected|run code") as caught:
        list(open_source(tmp_path / place).chunks())
    assert str(tmp_path / place) in str(caught.value)
    assert str(caught.value).count(". ") == 0


def test_a_folder_of_images_has_no_columns_to_choose(tmp_path):
    put(tmp_path, {"a.png": png(), "captions.csv": "file_name,text\na.png,x\n"})
    with pytest.raises(DataError, match=r"no columns to choose; did you mean the table captions\.csv\?"):
        open_source(tmp_path, chosen={"caption": "text"})


# -- the column guess ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["filepath", "title"], {"image": "filepath", "caption": "title"}),
        (["File Name", "Text", "Tags"], {"image": "File Name", "caption": "Text", "keywords": "Tags"}),
        (["ファイル名", "備考", "ロット"], {"image": "ファイル名", "caption": "備考", "group": "ロット"}),
        (["title", "caption", "path"], {"image": "path", "caption": "caption"}),
        (
            ["id", "image", "category", "subset"],
            {"id": "id", "image": "image", "label": "category", "split": "subset"},
        ),
        (
            ["image-path", "class", "patient_id"],
            {"image": "image-path", "label": "class", "group": "patient_id"},
        ),
    ],
)
def test_columns_are_guessed_by_their_usual_names(names, expected):
    assert guess_columns(names, chosen={}) == expected


def test_a_named_column_wins_over_the_guess_and_an_empty_name_switches_it_off():
    names = ["file_name", "text", "memo", "class"]
    assert guess_columns(names, chosen={"caption": "memo", "label": ""}) == {
        "image": "file_name",
        "caption": "memo",
    }


def test_an_unknown_column_is_an_error_with_the_near_names():
    with pytest.raises(
        DataError, match=r"there is no column 'captoin' for the caption; did you mean 'caption'\?"
    ):
        guess_columns(["image", "caption"], chosen={"caption": "captoin"})
    with pytest.raises(
        DataError, match=r"expected a column with images .* found the columns a, b; name it with"
    ):
        guess_columns(["a", "b"], chosen={})


def test_user_columns_keep_their_names_except_those_that_the_catalog_fills_itself():
    names = ["image", "caption", "title", "width", "words_synset", "a.b", "category", "given_width", "_x"]
    roles = {"image": "image", "caption": "caption", "label": "category"}
    assert kept_names(names, {"caption": "caption", "label": "category"}) == {
        "image": "given_image",
        "title": "title",
        "width": "given_width",
        "words_synset": "given_words_synset",
        "a.b": "a_b",
        "category": "category",
        "given_width": "given_given_width",
        "_x": "given_x",
    }
    assert kept_names(["category"], roles) == {"category": "category"}


def test_headers_with_gaps_and_copies_have_distinct_names():
    assert distinct_names(["a", "", "a", " ", "a_2", "a"]) == [
        "a",
        "column_2",
        "a_2",
        "column_4",
        "a_2_2",
        "a_3",
    ]


# -- the wall --------------------------------------------------------------------------------------------


@pytest.fixture
def walled(tmp_path) -> Path:
    """A folder with a secret beside it, and links of every kind."""
    put(tmp_path, {"secret.png": png(9), "inside/a.png": png(1), "inside/deep/b.png": png(2)})
    inside = tmp_path / "inside"
    (inside / "link_in.png").symlink_to("deep/b.png")
    (inside / "link_out.png").symlink_to(tmp_path / "secret.png")
    (inside / "folder_out").symlink_to(tmp_path)
    (inside / "loop.png").symlink_to("loop.png")
    os.mkfifo(inside / "pipe.png")
    return inside


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "deep/../../secret.png",
        "folder_out/secret.png",
        "link_out.png",
        "/etc/passwd",
        "./../inside/../secret.png",
        "deep/../a.png",
    ],
)
def test_no_path_reads_outside_the_folder(walled, path):
    with pytest.raises(PlaceError) as caught:
        LocalRoot(walled).read(path, most=100)
    assert caught.value.reason == "outside_source"


@pytest.mark.parametrize("path", ["loop.png", "pipe.png", "deep", "no.png", "a\0b", "x" * 5000])
def test_pipes_loops_folders_and_nonsense_neither_block_nor_read(walled, path):
    with pytest.raises(PlaceError) as caught:
        LocalRoot(walled).read(path, most=100)
    assert caught.value.reason in {"unreadable", "missing_file"}


def test_links_and_absolute_paths_that_stay_inside_are_read(walled):
    root = LocalRoot(walled)
    for path in ("a.png", "./a.png", "deep//b.png", "link_in.png", str(walled / "a.png")):
        assert root.read(path, most=10**6).startswith(b"\x89PNG")


def test_a_folders_links_to_the_outside_are_rejected_and_reported(walled):
    rows = {row["file_name"]: row for row in rows_of(walled)}
    assert {name: row[REJECTED] for name, row in rows.items()} == {
        "a.png": None,
        "deep/b.png": None,
        "folder_out": "outside_source",
        "link_in.png": None,
        "link_out.png": "outside_source",
        "loop.png": "outside_source",
        "pipe.png": "unreadable",
    }
    assert rows["link_out.png"]["image"] is None
    assert "a link that leaves" in rows["link_out.png"][MESSAGE]


PARTS = ["..", ".", "", "deep", "a.png", "out", "secret.png", "/", "~", "\\", "\0", "b"]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=9))
def test_no_join_of_parts_ever_leaves_the_root(tmp_path_factory, parts):
    base = tmp_path_factory.getbasetemp() / "wall"
    if not base.exists():
        put(base, {"secret.png": b"SECRET", "in/a.png": b"inside", "in/deep/b": b"inside"})
        (base / "in/out").symlink_to(base)
        fsspec.filesystem("memory").pipe({"/base/secret.png": b"SECRET", "/base/in/a.png": b"inside"})
    for root in (LocalRoot(base / "in"), RemoteRoot("memory://base/in")):
        try:
            assert root.read("/".join(parts), most=100) == b"inside"
        except PlaceError:
            continue


def test_no_file_outside_is_touched_while_a_hostile_table_is_read(tmp_path):
    names = [
        "../secret.png",
        "/etc/hostname",
        "a/../../secret.png",
        "http://127.0.0.1:9/x.png",
        "file:///etc/hostname",
        "ok.png",
    ]
    put(tmp_path, {"secret.png": png(9), "in/ok.png": png(1), "in/t.csv": "file_name\n" + "\n".join(names)})
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    rows = rows_of(tmp_path / "in/t.csv")
    assert [row[REJECTED] for row in rows] == ["outside_source"] * 3 + ["url"] * 2 + [None]
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))


def test_a_source_in_any_named_store_is_read_and_its_paths_stay_in_it():
    store = fsspec.filesystem("memory")
    store.pipe("/shop/a.jpg", jpeg(1))
    store.pipe("/shop/t.csv", b"file_name,text\na.jpg,a shoe\n../other/b.jpg,x\nmemory://other/b.jpg,y\n")
    store.pipe("/other/b.jpg", jpeg(2))
    rows = rows_of("memory://shop/t.csv")
    assert columns_of(rows, "caption", REJECTED) == [("a shoe", None), ("x", "outside_source"), ("y", "url")]
    assert columns_of(rows_of("memory://shop"), "file_name") == [("a.jpg",)]


def test_a_file_url_is_a_path_with_all_its_walls(walled):
    rows = rows_of(walled.as_uri())
    assert columns_of(rows, "file_name", REJECTED)[2:5:2] == [
        ("folder_out", "outside_source"),
        ("link_out.png", "outside_source"),
    ]


def test_a_table_on_the_web_is_fetched_through_the_one_guarded_function_alone(monkeypatch):
    asked = []
    files = {
        "table.csv": b"file_name,caption\na b.png,one\n../x.png,two\nno.png,three\n",
        "a%20b.png": png(1),
    }

    def fetch(url, *, allow, limit_bytes, timeout):
        assert allow
        asked.append(url)
        name = url.removeprefix("https://example.org/set/")
        if name not in files:
            raise FetchError("bad_status", f"{url}: the server answered 404.")
        return files[name]

    monkeypatch.setattr("synsight.data.sources.web_root.fetch", fetch)
    rows = rows_of("https://example.org/set/table.csv")
    assert [row["image"] for row in rows] == [png(1), None, None]
    assert [row[REJECTED] for row in rows] == [None, "outside_source", "missing_file"]
    assert set(asked) == {f"https://example.org/set/{name}" for name in (*files, "no.png")}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/table.csv",
        "https://127.0.0.1/table.csv",
        "https://[::1]/t.csv",
        "https://x.org/dir",
    ],
)
def test_an_address_that_is_no_table_of_the_public_web_is_refused(url):
    with pytest.raises(DataError, match=r"https|public|no list of files"):
        rows_of(url)
