"""What records say of a model, section by section of a model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from synsight.models import Model
from synsight.reports.card_records import CardNote, CardSection
from synsight.reports.text import shortened
from synsight.workflow.card_evidence import (
    Evidence,
    drift_note,
    near_copies,
    result_tables,
    seen_images,
    slice_notes,
)

MOST_NAMES = 40
"""Classes, words or columns that are listed; the rest is counted."""
FEW_IMAGES = 500
"""A test set below this cannot tell a few points apart."""
SETTING_LENGTH = 300
TOLD = (
    *("version", "fingerprint", "rows", "ids", "images", "step", "seed", "processes", "norms", "code"),
    *("target_rows", "unlabelled_rows"),
)
"""What `ModelConfig.trained_on` may hold, in the order in which it is told."""

Facts = list[tuple[str, str]]


def model_sections(model: Model, folder: Path | None, evidence: Evidence) -> list[CardSection]:
    """All sections, without what only people can say.

    Args:
        model: The model.
        folder: Where it was loaded from, whose run folder is looked at; None: nowhere.
        evidence: What was measured of it.
    """
    return [
        CardSection(key="details", facts=_details(model)),
        CardSection(key="use", facts=_classes(model)),
        CardSection(key="factors", facts=_factors(evidence)),
        CardSection(key="metrics", facts=_metrics(evidence)),
        CardSection(key="evaluation_data", facts=_evaluation_data(evidence)),
        CardSection(key="training_data", facts=_training_data(model, folder)),
        CardSection(key="analyses", tables=result_tables(evidence)),
        CardSection(key="ethics"),
        CardSection(key="caveats", notes=_caveats(model, evidence)),
    ]


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Names with commas between; how many more there are."""
    shown = ", ".join(shortened(str(name), most=60) for name in names[:most])
    return shown if len(names) <= most else f"{shown} … (+{len(names) - most:,})"


def _details(model: Model) -> Facts:
    config = model.config
    facts = [
        ("name", model.name),
        ("architecture", f"{config.encoder}, {config.stem} stem"),
        ("input", f"RGB, {config.image_size} × {config.image_size} px"),
        ("features", f"{config.embedding_dim:,}"),
    ]
    if config.head is not None:
        facts.append(("predicts", f"{config.classes:,} {config.head} ({_scores(model)})"))
    if model.vocabulary is not None:
        facts.append(("words", f"{len(model.vocabulary):,}"))
    return [
        *facts,
        ("method", config.method),
        ("made_with", f"synsight {config.package_version}"),
        ("digest", model.digest),
    ]


def _scores(model: Model) -> str:
    alone = model.config.head == "words" or getattr(model.config, "label_scores", "softmax") == "sigmoid"
    return "sigmoid" if alone else "softmax"


def _classes(model: Model) -> Facts:
    return [("classes", listed(model.label_names))] if model.label_names else []


def _factors(evidence: Evidence) -> Facts:
    slices = evidence.slices.get("slices", [])
    columns = dict.fromkeys(str(part["column"]) for one in slices for part in one["parts"])
    return [("columns", listed([*columns]))] if columns else []


def _metrics(evidence: Evidence) -> Facts:
    if not evidence.results:
        return []
    metrics = dict.fromkeys(f"{one.task}: {one.metric}" for one in evidence.results)
    methods = dict.fromkeys(
        str(one.details["interval"]).split(",")[0] for one in evidence.results if "interval" in one.details
    )
    facts = [("metrics", listed([*metrics]))]
    return [*facts, ("intervals", "95%: " + listed([*methods]))] if methods else facts


def _evaluation_data(evidence: Evidence) -> Facts:
    if not evidence.results:
        return []
    first = evidence.results[0]
    facts = [
        ("dataset", first.dataset),
        ("version", str(first.catalog_version)),
        ("n_test", f"{max(one.n_test for one in evidence.results):,}"),
    ]
    for key, counted in (("seen", seen_images(evidence)), ("copies", near_copies(evidence))):
        if counted is not None:
            facts.append((key, f"{counted[0]:,} / {counted[1]:,}"))
    return facts


def _training_data(model: Model, folder: Path | None) -> Facts:
    told = model.config.trained_on
    known = {
        **told,
        "code": " ".join(str(one) for one in (told.get("code") or {}).values() if one)
        if isinstance(told.get("code"), Mapping)
        else told.get("code"),
    }
    names = {"catalog": "dataset"} | {name: name for name in TOLD}
    facts = [
        (key, _plain(known[name])) for name, key in names.items() if known.get(name) not in (None, "", [])
    ]
    rows = model.trained_rows
    if rows is not None and len(rows.hashes):
        facts += [("listed", f"{len(rows.hashes):,}"), ("whole", "yes" if rows.is_whole else "no")]
    return [*facts, *_run_facts(folder)]


def _run_facts(folder: Path | None) -> Facts:
    """What the run's own config.yaml says, where the model lies in its run folder."""
    if folder is None or not (path := folder.parent / "config.yaml").is_file():
        return []
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    if not isinstance(config, dict) or "recipe" not in config:
        return []
    plain = {name: value for name, value in config.items() if isinstance(value, int | float | str)}
    settings = ", ".join(
        f"{name} {value}" for name, value in plain.items() if name not in ("recipe", "seed", "data")
    )
    return [("recipe", str(config["recipe"])), ("settings", shortened(settings, most=SETTING_LENGTH))]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return shortened(str(value), most=SETTING_LENGTH)


def _caveats(model: Model, evidence: Evidence) -> list[CardNote]:
    notes = [CardNote(key="domain")]
    if not evidence.results:
        notes.append(CardNote(key="no_evaluation"))
    else:
        rows = max(one.n_test for one in evidence.results)
        if rows < FEW_IMAGES:
            notes.append(CardNote(key="few", values=(("n", f"{rows:,}"),)))
        if len({one.seed for one in evidence.results}) == 1:
            notes.append(CardNote(key="one_seed"))
    for key, counted in (("seen", seen_images(evidence)), ("copies", near_copies(evidence))):
        if counted is not None and counted[0]:
            notes.append(CardNote(key=key, values=(("n", f"{counted[0]:,}"), ("of", f"{counted[1]:,}"))))
    if model.trained_rows is not None and not model.trained_rows.is_whole:
        notes.append(CardNote(key="unknown_images"))
    return [*notes, *slice_notes(evidence), drift_note(evidence)]
