"""What `compare` reads: evaluations' folders and result files of CLIP_benchmark, put side by side."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synsight import files
from synsight.errors import DataError, UsageError
from synsight.evaluation.foreign_results import is_foreign, read_foreign
from synsight.evaluation.scoring import METRICS, PREDICTIONS, mean_over_draws
from synsight.evaluation.storage import read_predictions, read_results
from synsight.records import Result
from synsight.reports.decision_records import Note
from synsight.reports.summary import DIFFERENCE


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One folder or file, as read."""

    path: str
    results: list[Result]
    """Means over draws; no differences."""
    predictions: pa.Table
    """Schema `PREDICTIONS`; empty for a foreign file."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """evaluation.json."""
    foreign: bool = False

    @property
    def models(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(one.model for one in self.results))

    @property
    def dataset(self) -> str:
        """That the records name."""
        return self.results[0].dataset

    def described(self, model: str) -> Mapping[str, Any]:
        """What evaluation.json says about a model."""
        models = self.settings.get("models")
        entries = [one for one in models if isinstance(one, Mapping)] if isinstance(models, list) else []
        return next((one for one in entries if one.get("name") == model), {})


@dataclass(frozen=True, eq=False)
class Evidence:
    """All evaluations, each model under one name."""

    evaluations: Sequence[Evaluation]
    results: list[Result]
    predictions: pa.Table
    home: Mapping[str, Evaluation]
    """Model -> where it comes from (the first, if several)."""
    notes: list[Note] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """In their order."""
        return list(self.home)


def read_evidence(paths: Sequence[str | Path]) -> Evidence:
    """Read evaluations and check that they speak of the same labels.

    Raises:
        UsageError: No path.
        DataError: One cannot be read, or they judge by different labels.
    """
    places = [place for path in paths for place in _places(str(path))]
    if not places:
        raise UsageError("compare needs evaluations; give the folders that `synsight evaluate` wrote.")
    evaluations = [_read(place) for place in dict.fromkeys(places)]
    _check_labels(evaluations)
    notes: list[Note] = []
    home: dict[str, Evaluation] = {}
    named: list[Evaluation] = []
    for one in evaluations:
        named.append(_with_own_names(one, home, notes))
        for model in named[-1].models:
            home.setdefault(model, named[-1])
    results, predictions = _joined(named, notes)
    return Evidence(named, results, predictions, home, notes)


def _places(text: str) -> list[str]:
    if Path(text).exists() or not glob.has_magic(text):
        return [text]
    found = sorted(glob.glob(text))  # noqa: PTH207  the pattern may be absolute
    if not found:
        raise DataError(f"{text}: expected evaluations or result files, nothing has such a name; check it.")
    return found


def _read(place: str) -> Evaluation:
    path = Path(place)
    if is_foreign(path):
        return Evaluation(place, read_foreign(path), PREDICTIONS.empty_table(), foreign=True)
    if not path.is_dir():
        raise DataError(
            f"{place}: expected the folder of an evaluation or a result file of CLIP_benchmark (.json), "
            f"found {'another file' if path.exists() else 'nothing'}; check the path."
        )
    measured = [one for one in read_results(path) if not one.metric.endswith(DIFFERENCE)]
    if not measured:
        raise DataError(f"{place}: expected records of an evaluation, found none; evaluate again.")
    predictions = read_predictions(path)
    settings = files.read_json(path / "evaluation.json") if (path / "evaluation.json").exists() else {}
    rows = [one for one in measured if one.metric in METRICS]
    others = [one for one in measured if one.metric not in METRICS]
    results = [*mean_over_draws(rows, predictions), *others]
    return Evaluation(place, results, predictions, settings if isinstance(settings, dict) else {})


def _check_labels(evaluations: Sequence[Evaluation]) -> None:
    """The same column, and no test row with two truths."""
    labelled = [one for one in evaluations if one.settings.get("label")]
    for one in labelled[1:]:
        first = labelled[0]
        if one.settings["label"] != first.settings["label"]:
            raise DataError(
                f"{first.path} judges by the label {first.settings['label']!r}, {one.path} by "
                f"{one.settings['label']!r}; only answers to one question can be compared, so evaluate "
                "both by the same label."
            )
    truths: dict[tuple[str, str], tuple[str, str]] = {}
    for one in evaluations:
        kept = one.predictions.select(["id", "label"]).group_by(["id", "label"]).aggregate([])
        for row, label in zip(kept["id"].to_pylist(), kept["label"].to_pylist(), strict=True):
            known, where = truths.setdefault((one.dataset, row), (label, one.path))
            if known != label:
                raise DataError(
                    f"{one.path}: test row {row!r} is labelled {label!r}, but {known!r} in {where}; the "
                    "evaluations were made with different labels, so evaluate both on one version of the "
                    "catalog."
                )


def _with_own_names(one: Evaluation, home: Mapping[str, Evaluation], notes: list[Note]) -> Evaluation:
    """Two models of one name are kept apart if they are known to be two."""
    names = {}
    for model in one.models:
        there = home.get(model)
        if there is None:
            continue
        digests = {str(place.described(model).get("digest") or "") for place in (there, one)} - {""}
        if len(digests) < 2 and (digests or not _asked(one, model) & _asked(there, model)):
            continue
        name, number = f"{model} ({Path(one.path).name})", 2
        while name in home or name in one.models:
            name, number = f"{model} ({Path(one.path).name} {number})", number + 1
        names[model] = name
        notes.append(
            Note(
                key="renamed",
                text=f"{one.path} holds another model called {model!r}; it is called {name!r} here.",
                values={"model": model, "path": one.path, "name": name},
            )
        )
    return _renamed(one, names) if names else one


def _asked(one: Evaluation, model: str) -> set[tuple[str, int | None]]:
    return {(each.task, each.n_labels) for each in one.results if each.model == model}


def _renamed(one: Evaluation, names: Mapping[str, str]) -> Evaluation:
    results = [replace(each, model=names.get(each.model, each.model)) for each in one.results]
    models = [names.get(each, each) for each in one.predictions["model"].to_pylist()]
    predictions = one.predictions.set_column(0, PREDICTIONS.field("model"), pa.array(models, pa.string()))
    settings = {name: _with_names(value, names) for name, value in one.settings.items()}
    return replace(one, results=results, predictions=predictions, settings=settings)


def _with_names(value: object, names: Mapping[str, str]) -> object:
    """A setting whose entries about models (under `name` or `model`) follow a change of names."""
    if not isinstance(value, list):
        return value
    return [
        {**one, **{key: names[str(one[key])] for key in ("name", "model") if str(one.get(key)) in names}}
        if isinstance(one, dict)
        else one
        for one in value
    ]


def _joined(evaluations: Sequence[Evaluation], notes: list[Note]) -> tuple[list[Result], pa.Table]:
    """All records and predictions; a question that one model answered twice counts once."""
    results: list[Result] = []
    tables: list[pa.Table] = []
    seen: set[tuple[str, str, int | None]] = set()
    for one in evaluations:
        own = {(each.model, each.task, each.n_labels) for each in one.results}
        for model in sorted({model for model, *_ in own & seen}):
            text = f"{one.path} repeats questions that {model} has answered already; the first answers count."
            notes.append(Note(key="repeated", text=text, values={"model": model, "path": one.path}))
        results += [each for each in one.results if (each.model, each.task, each.n_labels) not in seen]
        kept = one.predictions
        for model, task, n_labels in sorted(own & seen, key=str):
            kept = kept.filter(~_is(model, task, n_labels))
        tables.append(kept)
        seen |= own
    return results, pa.concat_tables(tables)


def answers(predictions: pa.Table, model: str, task: str, n_labels: int | None) -> pa.Table:
    """The predictions of one model on one question, all draws."""
    return predictions.filter(_is(model, task, n_labels))


def _is(model: str, task: str, n_labels: int | None) -> pc.Expression:
    few = pc.field("n_labels").is_null() if n_labels is None else pc.field("n_labels") == n_labels
    # A comparison with null is null, which `invert` would keep out; so it is said to be false.
    return (pc.field("model") == model) & (pc.field("task") == task) & pc.coalesce(few, pc.scalar(False))
