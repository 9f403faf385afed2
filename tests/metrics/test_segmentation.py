import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, jaccard_score

from synsight.errors import ShapeError
from synsight.metrics.segmentation import class_iou, mean_iou, pixel_accuracy, pixel_counts


def test_by_hand():
    labels = np.array([[0, 0, 1], [1, -1, 2]])
    predicted = np.array([[0, 1, 1], [1, 2, 0]])
    counts = pixel_counts(predicted, labels, num_classes=4)
    assert counts.tolist() == [[1, 2, 0, 0], [2, 3, 0, 0], [2, 2, 1, 0]]
    np.testing.assert_allclose(class_iou(counts), [1 / 3, 2 / 3, 0, np.nan])
    assert mean_iou(counts) == pytest.approx(1 / 3)  # class 3 is nowhere
    assert pixel_accuracy(counts) == pytest.approx(3 / 5)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_as_scikit_learn_has_it(num_classes, seed):
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(num_classes, size=(2, 6, 7))
    counts = pixel_counts(predicted, labels, num_classes=num_classes)
    assert mean_iou(counts) == pytest.approx(
        jaccard_score(labels.ravel(), predicted.ravel(), average="macro")
    )
    assert pixel_accuracy(counts) == pytest.approx(accuracy_score(labels.ravel(), predicted.ravel()))


def test_counts_of_images_add_up_to_those_of_all_their_pixels():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(-1, 3, size=(4, 5, 5)), rng.integers(3, size=(4, 5, 5))
    single = [pixel_counts(*pair, num_classes=3) for pair in zip(predicted, labels, strict=True)]
    whole = pixel_counts(predicted.reshape(20, 5), labels.reshape(20, 5), num_classes=3)
    np.testing.assert_array_equal(np.sum(single, axis=0), whole)
    assert mean_iou(np.stack([whole, single[0]])).tolist() == [mean_iou(whole), mean_iou(single[0])]


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="one shape"):
        pixel_counts(np.zeros((2, 2), int), np.zeros((2, 3), int), num_classes=2)
    with pytest.raises(ShapeError, match="0 to 1"):
        pixel_counts(np.full((2, 2), 2), np.zeros((2, 2), int), num_classes=2)
