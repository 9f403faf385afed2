"""`train`: one run in its folder, from the first step or from where it was stopped."""

from pathlib import Path

from synsight.distributed import World, close_world, open_world
from synsight.errors import UsageError
from synsight.progress import progress_bar
from synsight.records import RunSummary
from synsight.training.checkpoints import has_checkpoint, load_checkpoint
from synsight.training.config import RunConfig
from synsight.training.data_record import Rows, open_data
from synsight.training.interrupts import stop_signals
from synsight.training.job import prepare
from synsight.training.loop import Sitting
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.saving import finish, read_summary, save_model
from synsight.training.state import unpack


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
        TrainingError: The folder holds another run, another process trains in it, a checkpoint is damaged, or
            the training went wrong (no finite loss, nothing learnt, collapse).
        DataError: The catalog lacks what the method needs.
        Interrupted: SIGINT or SIGTERM; a checkpoint is saved.
        StorageError: The disk refused a write; the last checkpoint is whole.
    """
    world = open_world()
    try:
        if world.size > 1:
            raise UsageError("training in several processes is not supported yet; start it without torchrun.")
        folder = RunFolder(out)
        with folder.locked():
            begun = folder.begin(config, resume=resume)
            if begun and folder.done.exists():
                return read_summary(folder)
            with folder.logging():
                return _train_in(folder, config, rows=rows, world=world)
    finally:
        close_world(world)


def _train_in(folder: RunFolder, config: RunConfig, *, rows: Rows | None, world: World) -> RunSummary:
    catalog, chosen, record = open_data(folder, config, rows)
    job = prepare(config, catalog=catalog, data_record=record, rows=chosen, world=world)
    if has_checkpoint(folder.last):
        unpack(load_checkpoint(folder.last), job.parts)
    progress = job.parts.progress
    folder.cut_metrics(step=progress.step)
    LOG.info("start at step %d of %d, %s on %s", progress.step, job.total_steps, job.precision, job.device)
    if job.monitor is None:
        LOG.warning("no k-NN monitor: %s; the last weights are kept", job.without_monitor)
    title = config.recipe or config.method.name
    with stop_signals() as stop, progress_bar(title, total=job.total_steps) as bar:
        bar.advance(progress.step)
        Sitting(folder, job, world, bar, stop).run()
        if job.monitor is None:
            with job.weights_to_keep():
                save_model(folder, job)
    return finish(folder, job)
