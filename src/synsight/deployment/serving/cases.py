"""The cases of a reference catalog that look most alike: exact cosine over all of its features."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import POSITION, Catalog
from synsight.data.images import decode_image
from synsight.deployment.onnx_graphs import FEATURES
from synsight.deployment.serving.engine import Engine
from synsight.errors import DataError, ImageError
from synsight.models.features import catalog_features
from synsight.models.saved import Model

THUMBNAIL = 128
"""Longest side, pixels."""
MOST_CASES = 50
BATCH = 32


@dataclass(frozen=True)
class Case:
    """An image of the reference."""

    id: str
    similarity: float
    """Cosine of the features, -1 to 1."""
    caption: str | None
    label: str | None
    thumbnail: str
    """data: address of a PNG; empty unless asked for."""


class Cases:
    """Finds cases; holds 4 D bytes a row.

    Args:
        catalog: The reference.
        positions: Of its rows, [N].
        features: Of these rows, [N, D].
    """

    def __init__(self, catalog: Catalog, positions: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        self._catalog, self._positions, self._features = catalog, positions, _unit(features)
        self._columns = [name for name in ("id", "caption", "label", "image") if name in catalog.columns]

    @classmethod
    def of_model(cls, model: Model, catalog: Catalog) -> "Cases":
        """The features are read where `embed` kept them, else computed now.

        Raises:
            DataError: An image in the catalog that cannot be decoded.
        """
        return cls(catalog, *catalog_features(model, catalog, progress=False))

    @classmethod
    def of_engine(cls, engine: Engine, catalog: Catalog) -> "Cases":
        """The features are computed now, since those that `embed` kept are of the model before its export.

        Raises:
            DataError: As `of_model`.
        """
        positions, features = [np.empty(0, np.int64)], [np.empty((0, engine.dimensions), np.float32)]
        for batch in catalog.scan(["id", "image"], batch_size=BATCH, with_positions=True):
            images = [_decoded(catalog, row) for row in batch.to_pylist()]
            positions.append(batch.column(POSITION).to_numpy())
            features.append(engine.run(engine.preparation.pixels(images))[FEATURES])
        return cls(catalog, np.concatenate(positions), np.concatenate(features))

    def __len__(self) -> int:
        """Rows of the reference."""
        return len(self._positions)

    def nearest(self, features: NDArray[np.float32], *, top: int, thumbnails: bool = False) -> list[Case]:
        """The `top` most alike to features [D], most alike first; fewer where there are fewer."""
        cosines = self._features @ _unit(features[None])[0]
        best = np.argsort(-cosines, kind="stable")[: min(top, MOST_CASES)]
        wanted = [name for name in self._columns if thumbnails or name != "image"]
        rows = self._catalog.take(self._positions[best], wanted).to_pylist()
        return [
            Case(
                id=row["id"],
                similarity=float(np.clip(cosines[number], -1, 1)),
                caption=row.get("caption"),
                label=None if row.get("label") is None else str(row["label"]),
                thumbnail=_thumbnail(row["image"]) if thumbnails else "",
            )
            for number, row in zip(best, rows, strict=True)
        ]


def _decoded(catalog: Catalog, row: dict[str, Any]) -> Image.Image:
    try:
        return decode_image(row["image"])
    except ImageError as error:
        raise DataError(
            f"{catalog.path}: row {row['id']!r}: {error} Strike it with `synsight catalog delete`."
        ) from None


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: NDArray[np.float32] = rows / lengths
    return unit


def _thumbnail(data: bytes) -> str:
    try:
        image = decode_image(data, shrink_to=THUMBNAIL)
    except ImageError:  # an older gate let it in
        return ""
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    image.save(out, "png")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
