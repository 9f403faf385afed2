"""The rows that slices are cut from: what each is, and what was answered; by a model, or by an evaluation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.deployment.named_rows import NamedRows, labelled_rows
from synsight.errors import DataError, ModelError, UsageError, near_names
from synsight.evaluation import read_predictions
from synsight.evaluation.rows import Rows
from synsight.evaluation.seen_rows import check_unseen
from synsight.language import Vocabulary
from synsight.models import Model, catalog_features
from synsight.reports.text import shortened

SPLITS = ("test", "val", "train", "all")
MOST_SEEN = 5
"""Words of an image that the model counts as seeing: its likeliest, as `Model.words` names them."""


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Labelled rows with the model's answers, [N] each."""

    model: str
    positions: NDArray[np.int64]
    """In the catalog."""
    ids: NDArray[np.object_]
    labels: NDArray[np.object_]
    """Strings."""
    predictions: NDArray[np.object_]
    probabilities: NDArray[np.float64]
    """Of the predictions."""
    groups: NDArray[np.int64]
    """One number a group; a row without a group is its own."""
    notes: tuple[str, ...] = ()
    """What was left out."""
    seen: tuple[NDArray[np.int64], tuple[str, ...]] | None = None
    """[N, 5] numbers of the words that the model sees, and the names of all words."""

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def hits(self) -> NDArray[np.bool_]:
        """[N] whether the answer is right."""
        return np.asarray(self.labels == self.predictions, bool)


def judged_by_model(model: Model, catalog: Catalog, *, label: str, split: str) -> JudgedRows:
    """The rows of a split as a model with a head of labels answers them.

    Raises:
        ModelError: The model predicts no labels.
        UsageError, DataError: As `labelled_rows`; or the model knows none of the labels.
    """
    if model.config.head != "labels":
        raise ModelError(
            f"{model.name}: predicts no labels, so it has no accuracy; adapt it first, or evaluate it and "
            "give --predictions EVALUATION in its place."
        )
    where = None if split == "all" or "split" not in catalog.columns else f"split = '{split}'"
    found = labelled_rows(catalog, label, where)
    names = list(model.label_names or ())
    known = np.isin(found.labels.astype(str), names)
    notes = []
    if unknown := int((~known).sum()):
        found = found.take(known)
        if not len(found):
            raise DataError(
                f"{catalog.path}: the model knows none of the labels in {label!r}; it knows "
                f"{', '.join(repr(shortened(name, most=40)) for name in names[:5])}; choose another label."
            )
        notes.append(f"{unknown:,} rows have a label that the model does not know; they are left out")
    positions, features = catalog_features(model, catalog, where=where)
    order = np.argsort(positions)
    places = order[np.searchsorted(positions, found.positions, sorter=order)]
    chosen = torch.from_numpy(features[places])
    probabilities, answers = model.probabilities(chosen).max(dim=1)
    rows = _judged(
        found, model.name, np.array(names, object)[answers.cpu().numpy()], probabilities.cpu().numpy()
    )
    seen = check_unseen(model, catalog, _as_rows(rows), allow_seen=True)
    if learnt := seen.seen_test_rows + seen.copied_test_rows:
        notes.append(
            f"the model has learnt from {learnt:,} of these {len(rows):,} images, on which it is right more "
            "often than on new ones"
        )
    if seen.known != "all":
        notes.append(seen.sentence)
    return JudgedRows(**{**vars(rows), "notes": tuple(notes), "seen": _seen_words(model, chosen)})


def judged_by_evaluation(
    folder: str | Path, catalog: Catalog, *, label: str, model: str | None = None, task: str | None = None
) -> JudgedRows:
    """The test rows as an evaluation's model answered them.

    Of several questions that of most labels a class is taken, the first task and the lowest seed of it.

    Args:
        folder: Of the evaluation.
        catalog: That it was made on.
        label: Column with the true labels.
        model: Which model; None: the only one.
        task: Which task; None: the first in the file.

    Raises:
        UsageError: There is no such model or task, or several models and none is named.
        DataError: The predictions cannot be read, or are of other rows or labels.
    """
    table = read_predictions(folder)
    table, name = _chosen(table, "model", model, must_name=True)
    table, task = _chosen(table, "task", task, must_name=False)
    most = pc.fill_null(table["n_labels"], np.iinfo(np.int64).max)
    table = table.filter(pc.equal(most, pc.max(most)))
    table = table.filter(pc.equal(table["seed"], pc.min(table["seed"])))
    there = labelled_rows(catalog, label, None)
    places = pc.index_in(pa.array(there.ids, pa.string()), table["id"].combine_chunks())
    answers = pc.is_valid(places).to_numpy(zero_copy_only=False)
    there, answered = there.take(answers), table.take(places.drop_null())
    if not len(there) or answered["label"].to_pylist() != there.labels.tolist():
        raise DataError(
            f"{folder}: expected the predictions of {label!r} for rows of {catalog.path}, found others; "
            "evaluate on this catalog with this label."
        )
    notes = [f"answers of the task {task}" + _amount(table)]
    if missing := table.num_rows - len(there):
        notes.append(f"{missing:,} predictions are of rows that the catalog no longer has")
    predictions = answered["prediction"].to_numpy(zero_copy_only=False).astype(object)
    rows = _judged(there, name, predictions, answered["probability"].to_numpy())
    return JudgedRows(**{**vars(rows), "notes": tuple(notes)})


def _judged(
    rows: NamedRows, model: str, predictions: NDArray[np.object_], probabilities: NDArray[np.float32]
) -> JudgedRows:
    return JudgedRows(
        model=model,
        positions=rows.positions,
        ids=rows.ids,
        labels=rows.labels,
        predictions=predictions,
        probabilities=probabilities.astype(np.float64),
        groups=rows.group_codes,
    )


def _as_rows(rows: JudgedRows) -> Rows:
    nothing = np.full(len(rows), None, object)
    return Rows(rows.positions, rows.ids, np.zeros(len(rows), np.int64), nothing, rows.groups)


def _seen_words(model: Model, features: torch.Tensor) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
    vocabulary: Vocabulary | None = model.vocabulary
    if model.word_head is None or vocabulary is None:
        return None
    best = model.word_logits(features).topk(min(MOST_SEEN, len(vocabulary)), dim=1).indices
    return best.cpu().numpy(), tuple(vocabulary.names)


def _chosen(table: pa.Table, column: str, wanted: str | None, *, must_name: bool) -> tuple[pa.Table, str]:
    names = pc.unique(table[column]).to_pylist()
    if wanted is None and (len(names) == 1 or (names and not must_name)):
        wanted = names[0]
    if wanted not in names:
        asked = f"no {column} {wanted!r}" if wanted is not None else f"several: say which (--{column})"
        short = [shortened(one, most=60) for one in names]
        raise UsageError(f"the evaluation has {asked}; {near_names(wanted or '', short)}")
    return table.filter(pc.equal(table[column], wanted)), str(wanted)


def _amount(table: pa.Table) -> str:
    count = table["n_labels"][0].as_py() if table.num_rows else None
    return ", learnt from all labels" if count is None else f", learnt from {count:,} labels a class"
