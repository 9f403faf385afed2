import json
from collections import Counter

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synsight.data.instances import IGNORED, class_map, read_instances
from synsight.data.masks import box_of, mask_text, polygon_mask, read_mask, run_lengths
from synsight.errors import DataError

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(bool, shape))


@given(masks)
def test_a_mask_comes_back_from_its_run_lengths(mask):
    height, width = mask.shape
    np.testing.assert_array_equal(read_mask(mask_text(mask), height=height, width=width), mask)


@given(masks)
def test_run_lengths_are_those_of_cocos_own_tools_also_compressed(mask):
    height, width = mask.shape
    compressed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (
        coco.frPyObjects({"size": [height, width], "counts": run_lengths(mask)}, height, width) == compressed
    )
    text = compressed["counts"]
    counts = text.decode() if isinstance(text, bytes) else text
    text = json.dumps({"size": [height, width], "counts": counts})
    np.testing.assert_array_equal(read_mask(text, height=height, width=width), mask)


def test_a_polygon_holds_the_pixels_whose_centres_lie_inside():
    triangle = np.array([[0, 0], [4, 0], [0, 4]], dtype=float)  # below the diagonal x + y = 4
    rows, columns = np.mgrid[:5, :6] + 0.5
    np.testing.assert_array_equal(polygon_mask(triangle, height=5, width=6), rows + columns < 4)
    square = read_mask("[[1, 1, 3, 1, 3, 4, 1, 4]]", height=5, width=6)
    assert (square.sum(), box_of(square)) == (6, (1, 1, 3, 4))


@given(st.integers(3, 9), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_polygon_differs_from_cocos_only_along_its_edge(corners, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    points = 32 + rng.uniform(10, 30, corners)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    own = polygon_mask(points, height=64, width=64)
    theirs = coco.decode(coco.frPyObjects([points.ravel().tolist()], 64, 64)).squeeze() > 0
    length = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1).sum()
    assert (own != theirs).sum() <= length


def test_parts_of_an_object_are_united_and_what_lies_outside_is_cut_off():
    mask = read_mask("[[-5, -5, 2, -5, 2, 2, -5, 2], [3, 3, 9, 3, 9, 9, 3, 9]]", height=4, width=4)
    expected = np.zeros((4, 4), bool)
    expected[:2, :2] = expected[3:, 3:] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no_json"),
        ("[]", "no_mask"),
        ("7", "no_mask"),
        ("[[1, 2, 3]]", "bad_polygon"),
        ("[[1, 2, 3, 4, 5, NaN]]", "bad_polygon"),
        ('[[1, 2, 3, 4, 5, "6"]]', "bad_polygon"),
        ('{"size": [2, 2], "counts": [-1, 5]}', "bad_runs"),
        ('{"size": [2, 2], "counts": "~~~"}', "bad_runs"),
        ('{"size": [9, 9], "counts": [81]}', "other_size"),
        ('{"size": [2, 2], "counts": [99999999999]}', "other_size"),
    ],
)
def test_a_broken_mask_has_a_reason(text, reason):
    with pytest.raises(DataError, match=f"^{reason}$"):
        read_mask(text, height=2, width=2)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    )
)
def test_any_json_is_a_mask_or_one_error(value):
    try:
        assert read_mask(json.dumps(value), height=3, width=4).shape == (3, 4)
    except DataError as error:
        assert str(error)


ROW = {
    "boxes": [[1, 1, 2, 2], [3, 3, 90, 90], [0, 0, 0, 5], [0, 0, 4, 4], [5, 0, 2, 2]],
    "box_categories": ["cat", "dog", "dog", "dog", "cat"],
    "box_masks": [
        "[[1, 1, 3, 1, 3, 3, 1, 3]]",
        "[[5, 5, 8, 5, 8, 8, 5, 8]]",
        "",
        "[[0]]",
        "[[5, 0, 7, 0, 7, 2]]",
    ],
    "box_crowds": [False, False, False, False, True],
}


def test_boxes_are_clipped_and_broken_objects_become_regions_that_nobody_is_asked_about():
    refused = Counter()
    found = read_instances(ROW, ("cat", "dog"), height=8, width=8, masks=True, refused=refused)
    assert found.boxes.tolist() == [[1, 1, 3, 3], [3, 3, 8, 8], [0, 0, 4, 4], [5, 0, 7, 2]]
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert found.ignored.tolist() == [False, False, True, True]
    assert refused == {"box_outside": 1, "mask_bad_polygon": 1}
    assert found.masks[2].sum() == 16  # the whole box
    assert found.taught().labels.tolist() == [0, 1]
    plain = read_instances(ROW, ("cat", "dog"), height=8, width=8, masks=False)
    assert plain.masks is None
    assert plain.ignored.tolist() == [False, False, False, True]


def test_a_class_map_leaves_out_regions_and_pixels_that_two_classes_claim():
    row = {
        "boxes": [[0, 0, 4, 2], [2, 0, 4, 2], [0, 3, 2, 2]],
        "box_categories": ["cat", "dog", "dog"],
        "box_masks": [mask_text(one) for one in rectangles(((0, 2, 0, 4), (0, 2, 2, 6), (3, 5, 0, 2)))],
        "box_crowds": [False, False, True],
    }
    found = read_instances(row, ("cat", "dog"), height=6, width=6, masks=True)
    expected = np.zeros((6, 6), int)
    expected[:2, :2], expected[:2, 4:], expected[:2, 2:4], expected[3:5, :2] = 1, 2, IGNORED, IGNORED
    np.testing.assert_array_equal(class_map(found, height=6, width=6), expected)
    mirror = found.mirrored(width=6)
    assert mirror.boxes.tolist() == [[2, 0, 6, 2], [0, 0, 4, 2], [4, 3, 6, 5]]
    np.testing.assert_array_equal(class_map(mirror, height=6, width=6), expected[:, ::-1])


def rectangles(corners):
    for top, bottom, left, right in corners:
        mask = np.zeros((6, 6), bool)
        mask[top:bottom, left:right] = True
        yield mask
