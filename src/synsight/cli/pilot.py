"""`synsight pilot`."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, names, show
from synsight.cli.settings import Source, check_settings, read_words
from synsight.errors import UsageError
from synsight.records import as_json

USAGE = "Usage: synsight pilot SOURCE --label COLUMN --out FOLDER [OPTIONS]"

FLAGS = (
    *("label", "out", "text_columns", "recipes", "labels_per_class", "draws"),
    *("encoder", "image_size", "epochs", "seed", "repair", "yes", "json"),
)


def pilot(
    *words: Source,
    label: str,
    out: Path,
    text_columns: str | None = None,
    recipes: str = "simclr,catlip",
    labels_per_class: int = 10,
    draws: int = 3,
    encoder: str | None = None,
    image_size: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    repair: Flag = False,
    yes: Flag = False,
    json: Json = False,
) -> None:
    """All of it, with a stop-or-go summary at three gates: data, pretraining, proof.

    Run the same command again after an interruption: finished steps are not repeated.

    Every setting of a run is a flag under its dotted name, as in --batch-size 64 or --optim.lr 1e-3.

    Args:
        words: A sample (emoji, clipart), a folder or table to ingest, or a catalog.
        label: Column with the classes that the models are judged on.
        out: Folder for everything: catalog, runs, results.json, report.html.
        text_columns: Columns to find words in, with commas between; caption and keywords unless given.
        recipes: What to pretrain, with commas between.
        labels_per_class: Labels of the few-label comparison.
        draws: How often the few labels are drawn.
        encoder: A timm name, in place of the recipes' own.
        image_size: Side of the images in pixels, in place of the recipes' own.
        epochs: In place of the recipes' own.
        seed: Of everything.
        repair: Also audit and repair the captions, and show what training on the repaired ones brings.
        yes: Go through the gates without asking.
        json: Print one JSON object.
    """
    source, settings = read_words(words, what="source", flags=FLAGS)
    if source is None:
        raise UsageError("pilot needs a source; give emoji, clipart, a folder, a table or a catalog.")
    check_settings(settings, flags=FLAGS)
    from synsight.workflow import PilotSummary
    from synsight.workflow import pilot as run

    summary = run(
        source,
        label=label,
        out=out,
        text_columns=names(text_columns) or None,
        recipes=names(recipes),
        labels_per_class=labels_per_class,
        draws=draws,
        encoder=encoder,
        image_size=image_size,
        epochs=epochs,
        seed=seed,
        repair=repair,
        yes=yes,
        **settings,
    )

    def table(done: PilotSummary = summary) -> Iterator[RenderableType]:
        from synsight.reports import terminal_table

        if done.results:
            yield terminal_table(done.results)
            yield ""
        yield f"report: {done.report}"

    show(as_json(summary), as_json=json, table=table)
