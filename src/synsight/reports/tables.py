"""The same records as tables for a terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from synsight.records import Result
from synsight.reports.summary import CHANCE, result_table
from synsight.reports.text import shortened

NAME_LENGTH = 60
"""Most characters of a model's name; a sweep's models differ at their ends."""


def terminal_table(
    results: Sequence[Result],
    *,
    metric: str = "acc1",
    title: str | None = None,
    failed: Sequence[str] = (),
) -> Table:
    """Models by questions with 95% intervals, for `rich` to print.

    Args:
        results: What was measured.
        metric: Which of it.
        title: Above the table.
        failed: Models without any result, which get a row that says so.
    """
    table = result_table(results, metric=metric)
    drawn = Table(
        title=None if title is None else Text(shortened(title, most=100), style="bold"),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        caption="\n".join(table.notes),
        caption_justify="left",
    )
    drawn.add_column("model", no_wrap=True)
    for column in table.columns:
        drawn.add_column(column.title)
    between = " " if len(table.columns) <= 3 else "\n"
    drawn.add_row(Text(CHANCE), *("" if value is None else f"{value:.3f}" for value in table.chance))
    for row in table.rows:
        cells = (
            Text("")
            if cell is None
            else Text(
                interval_text(cell).replace(" ", between),
                style="bold" if cell.value == table.best(number) else "",
            )
            for number, cell in enumerate(row.cells)
        )
        drawn.add_row(Text(shortened(row.model, most=NAME_LENGTH)), *cells)
    for model in failed:
        drawn.add_row(Text(shortened(model, most=NAME_LENGTH)), *(["failed"] * len(table.columns)))
    return drawn


def fact_table(facts: Mapping[str, object], *, title: str | None = None) -> Table:
    """Names and values in two columns."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), Text(_said(value)))
    return table


def interval_text(result: Result) -> str:
    """As "0.524 .478–.569": the value, then the ends of its 95% interval."""
    if result.ci_low is None or result.ci_high is None:
        return f"{result.value:.3f}"
    low, high = (f"{end:.3f}".removeprefix("0") for end in (result.ci_low, result.ci_high))
    return f"{result.value:.3f} {low}–{high}"


def _said(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return shortened(str(value), most=300)
