"""Images and their captions: from a source into the catalog, and from the catalog into training batches.

What trains (views, plans, loaders) is imported from its own module, so that reading a table needs no torch.
"""

from synsight.data.catalog import Catalog, Commit
from synsight.data.images import ImageHeader, ImageLimits, check_image, decode_image, read_header
from synsight.data.ingestion import ingest
from synsight.data.samples import SAMPLES, sample

__all__ = [
    "SAMPLES",
    "Catalog",
    "Commit",
    "ImageHeader",
    "ImageLimits",
    "check_image",
    "decode_image",
    "ingest",
    "read_header",
    "sample",
]
