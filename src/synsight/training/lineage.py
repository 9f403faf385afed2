"""What a model keeps of its making: which images, which ids, by which code, seed and processes."""

from typing import Any

from torch import nn

from synsight import files
from synsight.data.trained_models import note_model
from synsight.data.trained_rows import TrainedRows, trained_rows
from synsight.errors import DataError, StorageError
from synsight.models.folder_writing import TRAINED_ON
from synsight.training.job import Job
from synsight.training.run_folder import LOG, RunFolder


def trained_images(folder: RunFolder, job: Job) -> TrainedRows:
    """The images that the run's weights are made from, those of the encoder it began with among them.

    They are read and hashed once: a run that has kept a model before takes the list from there.
    """
    try:
        return TrainedRows.load(folder.model / TRAINED_ON)
    except DataError:
        own = trained_rows(job.catalog, job.data.positions)
        return own.with_earlier(job.start.trained_rows) if job.start.pretrained else own


def making(folder: RunFolder, job: Job) -> dict[str, Any]:
    """Facts of the model card, as JSON values."""
    record = job.data_record
    environment = files.read_json(folder.environment)
    return {
        "catalog": job.catalog.name,
        **{name: record[name] for name in ("version", "fingerprint", "rows")},
        "ids": record.get("ids"),
        "step": job.parts.progress.step,
        "seed": job.config.seed,
        "processes": job.world.size,
        "norms": norms_of(job.method.encoder),
        "code": {"synsight": environment["packages"]["synsight"], "commit": environment["commit"]},
    }


def note_in_catalog(folder: RunFolder, job: Job, trained: TrainedRows) -> None:
    """Leave a note for those who delete images; a catalog that cannot be written to stays without."""
    try:
        note_model(job.catalog, folder.model, trained)
    except StorageError as error:
        LOG.warning("%s; a purge will not name this model", error)


def norms_of(encoder: nn.Module) -> list[str]:
    """Which normalisations an encoder has; those over the batch tie a run to its number of processes."""
    names = {type(part).__name__ for part in encoder.modules()}
    return sorted(name for name in names if "norm" in name.lower())
