"""Features as a stage: encoded images to what a model makes of them, on whatever runner."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synsight.errors import DataError, ImageError
from synsight.models.saved import Model

STORED_MAX = float(np.finfo(np.float16).max)

_COMPUTING = Lock()
"""A network uses all cores by itself: other threads may decode meanwhile, and no more."""


@dataclass(frozen=True, eq=False)
class FeatureStage:
    """Columns `id` and `image` to the column `features_<digest>` (fixed-size list of float16).

    Attributes:
        model: What is asked; its image half is enough.
        digest: Of the whole model's image half, `Model.digest`.
    """

    model: Model
    digest: str

    name = "features"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"model": self.digest}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`.

        Raises:
            DataError: An image that cannot be decoded.
        """
        pixels = decoded(self.model, batch)
        with _COMPUTING:
            rows = stored_features(self.model, pixels)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        return pa.record_batch([lists], [column_of(self.digest)])


def feature_stage(model: Model, *, elsewhere: bool) -> FeatureStage:
    """The stage of a model.

    Args:
        model: Any.
        elsewhere: Its runner's workers are other processes: without heads and texts, in main memory, so that
            it can travel, and alike whether or not they have a GPU.
    """
    return FeatureStage(_image_half(model) if elsewhere else model, model.digest)


def column_of(digest: str) -> str:
    """Where the features of the model with this digest stand in a catalog."""
    return f"features_{digest}"


def stored_features(model: Model, pixels: Tensor) -> NDArray[np.float16]:
    """uint8 [B, 3, S, S] -> features in the precision in which they are kept, [B, D]."""
    rows: NDArray[np.float16] = (
        model.features(pixels).clamp(-STORED_MAX, STORED_MAX).to(torch.float16).cpu().numpy()
    )
    return rows


def decoded(model: Model, batch: pa.RecordBatch) -> Tensor:
    """The column `image` as the model wants it, uint8 [B, 3, S, S].

    Raises:
        DataError: An image that cannot be decoded, by its `id`.
    """
    images = batch.column("image").to_pylist()
    try:
        return model.pixels(images)
    except ImageError:
        identity = _first_broken(model, batch.column("id").to_pylist(), images)
        raise DataError(
            f"the catalog's image {identity!r} can no longer be decoded; ingest its source again."
        ) from None


def _first_broken(model: Model, ids: list[str], images: list[bytes]) -> str:
    for identity, image in zip(ids, images, strict=True):
        try:
            model.pixels([image])
        except ImageError:
            return identity
    return "?"


def _image_half(model: Model) -> Model:
    encoder = model.encoder if model.device.type == "cpu" else deepcopy(model.encoder).cpu()
    config = replace(
        model.config,
        head=None,
        classes=0,
        words=0,
        head_layers=(),
        label_scores="softmax",
        projection_dim=0,
        text={},
        trained_on={},
    )
    return Model(encoder, config, name=model.name)
