"""The fast path against the reference: the same verdicts, the same draws, nearly the same pixels."""

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import FORMATS, bomb, encoded, jpeg, picture, png
from PIL import Image
from scipy.stats import ks_2samp
from sklearn.datasets import load_sample_image
from torchvision.transforms.v2 import functional as F

from synsight.data import fast_views
from synsight.data.fast_decode import UndecodedJpeg, decode_pixels
from synsight.data.fast_views import fast_view, fitting_shrink, is_fast_installed, shrunk
from synsight.data.images import ImageLimits, decode_image
from synsight.data.view_draws import Drawn, draw
from synsight.data.views import (
    CATLIP_VIEWS,
    SIMCLR_VIEWS,
    ViewsConfig,
    draw_views,
    path_of,
    reference_view,
)
from synsight.errors import ImageError
from synsight.seeding import generator

pytest.importorskip("cv2")
pytest.importorskip("simplejpeg")

REFERENCE = replace(SIMCLR_VIEWS, path="reference")


def photo() -> np.ndarray:
    return load_sample_image("china.jpg")


def difference(fast: np.ndarray, slow: np.ndarray) -> float:
    """Mean over pixels and channels, in levels of 255."""
    return float(np.abs(fast.astype(int) - slow).mean())


def verdict(decode, data: bytes, **options):
    """The pixels, or why there are none."""
    try:
        return np.asarray(decode(data, **options))
    except ImageError as error:
        return error.reason, str(error)


def assert_same_verdict(data: bytes, **options) -> None:
    expected, found = verdict(decode_image, data, **options), verdict(decode_pixels, data, **options)
    if isinstance(expected, tuple):
        assert found == expected
        with pytest.raises(ImageError) as caught:
            draw_views(data, SIMCLR_VIEWS, image_size=8, rng=generator(0), limits=options.get("limits"))
        assert caught.value.reason == expected[0]
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("shrink_to", [None, 8, 20, 60])
def test_a_jpeg_has_the_pixels_that_pillow_decodes_to_the_bit(mode, options, shrink_to):
    data = encoded(picture(width=163, height=121).convert(mode), "JPEG", **options)
    assert_same_verdict(data, shrink_to=shrink_to)


def test_a_jpeg_without_a_colour_transform_keeps_its_colours():
    assert_same_verdict(encoded(picture(), "JPEG", keep_rgb=True))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 9), (16, 16), (17, 250)])
@pytest.mark.parametrize("shrink_to", [None, 1, 2, 4])
def test_the_smallest_images_have_pillows_pixels_too(size, shrink_to):
    data = encoded(picture(width=size[0], height=size[1]), "JPEG")
    assert_same_verdict(data, shrink_to=shrink_to)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_exif_turns_is_turned_and_measured_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(width=90, height=60), "JPEG", exif=exif)
    assert_same_verdict(data)
    expected = np.asarray(decode_image(data, shrink_to=30))
    undecoded = UndecodedJpeg(data, shrink_to=30)
    assert (undecoded.height, undecoded.width) == expected.shape[:2]
    np.testing.assert_array_equal(undecoded.pixels(), expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_rows": 1}],
)
@pytest.mark.parametrize("shrink", [1, 2, 8])
def test_rows_that_are_not_wanted_change_none_that_are(options, shrink):
    data = encoded(picture(width=163, height=421), "JPEG", comment=b"a part", **options)
    whole = UndecodedJpeg(data).pixels(shrink=shrink)
    assert len(whole) == -(-421 // shrink)
    for rows in (1, 7, 13, 30, len(whole)):
        part = UndecodedJpeg(data).pixels(shrink=shrink, rows=rows)
        np.testing.assert_array_equal(part[:rows], whole[:rows])
    few = UndecodedJpeg(data).pixels(shrink=shrink, rows=1)
    assert len(few) == len(whole) if "progressive" in options else len(few) < len(whole)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"exif": b"Exif\0\0II*\0\x08\0\0\0"}]
    ),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=4),
    st.integers(1, 120),
)
def test_a_damaged_jpeg_meets_the_same_verdict_when_few_rows_are_wanted(options, changes, rows):
    data = bytearray(encoded(picture(width=60, height=120), "JPEG", **options))
    for place, value in changes:
        data[place % len(data)] = value
    expected = verdict(decode_image, bytes(data))
    found = verdict(lambda given: UndecodedJpeg(given).pixels(rows=rows), bytes(data))
    if isinstance(expected, tuple):
        assert found == expected
    else:
        np.testing.assert_array_equal(found[:rows], expected[:rows])


def test_other_formats_and_broken_exif_pass_as_ever():
    for kind in FORMATS:
        assert_same_verdict(encoded(picture(3), kind))
    assert_same_verdict(jpeg(exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7",
        b"text",
        jpeg()[:-2],
        jpeg()[:200],
        encoded(picture(), "JPEG", progressive=True)[:-40],
        png()[:-20],
        bomb(8_000),
        encoded(Image.new("F", (4, 4)), "TIFF"),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(data):
    assert isinstance(verdict(decode_image, data), tuple)
    assert_same_verdict(data)


def test_limits_are_kept_to():
    for limits in (ImageLimits(max_pixels=48 * 32 - 1), ImageLimits(max_bytes=100)):
        assert_same_verdict(jpeg(), limits=limits)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([{}, {"progressive": True}, {"restart_marker_rows": 1}]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
    st.integers(0, 40),
    st.sampled_from([None, 8]),
)
def test_a_damaged_jpeg_meets_the_same_verdict(options, changes, cut, shrink_to):
    data = bytearray(encoded(picture(), "JPEG", **options))
    for place, value in changes:
        data[place % len(data)] = value
    assert_same_verdict(bytes(data[: len(data) - cut]), shrink_to=shrink_to)


@pytest.mark.parametrize("bicubic", [True, False])
def test_a_crop_has_the_references_pixels(bicubic):
    pixels = photo()
    for seed in range(12):
        (drawn,) = draw(CATLIP_VIEWS, width=640, height=427, image_size=64, rng=generator(seed))
        fast = fast_view(pixels, drawn, bicubic=bicubic)
        slow = reference_view(Image.fromarray(pixels), drawn, bicubic=bicubic)
        assert np.abs(fast.astype(int) - slow).max() <= 1
        assert difference(fast, slow) < 0.01


@pytest.mark.parametrize(
    ("change", "amounts", "most"),
    [
        ("brightness", (0.2, 0.7, 1.0, 1.3, 1.8), 0.05),
        ("contrast", (0.2, 0.7, 1.0, 1.3, 1.8), 0.05),
        ("saturation", (0.2, 0.7, 1.0, 1.3, 1.8), 0.25),
        ("hue", (-0.2, -0.07, 0.0, 0.05, 0.2), 2.0),
    ],
)
def test_a_change_of_colour_differs_from_pillows_by_rounding(change, amounts, most):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for pixels in (photo()[100:164, 200:264], noise):
        for amount in amounts:
            drawn = Drawn(64, 0, 0, 64, 64, jitter=((change, amount),))
            fast, slow = (
                fast_view(pixels, drawn, bicubic=True),
                reference_view(Image.fromarray(pixels), drawn, bicubic=True),
            )
            assert difference(fast, slow) < most
            if change != "hue":
                assert np.abs(fast.astype(int) - slow).max() <= 1


def test_hue_is_as_near_to_pillows_as_torchvisions_own_tensor_form():
    import torch

    pixels = photo()[100:228, 200:328].copy()
    ours, theirs = [], []
    for amount in np.linspace(-0.2, 0.2, 21):
        slow = np.asarray(F.adjust_hue(Image.fromarray(pixels), amount))
        drawn = Drawn(128, 0, 0, 128, 128, jitter=(("hue", float(amount)),))
        ours.append(difference(fast_view(pixels, drawn, bicubic=True), slow))
        tensor = F.adjust_hue(torch.from_numpy(pixels).permute(2, 0, 1), amount)
        theirs.append(difference(tensor.permute(1, 2, 0).numpy(), slow))
    assert np.mean(ours) < 2 * np.mean(theirs)


@pytest.mark.parametrize("sigma", [0.1, 0.24, 0.26, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("size", [1, 9, 64, 224])
def test_a_blur_differs_from_the_references_by_rounding(sigma, size):
    pixels = photo()[:size, :size]
    drawn = Drawn(size, 0, 0, size, size, sigma=sigma)
    fast, slow = (
        fast_view(pixels, drawn, bicubic=True),
        reference_view(Image.fromarray(pixels), drawn, bicubic=True),
    )
    assert np.abs(fast.astype(int) - slow).max() <= 1
    assert difference(fast, slow) < 0.05


def test_grey_and_flip_are_the_references():
    pixels = photo()[:50, :50]
    drawn = Drawn(50, 0, 0, 50, 50, flip=True, grey=True)
    fast = fast_view(pixels, drawn, bicubic=True)
    assert difference(fast, reference_view(Image.fromarray(pixels), drawn, bicubic=True)) < 0.01
    assert (fast == fast[..., :1]).all()


def pairs_of_views(data, *, image_size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    fast, slow = (
        [
            view
            for n in range(count)
            for view in draw_views(data, config, image_size=image_size, rng=generator(n))
        ]
        for config in (SIMCLR_VIEWS, REFERENCE)
    )
    return np.stack(fast), np.stack(slow)


def test_whole_views_of_the_same_draws_are_nearly_the_same():
    assert path_of(SIMCLR_VIEWS) == "fast"
    fast, slow = pairs_of_views(photo(), image_size=96, count=60)
    differences = [difference(*pair) for pair in zip(fast, slow, strict=True)]
    assert np.mean(differences) < 0.6
    assert np.max(differences) < 3
    for one, other in zip(fast, slow, strict=True):
        assert one.mean() == pytest.approx(other.mean(), abs=1)
        assert one.std() == pytest.approx(other.std(), rel=0.02, abs=0.5)
    histograms = [np.bincount(views.ravel(), minlength=256) / views.size for views in (fast, slow)]
    assert np.abs(np.cumsum(histograms[0]) - np.cumsum(histograms[1])).max() < 0.005
    assert fast.dtype == np.uint8


def test_views_of_a_jpeg_that_is_decoded_smaller_stay_near():
    data = encoded(
        Image.fromarray(photo()).resize((1600, 1068), Image.Resampling.BICUBIC), "JPEG", quality=90
    )
    fast, slow = pairs_of_views(data, image_size=96, count=40)
    differences = [difference(*pair) for pair in zip(fast, slow, strict=True)]
    assert np.mean(differences) < 3
    assert abs(fast.mean() - slow.mean()) < 0.5
    for statistic in (
        lambda v: v.std(axis=(1, 2, 3)),
        lambda v: np.abs(np.diff(v.astype(float), axis=1)).mean(axis=(1, 2, 3)),
    ):
        assert ks_2samp(statistic(fast), statistic(slow)).pvalue > 0.5


@pytest.mark.parametrize("config", [SIMCLR_VIEWS, CATLIP_VIEWS, replace(SIMCLR_VIEWS, local_count=3)])
def test_both_paths_draw_the_same_random_numbers_from_bytes_and_from_pixels(config):
    data = jpeg(2)
    ends = []
    for path in ("auto", "reference"):
        for image in (data, np.asarray(decode_image(data)), decode_image(data)):
            rng = generator("draws")
            draw_views(image, replace(config, path=path), image_size=16, rng=rng)
            ends.append(rng.random())
    assert len(set(ends)) == 1


def test_views_from_bytes_are_those_from_pixels_when_nothing_is_shrunk():
    for data in (jpeg(2), png(2)):
        pixels = decode_pixels(data)
        for seed in range(10):
            from_bytes, from_pixels = (
                draw_views(image, SIMCLR_VIEWS, image_size=32, rng=generator(seed))
                for image in (data, pixels)
            )
            np.testing.assert_array_equal(from_bytes, from_pixels)


def test_a_decode_is_no_smaller_than_any_view_needs():
    for seed in range(300):
        drawn = draw(SIMCLR_VIEWS, width=1601, height=1203, image_size=64, rng=generator(seed))
        times = fitting_shrink(drawn, most=8)
        least = min(min(one.height, one.width) for one in drawn)
        assert times in (1, 2, 4, 8)
        assert least >= 64 * times or times == 1
        assert times == 8 or least < 64 * 2 * times
        for one in drawn:
            small = shrunk(one, times)
            assert min(small.height, small.width) >= 63
            assert 0 <= small.top <= small.top + small.height <= -(-1203 // times)
            assert 0 <= small.left <= small.left + small.width <= -(-1601 // times)


def test_kept_pixels_are_neither_changed_nor_handed_out():
    pixels = photo()[:64, :64].copy()
    before = pixels.copy()
    whole = ViewsConfig(
        min_area=1.0, flip_probability=0, jitter_probability=0, grey_probability=0, blur_probability=0
    )
    (view,) = draw_views(pixels, whole, image_size=64, rng=generator(0))
    assert not np.shares_memory(view, pixels)
    pixels.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(5):
            draw_views(pixels, SIMCLR_VIEWS, image_size=32, rng=generator(seed))
    np.testing.assert_array_equal(pixels, before)


@pytest.fixture
def without(monkeypatch):
    """Makes a package unimportable."""

    def hide(package: str) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        is_fast_installed.cache_clear()
        fast_views._opencv.cache_clear()

    yield hide
    monkeypatch.undo()
    is_fast_installed.cache_clear()
    fast_views._opencv.cache_clear()


def test_without_opencv_the_views_are_the_references(without):
    without("cv2")
    assert path_of(SIMCLR_VIEWS) == "reference"
    fast, slow = pairs_of_views(jpeg(4), image_size=32, count=3)
    np.testing.assert_array_equal(fast, slow)


def test_without_simplejpeg_the_views_stay_what_they_are(without):
    expected, _ = pairs_of_views(jpeg(4), image_size=32, count=3)
    without("simplejpeg")
    found, _ = pairs_of_views(jpeg(4), image_size=32, count=3)
    np.testing.assert_array_equal(found, expected)


def views_elsewhere(data: bytes) -> np.ndarray:
    return pairs_of_views(data, image_size=64, count=2)[0]


def test_a_spawned_process_makes_the_same_views():
    data = encoded(picture(width=640, height=480), "JPEG")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        found = elsewhere.submit(views_elsewhere, data).result(timeout=120)
    np.testing.assert_array_equal(found, views_elsewhere(data))
