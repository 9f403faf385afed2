"""CSV, TSV, JSONL, Parquet and Hugging Face metadata folders as sources."""

import io
import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import png, put

from synsight.data.sources import MESSAGE, open_source
from synsight.data.sources.csv_table import encoding_of
from synsight.data.sources.rows import as_keywords, as_text
from synsight.errors import DataError
from synsight.stages import REJECTED


def rows_of(place, **chosen) -> list[dict]:
    source = open_source(place, chosen=chosen)
    rows = [row for chunk in source.chunks() for row in chunk.read().to_pylist()]
    assert len(rows) == source.rows
    return rows


def table(tmp_path, name, text, **files):
    put(tmp_path, {"a.png": png(1), "b.png": png(2), "c.png": png(3), name: text, **files})
    return tmp_path / name


def column(rows, name):
    return [row.get(name) for row in rows]


def types_of(place) -> dict[str, str]:
    return {field.name: str(field.type) for field in open_source(place).schema}


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "separator"), [("t.csv", ","), ("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t")]
)
def test_csv_and_tsv_are_read_with_any_usual_separator(tmp_path, name, separator):
    text = (
        separator.join(["file_name", "text", "n"])
        + "\n"
        + separator.join(["a.png", '"one, two; three"', "7"])
    )
    rows = rows_of(table(tmp_path, name, text))
    assert column(rows, "caption") == column(rows, "text") == ["one, two; three"]
    assert rows[0]["image"] == png(1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_japanese_tables_are_read_in_their_usual_encodings(tmp_path, encoding):
    text = "ファイル名,備考\na.png,赤い自動車のドアの傷\n"
    assert column(rows_of(table(tmp_path, "t.csv", text.encode(encoding))), "caption") == [
        "赤い自動車のドアの傷"
    ]


def test_bytes_of_no_encoding_cost_a_character_and_not_the_table(tmp_path):
    data = b"file_name,text\na.png,caf\xe9 \xff\xfe\n"
    assert encoding_of(data) == "utf-8-sig"
    assert column(rows_of(table(tmp_path, "t.csv", data)), "caption") == ["caf\ufffd \ufffd\ufffd"]


def test_rows_that_do_not_fit_are_rejected_with_their_line_and_the_others_kept(tmp_path):
    text = 'file_name,text\na.png,one\nb.png\n\nb.png,two,three\n"c.png","two\nlines"\nb.png,last\n'
    rows = rows_of(table(tmp_path, "t.csv", text))
    assert column(rows, REJECTED) == [None, "bad_row", "bad_row", None, None]
    assert column(rows, "caption") == ["one", None, None, "two\nlines", "last"]
    assert column(rows, "place") == [
        "t.csv line 2",
        "t.csv line 3",
        "t.csv line 5",
        "t.csv line 6",
        "t.csv line 8",
    ]
    assert rows[1][MESSAGE] == "t.csv line 3: expected 2 cells as in the header, found 1; mend the line."


def test_a_stray_quote_costs_its_own_row_and_no_other(tmp_path):
    lines = ["file_name,text", 'a.png,"no end', *(f"b.png,{n}" for n in range(500)), "c.png,end"]
    rows = rows_of(table(tmp_path, "t.csv", "\n".join(lines)))
    assert column(rows, REJECTED) == ["bad_row", *[None] * 501]
    assert column(rows, "caption")[-1] == "end"


def test_a_cell_longer_than_csv_allows_costs_its_own_row(tmp_path):
    rows = rows_of(table(tmp_path, "t.csv", "file_name,text\na.png," + "x" * 200_000 + "\nb.png,ok\n"))
    assert column(rows, "caption")[-1] == "ok"
    assert column(rows, REJECTED)[-1] is None


def test_types_of_csv_columns_are_what_all_cells_allow(tmp_path):
    text = "file_name,whole,number,code,mixed,empty\na.png,1,1.5,007,1,\nb.png,-20,2e3,012,x,\nc.png,,,,,\n"
    path = table(tmp_path, "t.csv", text)
    assert types_of(path) == {
        "file_name": "string",
        "whole": "int64",
        "number": "double",
        "code": "string",
        "mixed": "string",
        "empty": "string",
    }
    rows = rows_of(path)
    assert column(rows, "whole") == [1, -20, None]
    assert column(rows, "number") == [1.5, 2000.0, None]
    assert column(rows, "code") == ["007", "012", None]


def test_json_lines_keep_types_and_bad_lines_are_rejected_with_their_number(tmp_path):
    lines = [
        '{"file_name": "a.png", "text": "one", "tags": ["x", "y"], "n": 1, "box": {"x": 1}}',
        "not json",
        "",
        "[1, 2]",
        '{"file_name": "b.png", "n": 2.5, "tags": null, "text": 12, "late": true}',
        '{"file_name": "c.png", "text": "\\ud800 broken", "n": 1' + "0" * 30 + "}",
        "[" * 100_000,
    ]
    path = table(tmp_path, "t.jsonl", "\n".join(lines))
    rows = rows_of(path)
    assert column(rows, REJECTED) == [None, "bad_row", "bad_row", None, None, "bad_row"]
    assert column(rows, "place")[1:3] == ["t.jsonl line 2", "t.jsonl line 4"]
    assert column(rows, "caption") == ["one", None, None, "12", "? broken", None]
    assert column(rows, "keywords")[0] == ["x", "y"]
    assert rows[0]["box"] == '{"x": 1}'
    assert types_of(path)["late"] == "bool"
    assert types_of(path)["n"] == "string"


def test_parquet_holds_images_as_bytes_as_paths_or_as_hugging_faces_structs(tmp_path):
    put(
        tmp_path,
        {
            "a.png": png(1),
            "bytes.parquet": parquet(image=[png(1), None], file_name=["x", "y"], caption=["one", "two"]),
            "paths.parquet": parquet(image=["a.png"], caption=["one"]),
            "structs.parquet": parquet(
                image=[{"bytes": png(1), "path": None}, {"bytes": None, "path": "a.png"}],
                caption=["one", "two"],
            ),
        },
    )
    rows = rows_of(tmp_path / "bytes.parquet")
    assert column(rows, "image") == [png(1), None]
    assert column(rows, REJECTED) == [None, "no_image"]
    assert column(rows, "file_name") == ["x", "y"]
    assert column(rows_of(tmp_path / "paths.parquet"), "given_image") == ["a.png"]
    assert column(rows_of(tmp_path / "structs.parquet"), "image") == [png(1), png(1)]


def test_parquet_types_are_kept_or_become_text(tmp_path):
    data = parquet(
        image=pa.array([png()]),
        small=pa.array([1], pa.int8()),
        words=pa.array(["x"]).dictionary_encode(),
        vector=pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)),
        nested=pa.array([{"a": 1}]),
        nothing=pa.nulls(1),
    )
    put(tmp_path, {"t.parquet": data})
    assert types_of(tmp_path / "t.parquet") == {
        "small": "int8",
        "words": "string",
        "vector": "list<item: float>",
        "nested": "string",
        "nothing": "string",
    }
    assert rows_of(tmp_path / "t.parquet")[0]["nested"] == '{"a": 1}'


def test_what_only_calls_itself_parquet_is_an_error_of_one_sentence(tmp_path):
    put(tmp_path, {"t.parquet": b"PAR1 not really"})
    with pytest.raises(DataError, match=r"t\.parquet in .*: expected a Parquet file"):
        rows_of(tmp_path / "t.parquet")


@pytest.mark.parametrize("text", ["", "\n\n", "file_name,text\n", "file_name,text", '"'])
def test_an_empty_table_is_an_error(tmp_path, text):
    with pytest.raises(DataError, match=r"expected (a header|rows)"):
        rows_of(table(tmp_path, "t.csv", text))


def test_metadata_among_the_images_is_read_with_the_folders_splits(tmp_path):
    put(
        tmp_path,
        {
            "train/metadata.csv": "file_name,text\na.png,one\nmissing.png,x\n../b.png,y\n",
            "train/a.png": png(1),
            "validation/metadata.csv": "file_name,text,extra\nsub/b.png,two,5\n",
            "validation/sub/b.png": png(2),
            "b.png": png(3),
        },
    )
    source = open_source(tmp_path)
    assert source.columns == {
        "image": "file_name",
        "caption": "text",
        "split": "name of the folder",
        "file_name": "file_name",
        "text": "text",
        "extra": "extra",
    }
    rows = rows_of(tmp_path)
    assert column(rows, "split") == ["train", None, None, "val"] or column(rows, "split")[0::3] == [
        "train",
        "val",
    ]
    assert column(rows, REJECTED) == [None, "missing_file", "outside_source", None]
    assert rows[3]["image"] == png(2)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.parquet"])
def test_metadata_may_be_json_lines_or_parquet(tmp_path, name):
    data = {"file_name": "a.png", "text": "one"}
    content = (
        json.dumps(data)
        if name.endswith("jsonl")
        else parquet(**{key: [value] for key, value in data.items()})
    )
    put(tmp_path, {"a.png": png(1), name: content})
    assert column(rows_of(tmp_path), "caption") == ["one"]


def test_a_label_of_whole_numbers_stays_whole_and_its_column_keeps_its_name(tmp_path):
    path = table(tmp_path, "t.csv", "file_name,class,grade\na.png,3,A\nb.png,4,B\n")
    rows = rows_of(path)
    assert column(rows, "label") == column(rows, "class") == [3, 4]
    assert column(rows_of(path, label="grade"), "label") == ["A", "B"]


def test_given_ids_that_come_twice_are_rejected_the_second_time(tmp_path):
    rows = rows_of(table(tmp_path, "t.csv", "id,file_name\n1,a.png\n2,b.png\n1,c.png\n,c.png\n,c.png\n"))
    assert column(rows, REJECTED) == [None, None, "duplicate_id", None, None]
    assert "the id 1 came before" in rows[2][MESSAGE]


def test_no_pickle_is_loaded_whatever_it_is_called(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    evil = pickle.dumps(Evil())
    names = ("a.png", "t.npy", "t.pkl", "t.pt", "metadata.parquet", "x/t.parquet", "x/t.csv")
    files = dict.fromkeys(names, evil)
    put(tmp_path, files)
    for place in (tmp_path, *(tmp_path / name for name in files)):
        try:
            rows_of(place)
        except DataError:
            continue
    assert not (tmp_path / "marker").exists()


def test_chunks_end_at_a_thousand_rows_or_thirty_two_megabytes(tmp_path):
    small = table(tmp_path, "t.csv", "file_name\n" + "a.png\n" * 2500)
    assert [chunk.rows for chunk in open_source(small).chunks()] == [1000, 1000, 500]
    put(tmp_path, {"big.png": png() + bytes(10_000_000), "u.csv": "file_name\n" + "big.png\n" * 7})
    chunks = list(open_source(tmp_path / "u.csv").chunks())
    assert [chunk.rows for chunk in chunks] == [3, 3, 1]
    assert [chunk.key for chunk in chunks] == [
        chunk.key for chunk in open_source(tmp_path / "u.csv").chunks()
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a, b;c|d", ["a", "b", "c", "d"]),
        ("猫、犬，鳥", ["猫", "犬", "鳥"]),
        ('["a", "b c"]', ["a", "b c"]),
        ("[draft", ["[draft"]),
        (["x", None, " y "], ["x", "y"]),
        (None, []),
        ("", []),
        (5, ["5"]),
    ],
)
def test_keywords_come_as_lists_json_or_text_with_marks(cell, expected):
    assert as_keywords(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [(None, None), ("", None), (float("nan"), None), (3.0, "3"), (2.5, "2.5"), (True, "True")],
)
def test_cells_become_text(cell, expected):
    assert as_text(cell) == expected


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400), name=st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.parquet"]))
def test_whatever_bytes_a_table_has_only_our_errors_come_out(tmp_path_factory, data, name):
    folder = put(tmp_path_factory.getbasetemp() / "fuzz", {name: data, "a.png": png()})
    try:
        rows_of(folder / name)
    except DataError as error:
        assert name in str(error) or "column" in str(error)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_well_written_csv_comes_back_cell_by_cell(tmp_path_factory, cells):
    import csv

    folder = put(tmp_path_factory.getbasetemp() / "round", {"a.png": png()})
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "caption", "memo"], *(["a.png", *row] for row in cells)])
    rows = rows_of(folder / "t.csv")
    assert column(rows, REJECTED) == [None] * len(cells)
    assert column(rows, "caption") == [row[0] or None for row in cells]
