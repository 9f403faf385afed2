"""The perceptual hash of every image of a catalog: computed once, then read from where it was left."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.fast_decode import decode_pixels
from synsight.data.perceptual_hash import reduced, steady_hashes
from synsight.errors import ImageError
from synsight.stages import Runner, ThreadRunner

DECODED_SIDE = 128
"""A JPEG is decoded no larger than its shorter side needs to keep so many pixels; the hash sees 32."""
ROWS_PER_CHUNK = 256
SCHEMA = pa.schema([pa.field("steady_hash", pa.uint64())])


@dataclass(frozen=True)
class HashImages:
    """The stage: the column `image` to `steady_hash`, null where the image cannot be decoded."""

    name = "image-hash"
    version = "1"

    @property
    def settings(self) -> Mapping[str, object]:
        """See `Stage.settings`."""
        return {"decoded_side": DECODED_SIDE}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """See `Stage.__call__`."""
        small = [_reduced(image) for image in batch.column("image").to_pylist()]
        readable = [one for one in small if one is not None]
        hashes = iter(steady_hashes(np.stack(readable)).tolist() if readable else ())
        values = [None if one is None else next(hashes) for one in small]
        return pa.record_batch([pa.array(values, pa.uint64())], schema=SCHEMA)


def image_hashes(
    catalog: Catalog, *, runner: Runner | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Steady hashes of all images, and whether each could be decoded, [N] in the order of `Catalog.scan`.

    The results stay beside the table until a purge, so that a second call decodes nothing; the catalog gets
    no new version. They are not the column `image_hash` that an audit adds: of copies saved as JPEG of
    quality 50, that hash brings 93% within 8 bits, this one all.

    Args:
        catalog: With the column `image`.
        runner: Where the stage runs; None: threads of this process.
    """
    stage, source = HashImages(), catalog.source(["image"], rows_per_chunk=ROWS_PER_CHUNK)
    spool = catalog.spool(stage, source)
    with catalog.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="hash images", total=source.rows
        )
    found = pa.Table.from_batches(spool.batches(), schema=SCHEMA).column(0)
    hashes = found.fill_null(0).to_numpy().astype(np.uint64, copy=False)
    return hashes, np.asarray(found.is_valid())


def _reduced(data: bytes | None) -> NDArray[np.uint8] | None:
    try:
        return reduced(Image.fromarray(decode_pixels(data or b"", shrink_to=DECODED_SIDE)))
    except ImageError:
        return None
