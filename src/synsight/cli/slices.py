"""`synsight slices`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import RenderableType

from synsight.cli.console import Json, names, show
from synsight.records import as_json

if TYPE_CHECKING:
    from synsight.reports.slice_records import SliceSummary


def slices(
    model: str | None = None,
    *,
    data: Path,
    label: str,
    out: Path,
    predictions: Path | None = None,
    columns: str | None = None,
    words: Literal["auto", "none"] = "auto",
    min_rows: int = 20,
    split: Literal["test", "val", "train", "all"] | None = None,
    places: str | None = None,
    false_discovery_rate: float = 0.05,
    model_name: str | None = None,
    task: str | None = None,
    examples: int = 6,
    locale: Literal["en", "ja"] = "en",
    seed: int = 0,
    json: Json = False,
) -> None:
    """Find where a model is worse than elsewhere: by group, by column, by word, by pairs of them.

    Also looks for words that predict the label in training and not elsewhere,
    and for words that repair adds to some groups more than to others.

    Args:
        model: A MODEL folder whose head predicts labels.
        data: The catalog's folder.
        label: Column with the true labels.
        out: Folder for report.html and slices.json.
        predictions: Folder of an evaluation, in place of MODEL: its answers are looked at.
        columns: Columns to cut by, with commas between; else all that describe the images.
        words: Cut by words of captions and by words that the model sees, too: auto or none.
        min_rows: Fewest images of a slice.
        split: Which images; test, or all if split is among the columns.
        places: Columns that say where images come from, for words that mislead; else by their usual names.
        false_discovery_rate: Share of the slices called worse that may be no worse.
        model_name: Which model of the evaluation.
        task: Which task of the evaluation.
        examples: Pictures for each slice found.
        locale: Language of the page: en or ja.
        seed: Of what is drawn by chance.
        json: Print one JSON object.
    """
    from synsight.deployment.slices import slices as run

    summary = run(
        model,
        data=data,
        label=label,
        out=out,
        predictions=predictions,
        columns=None if columns is None else names(columns),
        words=words == "auto",
        min_rows=min_rows,
        split=split,
        places=None if places is None else names(places),
        false_discovery_rate=false_discovery_rate,
        model_name=model_name,
        task=task,
        examples=examples,
        locale=locale,
        seed=seed,
    )
    show(_plain(summary), as_json=json, table=lambda: _table(summary))


def _plain(summary: "SliceSummary") -> dict[str, object]:
    """Without the examples, which are on the page."""
    value = as_json(summary)
    for one in (*value["worst"], *value["pairs"]):
        del one["examples"]
    return value


def _table(summary: "SliceSummary") -> Iterator[RenderableType | str]:
    from rich.table import Table
    from rich.text import Text

    from synsight.reports import fact_table
    from synsight.reports.page_words import page_words
    from synsight.reports.slice_page import slice_name

    words = page_words("slices", "en")
    yield fact_table(
        {
            "accuracy": f"{summary.accuracy:.3f} ({summary.ci_low:.3f} to {summary.ci_high:.3f}), "
            f"{summary.rows:,} rows",
            "slices tested": f"{summary.slices_tested:,} and {summary.pairs_tested:,} pairs",
            "worse": summary.found,
            "words that may mislead": sum(one.spurious for one in summary.spurious_words),
        }
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "slice", "rows", "accuracy", "others", "q"):
        table.add_column(title, overflow="fold")
    for one in [*summary.pairs, *summary.worst]:
        if one.found or one in summary.worst[:8]:
            table.add_row(
                "worse" if one.found else "",
                Text(slice_name(one, words)),
                f"{one.rows:,}",
                f"{one.accuracy:.3f} ({one.ci_low:.3f} to {one.ci_high:.3f})",
                f"{one.others:.3f}",
                f"{one.q_value:.3f}",
            )
    if table.row_count:
        yield table
    yield from (f"- {note}" for note in summary.notes)
    yield f"report: {summary.report}"
