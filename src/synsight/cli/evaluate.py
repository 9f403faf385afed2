"""`synsight evaluate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, counts, names, show
from synsight.errors import UsageError
from synsight.records import Result, as_json


def evaluate(
    *models: str,
    data: Path,
    out: Path,
    label: str | None = None,
    tasks: str = "knn,linear,fewshot",
    labels_per_class: str = "10",
    draws: int = 3,
    seed: int = 0,
    features: str | None = None,
    image_size: int | None = None,
    allow_seen: Flag = False,
    skip_copies: Flag = False,
    text_column: str = "caption",
    keywords_column: str = "keywords",
    keywords_separator: str | None = None,
    domain_column: str = "domain",
    class_names: Path | None = None,
    templates: Path | None = None,
    prompt_dataset: str | None = None,
    episodes: int = 600,
    locale: Literal["en", "ja"] = "en",
    robustness_rows: int = 1000,
    corruptions: str | None = None,
    severities: str = "1,3,5",
    resolutions: str = "2,4,8",
    finetune_recipe: str = "auto",
    start_head: Literal["probe", "transfer", "random"] = "probe",
    finetune_rates: str = "1",
    steps: int | None = None,
    json: Json = False,
) -> None:
    """Measure models on the test rows, with 95% intervals.

    On frozen features: knn, linear, fewshot, curve (from one label a class
    to all), episodes (5-way 5-shot), start (with and without Transfer Init),
    multilabel, domains.
    By words: zeroshot, evidence, retrieval.
    Robustness: corruptions, resolution.
    Training a network: finetune, detection, detection_frozen, segmentation,
    segmentation_frozen.

    Args:
        models: MODEL folders, timm names, or random:NAME for an untrained network.
        data: The catalog's folder.
        out: Folder for results.json, results.parquet and predictions.parquet.
        label: Column with the classes; retrieval, multilabel, detection and segmentation need none.
        tasks: What to ask, with commas between.
        labels_per_class: Labels of the few-label tasks, with commas between, as 1,5,10,50.
        draws: How often the few labels are drawn.
        seed: Of the draws and the intervals.
        features: Parquet files with id and features, commas between, each judged like a model.
        image_size: Input side of models that are no folder.
        allow_seen: Judge a model that was trained on test images; its records say so.
        skip_copies: Do not look for near copies of test images among the training images.
        text_column: Texts of retrieval.
        keywords_column: Labels of multilabel: a list in each row.
        keywords_separator: What stands between the labels, where the column is one string.
        domain_column: Of domains: where an image comes from, as camera or site.
        class_names: JSON file, label to name or names, as CLIP_benchmark's.
        templates: JSON file of sentences around a name, as CLIP_benchmark's.
        prompt_dataset: Which data set of these files; else the only one.
        episodes: How many are drawn.
        locale: Language of names and sentences: en or ja.
        robustness_rows: Most test rows of corruptions and resolution.
        corruptions: Names with commas between, as fog,contrast; else all.
        severities: Of corruptions: 1 to 5.
        resolutions: What the sides of test images are divided by.
        finetune_recipe: simclr, catlip, or auto.
        start_head: What fine-tuning's classifier starts from.
        finetune_rates: Learning rates to choose from, as multiples of the
            recipe's, like 0.3,1,3; a third of few labels is held back for it.
        steps: Length of trainings; else as the recipe says.
        json: Print the records as one JSON list.
    """
    files = names(features)
    if not models and not files:
        raise UsageError(
            "evaluate needs a model; give a MODEL folder, a timm name, or random:resnet18, or --features."
        )
    from synsight.evaluation import Columns, Finetuning, Options, Robustness, Training, Wording
    from synsight.workflow.judging import evaluate as run

    results = run(
        models,
        data=data,
        label=label,
        out=out,
        tasks=names(tasks),
        labels_per_class=counts(labels_per_class, flag="--labels-per-class"),
        draws=draws,
        seed=seed,
        features=files,
        image_size=image_size,
        allow_seen=allow_seen,
        check_copies=not skip_copies,
        options=Options(
            episodes=episodes,
            columns=Columns(
                text=text_column,
                domain=domain_column,
                keywords=keywords_column,
                keywords_separator=keywords_separator,
            ),
            wording=Wording(
                class_names=class_names, templates=templates, dataset=prompt_dataset, locale=locale
            ),
            robustness=Robustness(
                rows=robustness_rows,
                corruptions=names(corruptions),
                severities=counts(severities, flag="--severities"),
                resolutions=tuple(map(float, counts(resolutions, flag="--resolutions"))),
            ),
            training=Training(steps=steps),
            finetuning=Finetuning(
                recipe=finetune_recipe, start_head=start_head, rates=_rates(finetune_rates)
            ),
        ),
    )
    show([as_json(one) for one in results], as_json=json, table=lambda: _table(results, out))


def _rates(text: str) -> tuple[float, ...]:
    """Multiples with commas between; their range is checked where they are used."""
    try:
        return tuple(map(float, names(text)))
    except ValueError:
        raise UsageError(
            f"--finetune-rates: expected numbers above zero with commas between, as 0.3,1,3; got {text!r}."
        ) from None


def _table(results: list[Result], out: Path) -> Iterator[RenderableType | str]:
    from synsight.evaluation import mean_over_draws, read_predictions
    from synsight.files import read_json
    from synsight.reports import question_table

    yield question_table(mean_over_draws(results, read_predictions(out)))
    told = read_json(out / "evaluation.json")
    for one in told["left_out"]:
        yield f"left out: {one['task']} of {one['model']}: {one['reason']}"
    for one in told["trained_on"]:
        if one["seen_test_rows"]:
            found = f"{one['seen_test_rows']:,} of {one['test_rows']:,} test images"
            yield f"{one['model']} was trained on {found}; its numbers on them prove nothing"
    for folder in dict.fromkeys(one.details.get("trained_model") for one in results):
        if folder is not None:
            yield f"trained: {out / folder}"
    for folder in dict.fromkeys(one.details.get("coco_files") for one in results):
        if folder is not None:
            yield f"for COCO's tools: {out / folder}"
    for first, second, *_ in told.get("classes_spelt_alike", ()):
        yield f"{first!r} and {second!r} count as two classes, and differ in case or spaces only"
    if unlearnt := told.get("classes_only_in_test"):
        shown = ", ".join(repr(one) for one in unlearnt[:5]) + (", ..." if len(unlearnt) > 5 else "")
        yield f"{len(unlearnt):,} of the test's classes stand in no training row: {shown}"
    copies = told.get("near_copies", {"near_copies": 0})
    if copies["near_copies"]:
        yield (
            f"{copies['near_copies']:,} of {copies['test_rows']:,} test images have a near copy among the "
            "training images; evaluation.json names some, and the records say what is right without them"
        )
    yield f"records: {out / 'results.json'}"
