"""`train`: one run in its folder, from the first step or from where it was stopped."""

from contextlib import nullcontext
from pathlib import Path

import torch

from synsight.distributed import World, attempt, close_world, open_world
from synsight.errors import TrainingError
from synsight.models import check_start
from synsight.progress import progress_bar
from synsight.records import RunSummary
from synsight.training.checkpoints import has_checkpoint, load_checkpoint
from synsight.training.config import RunConfig
from synsight.training.data_record import Rows, open_data
from synsight.training.interrupts import stop_signals
from synsight.training.job import prepare
from synsight.training.loop import Sitting
from synsight.training.memory import give_back
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.saving import finish, read_summary, save_model
from synsight.training.state import unpack
from synsight.training.stopping import IN_PROSE
from synsight.training.trackers import import_trackers, tracking


def train(
    config: RunConfig, *, out: str | Path, rows: Rows | None = None, resume: bool = False
) -> RunSummary:
    """Train one run from its settings, or go on with it.

    Args:
        config: All settings.
        out: The run's folder: new or empty, or with `resume` that of the run.
        rows: Catalog positions to train on, in place of `config.where`; kept in the run's rows.json.
        resume: Go on where the run was stopped, bit for bit as if it had not been; begins it when the folder
            is empty, and does nothing when it is finished.

    Returns:
        Where the model is and how the run went.

    Raises:
        MissingDependency: A logger of `config.track` is not installed.
        ModelError: The encoder's name is not known, or its weights cannot be had.
        TrainingError: The folder holds another run, another process trains in it, a checkpoint is damaged, or
            the training went wrong (no finite loss, nothing learnt, collapse).
        DataError: The catalog lacks what the method needs.
        Interrupted: SIGINT or SIGTERM; a checkpoint is saved.
        StorageError: The disk refused a write; the last checkpoint is whole.
    """
    folder = RunFolder(out)
    if not folder.config.exists():
        check_start(config.encoder)  # a misspelt name must leave no run behind that bars the right one
    world = open_world()
    try:
        if world.is_main:
            import_trackers(config.track)
        # One process holds, writes and speaks for all; the others wait until the folder is in order.
        with folder.locked() if world.is_main else nullcontext():
            going_on = resume or attempt() > 0  # torchrun starts the same command again
            begun = world.any(world.is_main and folder.begin(config, resume=going_on))
            if begun and folder.done.exists():
                return read_summary(folder)
            with folder.logging() if world.is_main else nullcontext():
                return _train_in(folder, config, rows=rows, world=world)
    except RuntimeError as error:
        if world.size == 1 or isinstance(error, torch.OutOfMemoryError):
            raise
        raise TrainingError(
            f"process {world.rank} of {world.size} lost the others ({str(error).splitlines()[0][:200]}); the "
            "work up to the last checkpoint is saved: start the same command again with --resume."
        ) from error
    finally:
        close_world(world)
        give_back()


def _train_in(folder: RunFolder, config: RunConfig, *, rows: Rows | None, world: World) -> RunSummary:
    if not world.is_main:
        world.wait()  # until data.json is there
    catalog, chosen, record = open_data(folder, config, rows)
    if world.is_main:
        world.wait()
    job = prepare(config, catalog=catalog, data_record=record, rows=chosen, world=world)
    if has_checkpoint(folder.last):
        unpack(load_checkpoint(folder.last), job.parts)
    progress = job.parts.progress
    if world.is_main:
        folder.cut_metrics(step=progress.step)
    LOG.info("start at step %d of %d, %s on %s", progress.step, job.total_steps, job.precision, job.device)
    if job.without_monitor and config.monitor.metric != "none":
        watched = IN_PROSE.get(config.monitor.metric, config.monitor.metric)
        LOG.warning("no monitor of %s: %s; the last weights are kept", watched, job.without_monitor)
    title = config.recipe or config.method.name
    shown = world.is_main
    track = config.track if world.is_main else ()
    with tracking(track, folder=folder, config=config, step=progress.step) as trackers:
        with stop_signals() as stop, progress_bar(title, total=job.total_steps, shown=shown) as bar:
            bar.advance(progress.step)
            Sitting(folder, job, bar, stop, trackers).run()
        if job.without_monitor:
            with job.weights_to_keep() as kept:
                if world.is_main:
                    save_model(folder, kept)
        if world.is_main:
            finish(folder, job)
        world.wait()
    return read_summary(folder)
