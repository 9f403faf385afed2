"""The verb `pretrain`: a recipe by its name, some settings changed, trained."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

import pyarrow as pa

from synsight.data.catalog import Catalog
from synsight.errors import UsageError, near_names
from synsight.ray_cluster import check_runner
from synsight.recipes.names import RECIPES
from synsight.records import RunSummary
from synsight.training.config import RunConfig, read_config
from synsight.training.dry_run import DryRun, measure
from synsight.training.ray_runner import train_on_ray
from synsight.training.run import train
from synsight.training.settings import override

LABEL = "label"
"""The catalog's own name for what `ingest` was told is the label."""


@overload
def pretrain(
    recipe: str | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path,
    resume: bool = False,
    dry_run: Literal[False] = False,
    config: RunConfig | str | Path | None = None,
    runner: str = "local",
    workers_per_run: int = 1,
    **overrides: object,
) -> RunSummary: ...


@overload
def pretrain(
    recipe: str | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    dry_run: Literal[True],
    config: RunConfig | str | Path | None = None,
    runner: str = "local",
    workers_per_run: int = 1,
    **overrides: object,
) -> DryRun: ...


def pretrain(
    recipe: str | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    config: RunConfig | str | Path | None = None,
    runner: str = "local",
    workers_per_run: int = 1,
    **overrides: object,
) -> RunSummary | DryRun:
    """Pretrain an encoder on a catalog.

    Args:
        recipe: A name of `RECIPES`. Not needed with `config`, or to resume a run with its own settings.
        data: The catalog's folder.
        out: The run's folder: new or empty, or that of the run to resume. Not needed for a dry run.
        resume: Go on with the run in `out`; begins it when the folder is empty, does nothing when it is
            finished.
        dry_run: Measure a few steps and return what the run would cost; nothing is written.
        config: A whole config, or the path of a config.yaml, in place of a recipe.
        runner: `local`: in this process, or in those that torchrun started; `ray`: on a Ray cluster.
        workers_per_run: Processes of the run on the cluster.
        overrides: Settings to change by dotted path, as `epochs=5` or `**{"optim.lr": 1e-3}`; strings are
            converted.

    Returns:
        Where the model is and how the run went; for a dry run its cost.

    Raises:
        UsageError: An unknown recipe, runner or setting.
        MissingDependency: Ray, or a logger of `track`, is not installed.
        ConfigError: A setting out of its range.
        DataError: The catalog lacks what the recipe needs.
        TrainingError: The run cannot go on, or the folder is another run's.
        Interrupted: Stopped from outside; the work so far is saved.
    """
    if out is None and not dry_run:
        raise UsageError("pretrain needs a folder for the run; give --out RUN (out=...).")
    _check_runner(runner, workers_per_run)
    changes = dict(overrides) if data is None else {"data": str(data), **overrides}
    if "epochs" in changes:  # who names a length gets that length
        changes.setdefault("least_steps", 0)
    settings = override(_begin(recipe, config, out if resume else None), changes)
    if not settings.data:
        raise UsageError("pretrain needs a catalog; give --data CATALOG (data=...).")
    if config is None:
        settings = _fitted(settings, chosen=changes)
    if dry_run:
        return measure(settings)
    assert out is not None
    if runner == "ray":
        return train_on_ray(settings, out=out, workers=workers_per_run, resume=resume)
    return train(settings, out=out, resume=resume)


def _check_runner(runner: str, workers: int) -> None:
    check_runner(runner)
    if runner == "local" and workers != 1:
        raise UsageError(
            "workers_per_run is for runner ray; several processes on this machine are started by "
            f"`torchrun --nproc-per-node {workers} -m synsight pretrain ...`."
        )


def _begin(recipe: str | None, config: RunConfig | str | Path | None, run: str | Path | None) -> RunConfig:
    if config is not None:
        return config if isinstance(config, RunConfig) else read_config(Path(config))
    # A resumed run begins from its own settings, so that nobody has to remember what was changed then.
    if run is not None and (saved := Path(run) / "config.yaml").exists():
        begun = read_config(saved)
        if recipe is not None and recipe != begun.recipe:
            raise UsageError(
                f"{run}: this run began with the recipe {begun.recipe!r}, not {recipe!r}; resume it with "
                "that one, or start a new run in another folder."
            )
        return begun
    if recipe is None:
        raise UsageError(f"pretrain needs a recipe; known: {', '.join(sorted(RECIPES))}.")
    if recipe not in RECIPES:
        raise UsageError(f"no recipe is called {recipe!r}; {near_names(recipe, RECIPES)}")
    return RECIPES[recipe]()


def _fitted(settings: RunConfig, *, chosen: Mapping[str, object]) -> RunConfig:
    """A recipe with what it leaves open taken from the catalog; nothing that the user chose is touched.

    A catalog with fewer rows than the batch is one batch; a column called `label` serves the monitor, unless
    it holds several labels a row.
    """
    catalog = Catalog.open(settings.data)
    rows = catalog.count_rows(settings.where)
    if "batch_size" not in chosen and 2 <= rows < settings.batch_size:
        settings = replace(settings, batch_size=rows)
    has_label = LABEL in catalog.columns and not pa.types.is_list(catalog.schema.field(LABEL).type)
    if "label" not in chosen and settings.label is None and has_label:
        settings = replace(settings, label=LABEL)
    return settings
