"""Full fine-tuning: the whole network goes on learning, on the labels alone.

The question is asked as `fewshot` and `linear` ask it of frozen features, on the same rows and draws, so that
the answers can be compared row by row.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, UsageError, near_names
from synsight.evaluation import write_evaluation
from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Finetuning, Options
from synsight.evaluation.options import Training as TrainingOptions
from synsight.evaluation.protocol import describe_rows
from synsight.evaluation.questions import Question, drawn_rows
from synsight.evaluation.rows import read_splits
from synsight.evaluation.scoring import PREDICTIONS, Scored, score
from synsight.evaluation.storage import check_out
from synsight.evaluation.subjects import model_features
from synsight.finetuning.rate_choice import Choice, choose_rate
from synsight.finetuning.start_rows import START_HEADS, StartRows
from synsight.finetuning.supervised import Training, answer_by_training, run_name, training_of
from synsight.models import Model, load
from synsight.recipes.finetune import FINETUNING
from synsight.records import Result
from synsight.training import RunConfig, override, to_plain
from synsight.training.start_head import write_head

TASK = "finetune"


def finetune(
    model: str | Path,
    *,
    data: str | Path,
    label: str,
    out: str | Path,
    labels_per_class: int | None = None,
    draws: int = 3,
    steps: int | None = None,
    seed: int = 0,
    recipe: str = "auto",
    start_head: str = "probe",
    rates: Sequence[float] = (1.0,),
    name: str | None = None,
    image_size: int | None = None,
    progress: bool = True,
    **overrides: object,
) -> list[Result]:
    """Fine-tune a model on labels, predict the test rows, and write the records.

    The runs stand in `out / "runs"`, one folder each with the fine-tuned MODEL; what is finished there is not
    repeated, what was stopped goes on. With few labels no other label is looked at: the number of steps is
    fixed and the last weights are kept. With all labels the accuracy on the validation split says which
    weights are kept and when the run ends.

    Args:
        model: A MODEL folder, a timm name, `open-clip:`, `hf-hub:`, `local-dir:`; `random:NAME` is training
            from scratch.
        data: The catalog's folder.
        label: A column of strings or integers.
        out: Folder for the runs, results.json, results.parquet, predictions.parquet and evaluation.json.
        labels_per_class: Labels of each class in a draw; None: all labelled rows of the training split, once.
        draws: Draws of few labels; draw d has the seed `seed + d`, and is that of `evaluate`'s `fewshot`.
        steps: Length of each run; None: the recipe's for so many rows.
        seed: Of the first draw and of its training.
        recipe: `simclr`, `catlip`, or `auto` (see `choose_recipe`).
        start_head: What the classifier begins with: `probe` (the converged linear probe), `transfer`
            (Transfer Init, for models trained on words) or `random`.
        rates: Learning rates to choose from, as multiples of the recipe's; of few labels a third is held back
            for the choice (`rate_choice`), which costs a training more for each rate. One rate: it is taken.
        name: What the model is called in the records; None: as `model` calls it.
        image_size: Input side in pixels of a model that is no folder; None: its own.
        progress: Show bars.
        overrides: Settings of the run to change by dotted path, as `**{"optim.lr": 1e-3,
            "optim.layer_decay": 0.7, "method.class_weights": "sqrt"}`.

    Returns:
        One record for each draw and metric, task `finetune`.

    Raises:
        UsageError: An unknown column, recipe, head or setting.
        DataError: A split without labelled rows, or one class only.
        ModelError: The model cannot be loaded, or has no words for `transfer`.
        TrainingError: A run cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    catalog, out = Catalog.open(data), Path(out)
    check_out(out, catalog.path)
    splits, version = read_splits(catalog, label), catalog.version
    network = load(model, image_size=image_size, seed=seed)
    few = labels_per_class is not None
    judged = Judged(
        name=name or str(model),
        model=network,
        catalog=catalog,
        version=version,
        splits=splits,
        options=Options(
            labels_per_class=() if labels_per_class is None else (labels_per_class,),
            draws=draws,
            seed=seed,
            training=TrainingOptions(steps=steps, overrides=overrides),
            finetuning=Finetuning(
                recipe=recipe, start_head=start_head, all_labels=not few, rates=tuple(rates)
            ),
        ),
        out=out,
        compute=lambda: model_features(network, catalog, splits, progress=progress),
        progress=progress,
    )
    scored = finetuned(judged)
    settings = {
        "catalog": str(catalog.path),
        "catalog_version": version,
        "models": [{"name": judged.name, "source": str(model), "digest": network.digest}],
        "tasks": [TASK],
        "labels_per_class": list(judged.options.labels_per_class),
        "draws": draws if few else 1,
        "seed": seed,
        **describe_rows(splits),
    }
    write_evaluation(out, scored.results, scored.predictions, settings=settings, catalog=catalog)
    return scored.results


def finetuned(judged: Judged) -> Scored:
    """The task `finetune`: each draw of each number of labels, and all labels once, unless
    `options.finetuning.all_labels` is off.

    Raises:
        UsageError: Only features are known, or an unknown recipe, head or setting.
        ModelError: The model has no words for the head `transfer`.
        TrainingError: A run cannot go on.
        Interrupted: Stopped from outside; the same call goes on.
    """
    model, options = judged.network, judged.options
    _check_names(options)
    asked = [
        Question(TASK, size, options.seed + draw)
        for size in options.labels_per_class
        for draw in range(options.draws)
    ]
    if options.finetuning.all_labels:
        asked.append(Question(TASK, None, options.seed))
    folder = judged.out / "runs" / _folder_name(judged.name, model)
    start = folder / "start"
    if asked and not (start / "config.json").exists():
        model.save_pretrained(start, with_text=False)
    scored = [_answer(judged, question, folder) for question in asked]
    tables = [PREDICTIONS.empty_table(), *(one.predictions for one in scored)]
    return Scored([one for some in scored for one in some.results], pa.concat_tables(tables))


def choose_recipe(model: Model) -> tuple[str, str]:
    """The published recipe that suits an encoder, and why.

    CatLIP's AdamW is for transformers and whatever else has no BatchNorm; SimCLR's SGD is for networks with
    BatchNorm, whose layers bear one rate for all.
    """
    if any(isinstance(part, nn.BatchNorm2d) for part in model.encoder.modules()):
        return "simclr", f"{model.config.encoder} has BatchNorm, on which SGD learns well"
    return "catlip", f"{model.config.encoder} has no BatchNorm, as transformers, which learn by AdamW"


def _answer(judged: Judged, question: Question, folder: Path) -> Scored:
    options = judged.options
    recipe, reason = options.finetuning.recipe, "asked for"
    if recipe == "auto":
        recipe, reason = choose_recipe(judged.network)
    draw = drawn_rows(judged.splits, question)
    rows = len(judged.splits.train) if draw is None else len(draw.rows)
    config = FINETUNING[recipe](judged.splits.label, rows=rows, labels_per_class=question.n_labels)
    training = training_of(question, _settled(config, judged, folder), judged.splits)
    run = folder / run_name(question.n_labels, question.seed)
    choice = _rate(judged, training, run)
    training = dataclasses.replace(training, config=override(training.config, {"optim.lr": choice.lr}))
    training, head = _with_head(judged, training, run.with_name(f"{run.name}_head.safetensors"))
    settings = _comparable(training.config)
    if len(options.finetuning.rates) > 1:  # another draw may choose another
        settings["optim"]["lr"] = f"chosen of {list(options.finetuning.rates)}"
    details = {
        "recipe": recipe,
        "recipe_because": reason,
        "encoder": judged.network.config.encoder,
        "start_head": options.finetuning.start_head,
        **({} if head is None else head.details),
        "lr": training.config.optim.lr,
        **choice.details,
        "settings": settings,
    }
    answer = answer_by_training(
        training, catalog=judged.catalog, splits=judged.splits, run=run, details=details
    )
    answer = dataclasses.replace(answer, seconds=answer.seconds + choice.seconds)
    hashed = judged.question_hash(
        TASK,
        n_labels=question.n_labels,
        seed=question.seed,
        head=options.finetuning.start_head,
        settings=settings,
    )
    return score(answer, origin=judged.origin, config_hash=hashed)


def _rate(judged: Judged, training: Training, run: Path) -> Choice:
    """The run's learning rate: the recipe's, the user's, or that of some which held-back labels prefer."""
    own, rates = training.config.optim.lr, judged.options.finetuning.rates
    if len(rates) > 1:
        return choose_rate(
            training,
            rates,
            splits=judged.splits,
            catalog=judged.catalog,
            run=run,
            with_head=lambda trial, path: _with_head(judged, trial, path)[0],
        )
    asked_for = rates[0] != 1 or "optim.lr" in judged.options.training.overrides
    return Choice(own * rates[0], {"lr_chosen_on": "asked for" if asked_for else "nothing"})


def _settled(config: RunConfig, judged: Judged, folder: Path) -> RunConfig:
    """A recipe with the model, the catalog and the user's changes."""
    options = judged.options
    changes: dict[str, object] = {
        "data": str(judged.catalog.path),
        "encoder": str(folder / "start"),
        "image_size": judged.network.config.image_size,
    }
    if options.training.steps is not None:
        changes["steps"] = options.training.steps
    elif "epochs" in options.training.overrides:  # who names a length gets that length
        changes |= {"steps": None, "least_steps": 0}
    return override(config, {**changes, **options.training.overrides})


def _with_head(judged: Judged, training: Training, path: Path) -> tuple[Training, StartRows | None]:
    """The training with the rows that its classifier begins with, which are kept in a file beside the run."""
    classes = np.unique(training.rows.labels)
    names = [judged.splits.class_names[one] for one in classes]
    head = START_HEADS[judged.options.finetuning.start_head](judged, training, names)
    if head is None:
        return training, None
    weight, bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
    write_head(path, weight=weight, bias=bias, names=names)
    config = override(training.config, {"method.initial_weights": str(path)})
    return dataclasses.replace(training, config=config), head


def _comparable(config: RunConfig) -> dict[str, Any]:
    """The settings of a run that are the same for every model that is asked in the same way."""
    plain: dict[str, Any] = to_plain(config)
    for name in ("data", "encoder", "image_size", "workers", "track", "checkpoint", "log_every"):
        del plain[name]
    del plain["method"]["initial_weights"]
    return plain


def _check_names(options: Options) -> None:
    rates = options.finetuning.rates
    if not rates or not all(np.isfinite(one) and one > 0 for one in rates):
        raise ConfigError(f"learning rates must be multiples > 0 of the recipe's; got {list(rates)!r}.")
    known: Mapping[str, Any] = {"auto": None, **FINETUNING}
    for what, found, names in (
        ("recipe of fine-tuning", options.finetuning.recipe, known),
        ("start_head", options.finetuning.start_head, START_HEADS),
    ):
        if found not in names:
            raise UsageError(f"no {what} is called {found!r}; {near_names(found, names)}")


def _folder_name(name: str, model: Model) -> str:
    """A folder of its own for each model, whatever it is called."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('._')[-60:] or 'model'}_{model.digest}"
