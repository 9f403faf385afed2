import numpy as np
import pytest

from synsight.errors import ShapeError
from synsight.metrics import acc1, zero_shot


def test_an_image_is_named_by_the_class_of_the_largest_cosine():
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(20, 6)), 9 * rng.normal(size=(4, 6))
    by_hand = [
        max(range(4), key=lambda c: image @ classes[c] / np.linalg.norm(classes[c])) for image in images
    ]
    assert zero_shot(images, classes).tolist() == by_hand
    assert zero_shot(3 * images, classes / 2).tolist() == by_hand
    assert acc1(np.arange(4), zero_shot(classes, classes)) == 1.0


def test_two_spaces_are_not_compared():
    with pytest.raises(ShapeError, match=r"one space, with one class or more; got \(2, 3\) and \(4, 5\)"):
        zero_shot(np.ones((2, 3)), np.ones((4, 5)))
    with pytest.raises(ShapeError, match="one class or more"):
        zero_shot(np.ones((2, 3)), np.ones((0, 3)))
