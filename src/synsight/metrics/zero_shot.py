"""Classification by the nearest class description."""

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ShapeError
from synsight.metrics.arrays import Floats, check_finite, unit_rows


def zero_shot(image_z: Floats, class_z: Floats) -> NDArray[np.int64]:
    """The class whose description is nearest to each image, by cosine; `acc1` says how often it is right.

    Args:
        image_z: Image embeddings, [N, P]; need not be normalised.
        class_z: One embedding a class in the same space, [C, P].

    Returns:
        [N] class numbers, 0 to C - 1.

    Raises:
        ShapeError: The spaces differ, or there is no class.
        DataError: An embedding is NaN or infinite.

    Reference: Radford et al. 2021 (CLIP), section 3.1, https://arxiv.org/abs/2103.00020
    """
    check_finite(image_z)
    check_finite(class_z)
    if image_z.shape[1] != class_z.shape[1] or len(class_z) == 0:
        raise ShapeError(
            f"images and classes must lie in one space, with one class or more; got {image_z.shape} and "
            f"{class_z.shape}; embed both with the same model."
        )
    nearest: NDArray[np.int64] = (unit_rows(image_z) @ unit_rows(class_z).T).argmax(axis=1)
    return nearest
