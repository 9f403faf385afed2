"""Like what: the reference's images that look most alike to the model, with what was written about them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.data.images import decode_image
from synsight.errors import ImageError
from synsight.explanation.drawing import data_url
from synsight.explanation.names import word_names
from synsight.explanation.reference import Reference, captions_of
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.reports.explanation_records import NearCase

SIDE = 112
SAME = 1 - 1e-5
"""Cosine from which on a case is the image itself, which explains nothing."""


def near_cases(
    reference: Reference,
    features: NDArray[np.floating],
    *,
    count: int = 4,
    vocabulary: Vocabulary | None = None,
    locale: str = "en",
    pictures: bool = True,
) -> list[NearCase]:
    """The nearest rows of the reference by cosine, the nearest first; the image itself is left out.

    Args:
        reference: Where to look.
        features: Of the image, [D].
        count: Cases.
        vocabulary: Whose words of the cases are named; None: none are.
        locale: Of the names.
        pictures: With small pictures.
    """
    if not len(reference.positions):
        return []
    rows = reference.unit_features
    length = float(np.linalg.norm(features)) or 1.0
    cosines = rows @ (features / length).astype(np.float32)
    best = [int(one) for one in np.argsort(-cosines, kind="stable")[: count + 8] if cosines[one] < SAME][
        :count
    ]
    positions, catalog = reference.positions[best], reference.catalog
    column = f"words_{vocabulary.name}" if vocabulary is not None else ""
    wanted = [
        "id",
        "image",
        *(name for name in (reference.label, column) if name and name in catalog.columns),
    ]
    found = catalog.take(positions, list(dict.fromkeys(wanted))).to_pylist()
    names = (
        word_names(load_vocabulary(catalog, vocabulary.name), locale=locale)
        if vocabulary is not None and column in catalog.columns
        else []
    )
    return [
        NearCase(
            id=row["id"],
            similarity=float(cosines[number]),
            caption=caption,
            label=None
            if reference.label is None or row[reference.label] is None
            else str(row[reference.label]),
            words=[names[one] for one in row.get(column) or []] if names else [],
            picture=thumbnail(row["image"]) if pictures else "",
        )
        for row, number, caption in zip(found, best, captions_of(catalog, positions), strict=True)
    ]


def thumbnail(data: bytes) -> str:
    """A small picture as a data URL; "" for bytes that are no image any more."""
    try:
        image = decode_image(data, shrink_to=SIDE)
    except ImageError:
        return ""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return data_url(image)
