"""`synsight pretrain`."""

from pathlib import Path
from typing import Any

from synsight.cli.console import Flag, Json, show
from synsight.cli.settings import Recipe, check_settings, read_words
from synsight.errors import UsageError
from synsight.records import as_json

USAGE = "Usage: synsight pretrain RECIPE --data CATALOG --out RUN [OPTIONS]"

FLAGS = (
    "data",
    "out",
    "label",
    "encoder",
    "epochs",
    "batch_size",
    "seed",
    "config",
    "resume",
    "dry_run",
    "runner",
    "workers_per_run",
    "json",
)


def pretrain(
    *words: Recipe,
    data: Path | None = None,
    out: Path | None = None,
    label: str | None = None,
    encoder: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    config: Path | None = None,
    resume: Flag = False,
    dry_run: Flag = False,
    runner: str = "local",
    workers_per_run: int = 1,
    json: Json = False,
) -> None:
    """Train an encoder: from images alone (simclr, simsiam), from captions (catlip, superclass, clip, siglip,
    superclip), from images with similar captions (lgsimclr, lgsimsiam, lgslip, xclr) or from labels
    (supervised).

    Every setting of a run is a flag under its dotted name, as in --optim.lr 1e-3; RUN/config.yaml lists them.

    Args:
        words: The recipe; not needed with --config, or to resume.
        data: The catalog's folder.
        out: The run's folder, new or empty.
        label: Column for the k-NN monitor, which chooses the best weights; what supervised learns.
        encoder: A timm name, or pretrained:NAME, open-clip:NAME/WEIGHTS, hf-hub:ID, local-dir:PATH, MODEL.
        epochs: Passes over the training rows.
        batch_size: Images a step.
        seed: Of weights, order and views.
        config: A config.yaml to repeat, in place of a recipe.
        resume: Go on with the run in --out.
        dry_run: Measure a few steps here and quote time and memory; nothing is written.
        runner: local (this process, or those of torchrun) or ray (a cluster).
        workers_per_run: Processes of the run on the cluster.
        json: Print one JSON object.
    """
    recipe, settings = read_words(words, what="recipe", flags=FLAGS)
    from synsight.recipes import pretrain as run

    given = {"label": label, "encoder": encoder, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | settings
    check_settings(settings, flags=FLAGS)
    if dry_run:
        quote = as_json(run(recipe, data=data, out=out, dry_run=True, config=config, **changes))
        show(quote, as_json=json, table=lambda: [_facts(quote)])
        return
    if out is None:
        raise UsageError("pretrain needs a folder for the run; give --out RUN.")
    where: dict[str, Any] = {"runner": runner, "workers_per_run": workers_per_run}
    summary = run(recipe, data=data, out=out, resume=resume, config=config, **where, **changes)
    from synsight.distributed import is_main_process

    if not is_main_process():
        return
    from synsight.workflow.pages import write_run_page

    page = write_run_page(summary)
    value = as_json(summary)
    del value["curve"]  # it is in RUN/metrics.jsonl
    shown = {name: value[name] for name in value if name not in ("name", "settings")} | {"report": str(page)}
    show(value | {"report": str(page)}, as_json=json, table=lambda: [_facts(shown)])


def _facts(facts: dict[str, Any]) -> Any:
    from synsight.reports import fact_table

    return fact_table(facts)
