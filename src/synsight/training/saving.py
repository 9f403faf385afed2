"""What a run leaves behind: the model, and the record that says it is finished."""

from synsight import files
from synsight.models import Model, ModelConfig, default_stem
from synsight.records import RunSummary, as_json
from synsight.training.job import Job
from synsight.training.monitor import METRIC
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.settings import to_plain


def save_model(folder: RunFolder, job: Job) -> None:
    """Write the weights the method has now as the run's model, in place of an earlier one.

    Raises:
        StorageError: The disk refused.
    """
    head = job.method.classifier
    kind = None if head is None else "words" if job.method.needs == "words" else "labels"
    config = ModelConfig(
        encoder=job.config.encoder,
        image_size=job.config.image_size,
        embedding_dim=job.method.embedding_dim,
        mean=job.data.mean,
        std=job.data.std,
        stem=default_stem(job.config.encoder, image_size=job.config.image_size),
        method=job.config.method.name,
        head=kind,  # type: ignore[arg-type]
        classes=0 if head is None else head.out_features,
        trained_on={
            "catalog": job.catalog.name,
            **{name: job.data_record[name] for name in ("version", "fingerprint", "rows")},
            "step": job.parts.progress.step,
        },
    )
    model = Model(
        job.method.encoder,
        config,
        head=head,
        vocabulary=job.vocabulary,
        label_names=job.data.label_names if kind == "labels" else None,
    )
    model.save_pretrained(folder.model)


def finish(folder: RunFolder, job: Job) -> RunSummary:
    """Write the DONE marker, which holds the summary, and return it."""
    progress = job.parts.progress
    watched = job.monitor is not None
    if watched and progress.best_step < job.total_steps:
        LOG.info("the model is that of step %d, where %s was best", progress.best_step, METRIC)
    summary = RunSummary(
        run=str(folder.path),
        model=str(folder.model),
        steps=progress.step,
        best_step=progress.best_step if watched else progress.step,
        monitor=METRIC if watched else f"none: {job.without_monitor}",
        best_value=progress.best_value,
        stopped_because="finished",
        seconds=progress.seconds,
        name=folder.path.resolve().name,
        recipe=job.config.recipe,
        curve=files.read_json_lines(folder.metrics),
        settings=to_plain(job.config),
    )
    record = as_json(summary)
    del record["curve"], record["settings"]  # they have files of their own
    files.write_json(folder.done, record)
    return summary


def read_summary(folder: RunFolder) -> RunSummary:
    """The summary of a finished run; the paths are those of today."""
    record = files.read_json(folder.done)
    record |= {"run": str(folder.path), "model": str(folder.model)}
    return RunSummary(
        **record, curve=files.read_json_lines(folder.metrics), settings=to_plain(folder.read_config())
    )
