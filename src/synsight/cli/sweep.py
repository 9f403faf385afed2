"""`synsight sweep`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType

from synsight.cli.console import Json, counts, names, show
from synsight.cli.settings import check_settings, read_words
from synsight.errors import UsageError
from synsight.records import as_json

USAGE = "Usage: synsight sweep --recipe A,B --data CATALOG --label COLUMN --out FOLDER [OPTIONS]"

Setting = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
"""The words of `sweep` that are no flag of it."""

FLAGS = (
    *(
        "recipe",
        "data",
        "out",
        "label",
        "encoder",
        "projection_dim",
        "seed",
        "tasks",
        "eval_data",
        "label_of",
    ),
    *("labels_per_class", "draws", "minutes_per_run", "seen_images", "runner", "address", "json"),
)


def sweep(
    *words: Setting,
    recipe: str,
    data: Path,
    out: Path,
    label: str | None = None,
    encoder: str | None = None,
    projection_dim: str | None = None,
    seed: str = "0",
    tasks: str = "knn,linear,fewshot",
    eval_data: str | None = None,
    label_of: str | None = None,
    labels_per_class: str = "10",
    draws: int = 3,
    minutes_per_run: float | None = None,
    seen_images: int | None = None,
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Train and judge every combination of recipes and settings, in one table.

    Run the same command again after an interruption, or with more values: finished runs are not repeated.

    Every setting of a run is a flag under its dotted name, with one value or several: --optim.lr 1e-3,3e-3,
    or with ; between where a value has commas of its own.

    Args:
        words: Settings.
        recipe: Recipes, with commas between.
        data: The catalog to pretrain on.
        out: Folder for everything: runs, evaluations, results.json, report.html.
        label: Column for the runs' monitor, and for judging the models.
        encoder: Timm names, with commas between.
        projection_dim: Widths of the projection head, short for --method.projection-dim.
        seed: Training seeds, as 0,1,2; the table holds their means.
        tasks: What to ask, as for evaluate: knn, linear, fewshot, curve.
        eval_data: Catalogs to judge the models on, in place of --data.
        label_of: Their labels where they differ from --label, as clipart=category,emoji=subcategory.
        labels_per_class: Labels of the few-label task, as 1,5,10.
        draws: How often the few labels are drawn, for each seed.
        minutes_per_run: Train each run so long on this machine, as measured before it.
        seen_images: Train each run until it has seen so many images.
        runner: local (one run after another) or ray (each run a task of a cluster).
        address: Of the Ray cluster.
        json: Print one JSON object.
    """
    plain, settings = read_words(words, what="setting", flags=FLAGS)
    if plain is not None:
        raise UsageError(
            f"sweep takes settings by name only, got {plain!r}; write --recipe {plain}, for one."
        )
    check_settings(settings, flags=FLAGS)
    given = {"encoder": encoder, "projection_dim": projection_dim, "seed": seed}
    from synsight.workflow import SweepSummary
    from synsight.workflow import sweep as run

    summary = run(
        recipe,
        data=data,
        out=out,
        label=label,
        tasks=names(tasks),
        eval_data=names(eval_data),
        label_of=_labels(label_of),
        labels_per_class=counts(labels_per_class, flag="--labels-per-class"),
        draws=draws,
        minutes_per_run=minutes_per_run,
        seen_images=seen_images,
        runner=runner,
        address=address,
        **{name: value for name, value in given.items() if value is not None},
        **settings,
    )

    def table(done: SweepSummary = summary) -> Iterator[RenderableType]:
        from synsight.reports import failed_models, probes, terminal_table

        for name, results in probes(done.results).items():
            yield terminal_table(results, title=name, failed=failed_models(done.runs))
            yield ""
        for one in done.runs:
            if one.failure:
                yield f"failed: {one.model}, seed {one.seed}: {one.failure}"
        yield f"report: {done.report}"

    show(as_json(summary), as_json=json, table=table)


def _labels(text: str | None) -> dict[str, list[str]]:
    """Catalog -> labels, as "clipart=category,emoji=category,emoji=subcategory" says."""
    found: dict[str, list[str]] = {}
    for part in names(text):
        catalog, equals, label = part.partition("=")
        if not (catalog and equals and label):
            raise UsageError(f"--label-of: expected CATALOG=COLUMN with commas between, got {part!r}.")
        found.setdefault(catalog, []).append(label)
    return found
