"""`synsight card`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import RenderableType

from synsight.cli.console import Json, show
from synsight.records import as_json

if TYPE_CHECKING:
    from synsight.reports.card_records import CardSummary


def card(
    model: str,
    *,
    out: Path,
    data: Path | None = None,
    evaluation: Path | None = None,
    slices: Path | None = None,
    monitor: Path | None = None,
    label: str | None = None,
    locale: Literal["en", "ja"] = "en",
    json: Json = False,
) -> None:
    """Write a model card and a data sheet from what is recorded, and a form for what is not.

    Args:
        model: A MODEL folder, or another name of a model.
        out: Folder for the cards as Markdown and HTML, and for card.yaml, which is kept.
        data: The catalog's folder; without it there is no data sheet.
        evaluation: Folder of evaluate.
        slices: Folder of slices.
        monitor: Folder of monitor.
        label: Column whose values the data sheet counts.
        locale: Language: en or ja.
        json: Print one JSON object.
    """
    from synsight.workflow.cards import card as run

    summary = run(
        model,
        out=out,
        data=data,
        evaluation=evaluation,
        slices=slices,
        monitor=monitor,
        label=label,
        locale=locale,
    )
    show(as_json(summary), as_json=json, table=lambda: _table(summary))


def _table(summary: "CardSummary") -> Iterator[RenderableType | str]:
    yield from (f"written: {name}" for name in summary.files)
    asked = summary.stated + len(summary.open_fields)
    yield f"{summary.stated} of {asked} questions for people are answered; form: {summary.form}"
