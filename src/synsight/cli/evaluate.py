"""`synsight evaluate`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Json, counts, names, show
from synsight.errors import UsageError
from synsight.records import Result, as_json


def evaluate(
    *models: str,
    data: Path,
    label: str,
    out: Path,
    tasks: str = "knn,linear,fewshot",
    labels_per_class: str = "10",
    draws: int = 3,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Measure models on the test rows, with 95% intervals.

    Args:
        models: MODEL folders, timm names, or random:NAME for an untrained network.
        data: The catalog's folder.
        label: Column with the classes.
        out: Folder for results.json, results.parquet and predictions.parquet.
        tasks: What to ask, with commas between: knn, linear, fewshot, curve (fewshot at 1, 5, 10 and 50).
        labels_per_class: Labels of the few-label task, with commas between, as 1,5,10,50.
        draws: How often the few labels are drawn.
        seed: Of the draws and the intervals.
        json: Print the records as one JSON list.
    """
    if not models:
        raise UsageError("evaluate needs a model; give a MODEL folder, a timm name, or random:resnet18.")
    from synsight.evaluation import evaluate as run

    results = run(
        models,
        data=data,
        label=label,
        out=out,
        tasks=names(tasks),
        labels_per_class=counts(labels_per_class, flag="--labels-per-class"),
        draws=draws,
        seed=seed,
    )
    show([as_json(one) for one in results], as_json=json, table=lambda: _table(results, out))


def _table(results: list[Result], out: Path) -> Iterator[RenderableType]:
    from synsight.evaluation import mean_over_draws, read_predictions
    from synsight.reports import terminal_table

    yield terminal_table(mean_over_draws(results, read_predictions(out)))
    yield f"records: {out / 'results.json'}"
