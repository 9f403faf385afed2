"""What explanations are measured against: the images of a catalog, as the model sees them.

Letters: N rows, D dimensions, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.explanation.calibration import WordCalibration, fit_calibration
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.models.features import catalog_features
from synsight.models.saved import Model

TRAIN, VAL = "split = 'train'", "split = 'val'"
MOST_COUNTED = 5000
"""Rows that scores are calibrated on, and quantiles are taken of; more change nothing that could be seen."""
TEXTS = ("caption_repaired", "caption", "keywords")
"""Columns shown as the caption, the first that a row has."""


@dataclass(frozen=True)
class Reference:
    """The train rows of a catalog as features, and what its val rows say of the words' scores.

    Attributes:
        catalog: Where captions and pictures are.
        label: Column of the labels; None: there is none.
        positions: Of the train rows, [N].
        features: Of the train rows, [N, D].
        calibration: None: the catalog's captions have not been put into this model's words.
    """

    catalog: Catalog
    label: str | None
    positions: NDArray[np.int64]
    features: NDArray[np.float32]
    calibration: WordCalibration | None

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The average image's features, [D]."""
        mean: NDArray[np.float64] = self.features.mean(axis=0, dtype=np.float64)
        return mean

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the features, [D, D], with a thousandth of the mean variance on the diagonal, so that it can be
        inverted.
        """
        centred = self.features - self.mean
        covariance = centred.T @ centred / max(1, len(centred) - 1)
        ridge = 1e-3 * np.trace(covariance) / len(covariance) + 1e-12
        result: NDArray[np.float64] = covariance + ridge * np.eye(len(covariance))
        return result

    @cached_property
    def unit_features(self) -> NDArray[np.float32]:
        """Rows of length 1, [N, D]; a row of zeros stays."""
        lengths = np.linalg.norm(self.features, axis=1, keepdims=True)
        rows: NDArray[np.float32] = (self.features / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return rows

    @cached_property
    def some_features(self) -> NDArray[np.float32]:
        """At most `MOST_COUNTED` rows, evenly drawn, for quantiles."""
        return self.features[:: -(-max(1, len(self.features)) // MOST_COUNTED)]


def read_reference(
    model: Model,
    catalog: Catalog,
    *,
    label: str | None = None,
    where: str | None = None,
    progress: bool = False,
) -> Reference:
    """Features of a catalog's train rows (of all, where it has no splits), and the words' calibration.

    Kept features (`synsight embed`) are read, else computed.

    Args:
        model: Whose features.
        catalog: The images.
        label: Column of labels shown with near cases.
        where: Rows that count, in place of the train rows.
        progress: Show a bar.

    Raises:
        CatalogError: There is no column `label`, or the condition is not understood.
        DataError: An image in the catalog that cannot be decoded.
    """
    if where is None:
        where = TRAIN if "split" in catalog.columns and catalog.count_rows(TRAIN) else None
    if label is not None:
        catalog.table([label], where="false")
    positions, features = catalog_features(model, catalog, where=where, progress=progress)
    return Reference(catalog, label, positions, features, _calibration(model, catalog, progress))


def word_rows(
    catalog: Catalog, vocabulary: Vocabulary, where: str | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]] | None:
    """(positions [N], present [N, V], known [V]) of rows by a model's own words; None: the catalog has no
    words of the vocabulary's kind.

    The catalog's vocabulary need not be the model's: classes meet by their keys, and `known` says which of
    the model's words the catalog has.
    """
    column = f"words_{vocabulary.name}"
    if column not in catalog.columns:
        return None
    theirs = load_vocabulary(catalog, vocabulary.name)
    own = {key: number for number, keys in enumerate(vocabulary.all_keys) for key in keys}
    place = np.array([own.get(key, -1) for key in theirs.keys], np.int64)
    positions = catalog.positions(where)
    present = np.zeros((len(positions), len(vocabulary)), bool)
    for row, found in enumerate(catalog.table([column], where=where)[column].to_pylist()):
        classes = place[found or []]
        present[row, classes[classes >= 0]] = True
    known = np.zeros(len(vocabulary), bool)
    known[place[place >= 0]] = True
    return positions, present, known


def captions_of(catalog: Catalog, positions: Sequence[int] | NDArray[np.int64]) -> list[str]:
    """A text for each row, "" where it has none."""
    columns = [name for name in TEXTS if name in catalog.columns]
    if not columns or not len(positions):
        return [""] * len(positions)
    rows = catalog.take(np.asarray(positions), columns).to_pylist()
    return [next((_text(row[name]) for name in columns if row[name]), "") for row in rows]


def _text(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _calibration(model: Model, catalog: Catalog, progress: bool) -> WordCalibration | None:
    vocabulary = model.vocabulary
    if vocabulary is None or model.word_head is None or "split" not in catalog.columns:
        return None
    found = word_rows(catalog, vocabulary, VAL)
    if found is None or not len(found[0]) or not found[1].any():
        return None
    positions, present, known = found
    _, features = catalog_features(model, catalog, where=VAL, progress=progress)
    some = slice(None, None, -(-len(positions) // MOST_COUNTED))
    logits = model.word_logits(torch.from_numpy(features[some])).cpu().numpy()
    groups = _groups(catalog, positions[some])
    return fit_calibration(logits, present[some], known=known, groups=groups)


def _groups(catalog: Catalog, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each row's group, [N]; a row without one is its own."""
    if "group" not in catalog.columns:
        return np.arange(len(positions))
    found = catalog.take(positions, ["group"])["group"].to_pylist()
    named = [f"row {row}" if one is None else f"group {one}" for row, one in enumerate(found)]
    return np.unique(named, return_inverse=True)[1].astype(np.int64)
