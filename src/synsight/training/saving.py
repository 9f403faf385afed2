"""What a run leaves behind: the model, and the record that says it is finished."""

from torch import nn

from synsight import files
from synsight.methods import Method
from synsight.methods.image_text import ImageText
from synsight.models import Model, TextSide
from synsight.records import RunSummary, as_json
from synsight.training.job import Job
from synsight.training.lineage import making, note_in_catalog, trained_images
from synsight.training.run_folder import LOG, RunFolder
from synsight.training.settings import to_plain
from synsight.training.state import stopping_state
from synsight.training.stopping import sentence


def save_model(folder: RunFolder, job: Job) -> None:
    """Write the weights the method has now as the run's model, in place of an earlier one.

    Raises:
        StorageError: The disk refused.
    """
    head = job.method.classifier
    kind = None if head is None else job.method.head_kind
    projection, text = _joint_space(job.method)
    trained = trained_images(folder, job)
    config = job.start.config(
        method=job.config.method.name,
        head=kind,
        classes=0 if head is None else head.out_features,
        projection_dim=0 if projection is None else projection.out_features,
        trained_on=making(folder, job),
    )
    model = Model(
        job.method.encoder,
        config,
        head=head,
        projection=projection,
        text=text,
        trained_rows=trained,
        vocabulary=job.vocabulary if kind == "words" else None,
        label_names=job.data.label_names if kind == "labels" else None,
    )
    job.method.completed(model).save_pretrained(folder.model)
    note_in_catalog(folder, job, trained)


def _joint_space(method: Method) -> tuple[nn.Linear | None, TextSide | None]:
    """The projections and the text encoder of a method that has them, for zero-shot use of the model."""
    if not isinstance(method, ImageText) or (tower := method.text_tower()) is None:
        return None, None
    frozen = method.text_encoder is None
    text = TextSide(
        tower,
        projection=method.text_projection,
        logit_scale=method.log_scale.exp().item(),
        unit_features=frozen,
    )
    return method.image_projection, text


def finish(folder: RunFolder, job: Job) -> RunSummary:
    """Write the DONE marker, which holds the summary, and return it."""
    progress = job.parts.progress
    watched = not job.without_monitor
    reason = _reason(job)
    LOG.info("%s", reason)
    summary = RunSummary(
        run=str(folder.path),
        model=str(folder.model),
        steps=progress.step,
        best_step=progress.best_step if watched else progress.step,
        monitor=job.config.monitor.metric if watched else f"none: {job.without_monitor}",
        best_value=progress.best_value,
        stopped_because=reason,
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


def _reason(job: Job) -> str:
    """Why the run ended, and where its monitor was best."""
    progress = job.parts.progress
    if job.without_monitor or (progress.best_step == progress.step and not progress.stopped):
        return "finished"
    told = sentence(
        stopping_state(progress),
        metric=job.config.monitor.metric,
        total_steps=job.total_steps,
        stopped=progress.stopped,
        config=job.config.stopping,
    )
    return f"{'stopped early' if progress.stopped else 'finished'}: {told}"


def read_summary(folder: RunFolder) -> RunSummary:
    """The summary of a finished run; the paths are those of today."""
    record = files.read_json(folder.done)
    record |= {"run": str(folder.path), "model": str(folder.model)}
    return RunSummary(
        **record, curve=files.read_json_lines(folder.metrics), settings=to_plain(folder.read_config())
    )
