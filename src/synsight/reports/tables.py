"""The same records as tables for a terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from synsight.records import Result
from synsight.reports.summary import CHANCE, result_table
from synsight.reports.text import shortened

HEADLINE = "acc1"
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
            _cell(cell, best=table.best(number), between=between) for number, cell in enumerate(row.cells)
        )
        drawn.add_row(Text(shortened(row.model, most=NAME_LENGTH)), *cells)
    for model in failed:
        drawn.add_row(Text(shortened(model, most=NAME_LENGTH)), *(["failed"] * len(table.columns)))
    return drawn


def question_table(results: Sequence[Result]) -> Table:
    """Questions by models with 95% intervals, for `rich` to print; there may be many.

    A task's line is its `acc1`; a task without that has a line for each of its metrics.
    """
    counted = {one.task for one in results if one.metric == HEADLINE}
    shown = [one for one in results if one.metric == HEADLINE or one.task not in counted]
    tasks = list(dict.fromkeys(one.task for one in shown))
    models = list(dict.fromkeys(one.model for one in shown))
    tables = [result_table(shown, metric=metric) for metric in dict.fromkeys(one.metric for one in shown)]
    notes = tables[0].notes if tables else []
    drawn = Table(box=None, padding=(0, 2, 0, 0), caption="\n".join(notes), caption_justify="left")
    for title in ("", "chance", *(shortened(model, most=NAME_LENGTH) for model in models)):
        drawn.add_column(Text(title), overflow="fold")
    lines = [(table, number) for table in tables for number in range(len(table.columns))]
    # Training from scratch stands in the column of the probe, which nobody may have been asked by: last.
    places = {task: place for place, task in enumerate(tasks)}
    lines.sort(key=lambda line: places.get(line[0].columns[line[1]].task, len(places)))
    for table, number in lines:
        cells = {row.model: row.cells[number] for row in table.rows}
        chance = table.chance[number]
        drawn.add_row(
            Text(table.columns[number].title),
            "" if chance is None else f"{chance:.3f}",
            *(_cell(cells.get(model), best=table.best(number)) for model in models),
        )
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


def _cell(one: Result | None, *, best: float | None, between: str = " ") -> Text:
    if one is None:
        return Text("")
    return Text(interval_text(one).replace(" ", between), style="bold" if one.value == best else "")


def _said(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return shortened(str(value), most=300)
