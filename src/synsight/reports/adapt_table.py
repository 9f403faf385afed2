"""What an adaptation brought, as a table for a terminal: each way of learning beside the baseline."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from synsight.records import Result
from synsight.reports.tables import interval_text

METRIC, DIFFERENCE = "acc1", "acc1_difference"


def adapt_table(results: Sequence[Result]) -> Table:
    """One line a way of learning: accuracy, its difference to the baseline, seconds; best first.

    Args:
        results: Records of `adapt`.
    """
    rows = sorted((one for one in results if one.metric == METRIC), key=lambda one: -one.value)
    differences = {one.task: one for one in results if one.metric == DIFFERENCE}
    against = next((str(one.details["against"]) for one in differences.values()), "the baseline")
    table = Table(box=None, padding=(0, 2, 0, 0), caption=_caption(rows), caption_justify="left")
    for title in ("", "accuracy, 95% interval", f"minus {against}", "seconds"):
        table.add_column(Text(title))
    for one in rows:
        difference = differences.get(one.task)
        table.add_row(
            Text(one.task),
            interval_text(one),
            "" if difference is None else difference_text(difference),
            f"{one.seconds:.1f}",
        )
    if rows and rows[0].baseline is not None:
        table.add_row(Text("most frequent class"), f"{rows[0].baseline:.3f}", "", "")
    return table


def difference_text(one: Result) -> str:
    """As "+0.012 -0.004 to +0.028": the difference, then the ends of its 95% interval."""
    if one.ci_low is None or one.ci_high is None:
        return f"{one.value:+.3f}"
    return f"{one.value:+.3f} {one.ci_low:+.3f} to {one.ci_high:+.3f}"


def _caption(rows: Sequence[Result]) -> str:
    if not rows:
        return ""
    first = rows[0]
    labels = "all labels" if first.n_labels is None else f"{first.n_labels} labels of each class"
    return f"{first.n_test:,} test images; {labels}; {first.details.get('train_rows', 0):,} training rows"
