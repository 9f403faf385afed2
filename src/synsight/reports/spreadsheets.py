"""A decision's tables as CSV and XLSX, for whoever goes on calculating.

Names of classes and models come from anywhere, and spreadsheets run text that begins like a formula. Such
text gets an apostrophe before it; numbers stay numbers.

Reference: OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import importlib.util
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from synsight import files
from synsight.reports.decision_records import Case, Decision, Estimate
from synsight.reports.text import visible

Cell = str | float | int | bool | None
Rows = list[list[Cell]]
"""The first one is the header."""

STARTS = tuple("=+-@\t\r\n|%＝＋－＠")
"""What text of a formula may begin with, full-width forms included."""

SOME_DAY = (1980, 1, 1, 0, 0, 0)
"""The first that a zip file can hold: the same tables give the same bytes."""


def write_tables(decision: Decision, folder: Path) -> list[Path]:
    """Write results.csv, costs.csv, savings.csv and, where openpyxl is there, decision.xlsx with all of them.

    Raises:
        StorageError: The disk refused.
    """
    sheets = {"results": _results(decision), "costs": _costs(decision), "savings": _savings(decision)}
    written = []
    for name, rows in sheets.items():
        written.append(folder / f"{name}.csv")
        files.write_bytes(written[-1], csv_bytes(rows))
    if importlib.util.find_spec("openpyxl") is not None:
        written.append(folder / "decision.xlsx")
        files.write_bytes(written[-1], xlsx_bytes(sheets))
    return written


def safe(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula; numbers as they are."""
    if not isinstance(cell, str):
        return cell
    text = visible(cell)
    # Leading blanks are skipped by some programs, so what counts is the first other character.
    return f"'{text}" if text.lstrip(" \u00a0\u3000").startswith(STARTS) else text


def csv_bytes(rows: Rows) -> bytes:
    """CSV in UTF-8 with the mark that spreadsheets know it by."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def xlsx_bytes(sheets: dict[str, Rows]) -> bytes:
    """A workbook with one sheet a table, the same bytes for the same tables."""
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row, start=1):
                place = sheet.cell(row=number, column=column, value=safe(cell))
                if isinstance(cell, str):
                    place.data_type = "s"  # text, whatever it begins with
        sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return _timeless(out.getvalue())


def _timeless(data: bytes) -> bytes:
    """The same archive without the time of writing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as write:
        for name in read.namelist():
            part = read.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", part)
            write.writestr(zipfile.ZipInfo(name, SOME_DAY), part, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _table(columns: str, rows: Iterable[Mapping[str, Cell]]) -> Rows:
    """Rows by the names of their columns; what a row does not name is empty."""
    names = columns.split()
    return [[*names], *([row.get(name) for name in names] for row in rows)]


def _results(decision: Decision) -> Rows:
    columns = (
        "kind model against task metric labels_per_class value value_low value_high n_test baseline paired "
        "p_value p_holm found"
    )
    values = (
        {
            "kind": "value",
            "labels_per_class": _count(one.n_labels),
            "value_low": one.ci_low,
            "value_high": one.ci_high,
            **{
                name: getattr(one, name)
                for name in ("model", "task", "metric", "value", "n_test", "baseline")
            },
        }
        for one in decision.results
    )
    shared = ("model", "against", "task", "metric", "n_test", "paired", "p_value", "p_holm", "found")
    differences = (
        {
            "kind": "difference",
            "labels_per_class": _count(one.n_labels),
            **_ends("value", one.difference),
            **{name: getattr(one, name) for name in shared},
        }
        for one in decision.differences
    )
    return _table(columns, [*values, *differences])


def _count(n_labels: int | None) -> Cell:
    return "all" if n_labels is None else n_labels


def _costs(decision: Decision) -> Rows:
    columns = (
        "model against plan item period currency unit baseline_quantity candidate_quantity baseline "
        "baseline_low baseline_high candidate candidate_low candidate_high saving_is saving "
        "saving_low saving_high"
    )
    return _table(columns, [row for case in decision.cases for row in _cost_rows(case, decision)])


def _cost_rows(case: Case, decision: Decision) -> Iterator[dict[str, Cell]]:
    for plan in case.plans:
        start: dict[str, Cell] = {"model": case.model, "against": case.against, "plan": plan.kind}
        for line in plan.lines:
            yield {
                **start,
                "item": line.key,
                "period": line.period,
                "currency": decision.currency,
                "unit": line.quantity_unit,
                "baseline_quantity": line.baseline_quantity.value,
                "candidate_quantity": line.candidate_quantity.value,
                **_ends("baseline", line.baseline),
                **_ends("candidate", line.candidate),
                **_ends("saving", line.saving, sign=True),
            }
        horizon = f"{decision.horizon_months:g} months"
        totals = (
            ("total", "once", plan.once),
            ("total", "month", plan.per_month),
            ("net", horizon, plan.net),
        )
        for item, period, total in totals:
            money: dict[str, Cell] = {"item": item, "period": period, "currency": decision.currency}
            yield {**start, **money, **_ends("saving", total, sign=True)}
        yield {
            **start,
            "item": "payback",
            "unit": "months",
            **_ends("saving", plan.payback_months, sign=True),
        }


def _savings(decision: Decision) -> Rows:
    columns = (
        "model against in_use labels labels_per_class accuracy accuracy_low accuracy_high against_labels_is "
        "against_labels against_labels_low_is against_labels_low against_labels_high_is against_labels_high "
        "factor factor_low factor_high"
    )
    shared = ("model", "against", "in_use", "labels", "labels_per_class")
    rows = (
        {
            **{name: getattr(one, name) for name in shared},
            **_ends("accuracy", one.accuracy),
            **_ends("against_labels", one.against_labels, sign=True),
            "against_labels_low_is": _is(one.against_labels.low_sign),
            "against_labels_high_is": _is(one.against_labels.high_sign),
            **_ends("factor", one.factor),
        }
        for case in decision.cases
        for one in case.savings
    )
    return _table(columns, rows)


def _ends(name: str, one: Estimate, *, sign: bool = False) -> dict[str, Cell]:
    said: dict[str, Cell] = {f"{name}_is": _is(one.value_sign)} if sign else {}
    return {**said, name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def _is(sign: str) -> str:
    """A sign in words: a cell that begins with "=" would be a formula."""
    return {"=": "exactly", ">": "more than", "<": "fewer than"}.get(sign, sign)
