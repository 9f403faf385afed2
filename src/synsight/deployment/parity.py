"""How far a model in another form is from the one it was made of, measured on images.

Letters: N images, S side in pixels, D dimensions of the features, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import DataError, UsageError, near_names
from synsight.models.saved import Model
from synsight.seeding import generator

Outputs = Mapping[str, NDArray[np.float32]]
"""`features`, `scores`, `probabilities`, `word_probabilities`, as far as a model has them; N rows each."""
Run = Callable[[NDArray[np.uint8]], Outputs]
"""Pixels [N, 3, S, S] -> outputs."""

BATCH = 32
OTHER_BATCHES = (1, 7)
"""Sizes that are tried besides `BATCH`: a graph that has learnt one size by heart fails here."""
MOST_IMAGES = 512
SYNTHETIC_IMAGES = 64


@dataclass(frozen=True, eq=False)
class Shown:
    """Images that two forms of a model are asked about."""

    pixels: NDArray[np.uint8]
    """[N, 3, S, S]"""
    labels: Sequence[str] | None
    """N right answers; None: nobody knows."""
    what: str
    """As "512 val images of cat"."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a comparison found."""

    max_difference: float
    """Largest difference of a score (of a feature, where there is no head) or of a word's probability."""
    accuracy_loss: float
    """Accuracy of the model minus that of its other form; without labels the share of images whose answer
    changed, which no loss of accuracy can exceed."""
    accuracy_of: str
    """By what: `label NAME`, `top answer` or `nearest image`."""
    agreement: float
    """Share of images whose top answer (whose nearest other image, without a head) is the same."""
    images: int
    measured_on: str


def val_images(model: Model, catalog: Catalog, *, label: str | None, most: int = MOST_IMAGES) -> Shown:
    """Validation images of a catalog, evenly over its rows, with labels where a column is named.

    Raises:
        UsageError: There is no such column.
        DataError: There is no such image.
    """
    if label is not None and label not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {label!r}; {near_names(label, catalog.columns)}"
        )
    where = "split = 'val'" + ("" if label is None else f" AND `{label}` IS NOT NULL")
    found = _images(model, catalog, where, columns=[] if label is None else [label], most=most)
    labels = None if label is None else [str(one) for one in found[label]]
    return Shown(found["pixels"], labels, f"{len(found['pixels'])} val images of {catalog.name}")


def train_images(model: Model, catalog: Catalog, *, most: int) -> NDArray[np.uint8]:
    """Training images of a catalog as pixels, evenly over its rows, [N, 3, S, S].

    Raises:
        DataError: There is none.
    """
    pixels: NDArray[np.uint8] = _images(model, catalog, "split = 'train'", columns=[], most=most)["pixels"]
    return pixels


def synthetic_images(model: Model, *, count: int = SYNTHETIC_IMAGES, seed: int = 0) -> Shown:
    """Made-up images: coarse random colours with fine noise on top. They prove that the arithmetic is the
    same, and little about the accuracy on real ones.
    """
    rng, side = generator(seed, "synthetic"), model.config.image_size
    coarse = rng.uniform(0, 255, (count, 3, 5, 5)).repeat(-(-side // 5), axis=2).repeat(-(-side // 5), axis=3)
    noisy = coarse[:, :, :side, :side] + rng.normal(0, 20, (count, 3, side, side))
    return Shown(noisy.clip(0, 255).astype(np.uint8), None, f"{count} synthetic images")


def reference(model: Model) -> Run:
    """The model itself, as what the others are compared with."""

    def run(pixels: NDArray[np.uint8]) -> Outputs:
        features = model.features(torch.from_numpy(pixels))
        found = {"features": features}
        if model.head is not None:
            found |= {"scores": model.scores(features), "probabilities": model.probabilities(features)}
        if model.word_head is not None:
            found |= {"word_probabilities": model.word_logits(features).sigmoid()}
        return {name: rows.cpu().numpy() for name, rows in found.items()}

    return run


def in_batches(run: Run, pixels: NDArray[np.uint8], *, batch_size: int = BATCH) -> Outputs:
    """Outputs of all images, computed so many at a time."""
    parts = [run(pixels[start : start + batch_size]) for start in range(0, len(pixels), batch_size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare(model: Model, run: Run, shown: Shown, *, label: str | None = None) -> Parity:
    """Ask both about the same images, in batches of 32, 7 and 1.

    Args:
        model: The model.
        run: Its other form, which may have some of the outputs alone.
        shown: The images.
        label: Column of `shown.labels`.
    """
    expected, found = in_batches(reference(model), shown.pixels), in_batches(run, shown.pixels)
    difference = _difference(expected, found)
    for size in OTHER_BATCHES:
        some = {name: rows[:size] for name, rows in expected.items()}
        difference = max(difference, _difference(some, run(shown.pixels[:size])))
    top, other, of = _answers(expected, found)
    agreement = float(np.mean(top == other))
    loss = 1 - agreement
    if shown.labels is not None and of == "top answer" and model.config.head == "labels":
        names = np.array(model.class_names)
        right = np.array(shown.labels)
        loss, of = float(np.mean(names[top] == right) - np.mean(names[other] == right)), f"label {label}"
    return Parity(
        max_difference=difference,
        accuracy_loss=loss,
        accuracy_of=of,
        agreement=agreement,
        images=len(shown.pixels),
        measured_on=shown.what,
    )


def _difference(expected: Outputs, found: Outputs) -> float:
    names = {"scores" if "scores" in found else "features", "word_probabilities"} & set(found)
    return max(float(np.abs(expected[name] - found[name]).max()) for name in names)


def _answers(expected: Outputs, found: Outputs) -> tuple[NDArray[np.intp], NDArray[np.intp], str]:
    """Answer of both for each image, [N] each, and what an answer is."""
    for name in ("probabilities", "word_probabilities"):
        if name in found:
            return expected[name].argmax(axis=1), found[name].argmax(axis=1), "top answer"
    cosines, others = _cosines(expected["features"]), _cosines(found["features"])
    top, other = cosines.argmax(axis=1), others.argmax(axis=1)
    rows = np.arange(len(top))
    # Copies of one image are all nearest; which of them comes first says nothing.
    same = cosines[rows, other] >= cosines[rows, top] - 1e-6
    return top, np.where(same, top, other), "nearest image"


def _cosines(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, N]; nothing is its own neighbour."""
    rows = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines: NDArray[np.float32] = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    return cosines


def _images(
    model: Model, catalog: Catalog, where: str, *, columns: Sequence[str], most: int
) -> dict[str, Any]:
    positions = catalog.positions(where)
    if not len(positions):
        raise DataError(
            f"{catalog.path}: has no row where {where}; give a catalog with train and val rows, or leave it "
            "out to compare on synthetic images."
        )
    chosen = positions[np.unique(np.linspace(0, len(positions) - 1, min(most, len(positions))).astype(int))]
    size, parts = model.config.image_size, []
    found: dict[str, Any] = {name: [] for name in columns}
    for start in range(0, len(chosen), BATCH):
        table = catalog.take(chosen[start : start + BATCH], ["image", *columns])
        parts.append(model.pixels(table["image"].to_pylist()).contiguous().numpy())
        for name in columns:
            found[name] += table[name].to_pylist()
    return {"pixels": np.concatenate(parts).reshape(-1, 3, size, size), **found}
