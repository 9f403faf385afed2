"""The corruptions: by hand, against matplotlib's HSV, and ever farther from the picture."""

import io
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image

from synsight.data import corrupting
from synsight.data.corrupting import CORRUPTIONS, SEVERITIES, corrupt, disk, plasma, trail
from synsight.data.views import plain_view
from synsight.errors import ConfigError, ShapeError

NOT_ORDERED = {"saturate"}
"""Two severities take colour away, three add some."""


def grey(level: int, side: int = 32) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    path = files("synsight.data") / "sample_files" / "emoji.parquet"
    table = pq.read_table(str(path), columns=["image"]).slice(0, 600)
    images = table["image"].to_pylist()[::50]
    decoded = [Image.open(io.BytesIO(one)).convert("RGB") for one in images]
    return [plain_view(one, image_size=64) for one in decoded]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one / 255.0 - other / 255.0) ** 2) + 1e-12))


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - NOT_ORDERED))
def test_each_severity_takes_the_picture_farther_away(name, pictures):
    means = [
        np.mean([psnr(one, corrupt(one, name, severity=level, rng=rng(7))) for one in pictures])
        for level in SEVERITIES
    ]
    assert all(later < earlier for earlier, later in pairwise(means)), means
    assert means[-1] < 31  # the strongest is seen


def test_saturation_is_taken_away_by_two_severities_and_added_by_three(pictures):
    picture = next(one for one in pictures if np.ptp(one.astype(int), axis=2).max() > 100)
    plain = rgb_to_hsv(picture / 255)[..., 1].mean()
    found = [
        rgb_to_hsv(corrupt(picture, "saturate", severity=level, rng=rng()) / 255)[..., 1].mean()
        for level in SEVERITIES
    ]
    assert found[1] < found[0] < plain < found[2] < found[3] < found[4]


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(sorted(CORRUPTIONS)),
    severity=st.sampled_from(SEVERITIES),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    seed=st.integers(0, 99),
)
def test_a_corruption_keeps_the_shape_leaves_the_picture_alone_and_is_its_seeds(
    name, severity, height, width, seed
):
    picture = rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = picture.copy()
    found = corrupt(picture, name, severity=severity, rng=rng(seed))
    assert found.shape == picture.shape and found.dtype == np.uint8
    assert (picture == before).all()
    assert (corrupt(picture, name, severity=severity, rng=rng(seed)) == found).all()


@pytest.mark.parametrize(
    "level, severity, expected", [(100, 1, 125.5), (100, 5, 227.5), (0, 2, 51), (250, 3, 255)]
)
def test_brightness_of_constant_grey_grows_by_the_published_share_of_white(level, severity, expected):
    found = corrupt(grey(level), "brightness", severity=severity, rng=rng())
    assert np.abs(found - expected).max() <= 0.5


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_and_saturation_are_those_of_matplotlibs_hsv(severity, pictures):
    for picture in pictures[:4]:
        hsv = rgb_to_hsv(picture / 255)
        brighter = hsv.copy()
        brighter[..., 2] = np.clip(hsv[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 0, 1)
        factor, shift = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
        saturated = hsv.copy()
        saturated[..., 1] = np.clip(hsv[..., 1] * factor + shift, 0, 1)
        for name, expected in (("brightness", brighter), ("saturate", saturated)):
            found = corrupt(picture, name, severity=severity, rng=rng())
            assert np.abs(found - hsv_to_rgb(expected) * 255).max() <= 0.5 + 1e-6


def test_contrast_keeps_the_mean_of_each_channel_and_shrinks_the_deviation(pictures):
    for picture in pictures[:4]:
        found = corrupt(picture, "contrast", severity=2, rng=rng()).astype(float)
        assert np.abs(found.mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 0.5
        assert found.std(axis=(0, 1)) == pytest.approx(0.3 * picture.std(axis=(0, 1)), abs=0.5)


@pytest.mark.parametrize(
    "name, spread", [("gaussian_noise", 0.08 * 255), ("speckle_noise", 0.15 * 255 * 128 / 255)]
)
def test_noise_has_the_published_deviation(name, spread):
    found = corrupt(grey(128, 128), name, severity=1, rng=rng()).astype(float)
    assert found.std() == pytest.approx(spread, rel=0.02)
    assert found.mean() == pytest.approx(128, abs=0.5)


def test_shot_noise_has_the_deviation_of_counted_photons():
    found = corrupt(grey(51, 128), "shot_noise", severity=1, rng=rng()) / 255  # a fifth of white
    assert found.mean() == pytest.approx(0.2, abs=0.002)
    assert found.std() == pytest.approx((0.2 / 60) ** 0.5, rel=0.02)


def test_impulse_noise_makes_its_share_of_the_values_black_or_white():
    found = corrupt(grey(128, 128), "impulse_noise", severity=4, rng=rng())
    changed = found != 128
    assert changed.mean() == pytest.approx(0.17, abs=0.01)
    assert set(np.unique(found[changed])) == {0, 255}
    assert (found[changed] == 255).mean() == pytest.approx(0.5, abs=0.03)


def test_blurs_and_pixelation_leave_a_constant_picture_alone():
    for name in ("defocus_blur", "gaussian_blur", "motion_blur", "zoom_blur", "pixelate", "contrast"):
        assert (corrupt(grey(90), name, severity=5, rng=rng()) == 90).all()


def test_a_blurred_point_has_the_shape_of_the_disk():
    picture = grey(0, 224)
    picture[112, 112] = 255
    found = corrupt(picture, "defocus_blur", severity=2, rng=rng())[..., 0].astype(float)
    # By hand: 255 over a disk of radius 4, pi 16 pixels; half a pixel of softness does not reach the middle.
    assert found[112, 112] == pytest.approx(255 / (np.pi * 16), abs=0.6)
    assert found[112, 112 + 6] == 0
    assert (found == found[::, ::-1].take(range(-1, 223), axis=1, mode="wrap")).all()  # mirrored about 112


def test_lengths_in_pixels_grow_with_the_side():
    point = np.zeros((112, 112, 3), np.uint8)
    point[56, 56] = 255
    half = corrupt(point, "defocus_blur", severity=5, rng=rng())[..., 0]
    # By hand: radius 10 of 224 is 5 of 112, so that the light lies on pi 25 pixels.
    assert half[56, 56] == pytest.approx(255 / (np.pi * 25), abs=0.6)


def test_the_disk_has_the_area_of_its_radius_and_sums_to_one():
    small, large = disk(0.3), disk(5.0, parts=16)
    assert small[1, 1] == 1.0  # within its pixel
    assert large.sum() == pytest.approx(1)
    assert 1 / large[6, 6] == pytest.approx(np.pi * 25, rel=0.01)


def test_the_trail_goes_one_way_and_fades_as_half_a_gaussian():
    kernel = trail(2, 2.0, 0.0)
    weights = np.exp(-(np.arange(5) ** 2) / 8)
    assert kernel[4, 4:] == pytest.approx(weights / weights.sum())
    assert kernel[:4].sum() == kernel[5:].sum() == kernel[4, :4].sum() == 0


def test_zoom_is_the_mean_of_the_picture_and_its_magnified_middles():
    x = rng(1).random((32, 32, 3))
    factors = [1 + 0.03 * number for number in range(11)]  # severity 5: 1.00 to 1.30
    zoomed = [corrupting._zoomed(x, factor) for factor in factors]
    expected = (x + sum(zoomed)) / 12
    assert corrupting.zoom_blur(x, 4, rng()) == pytest.approx(expected)
    assert np.abs(zoomed[0] - x).max() <= 0.5 / 255 + 1e-9


def test_fog_on_black_is_the_cloud_dimmed_away_and_on_white_stays_in_range():
    assert (corrupt(grey(0), "fog", severity=3, rng=rng()) == 0).all()  # the range of black is nothing
    white = corrupt(grey(255), "fog", severity=1, rng=rng())
    # By hand: (1 + 1.5 cloud) / 2.5 for a cloud between 0 and 1.
    assert white.min() == pytest.approx(255 / 2.5, abs=0.5) and white.max() == 255


def test_the_cloud_fills_its_range_and_its_edges_meet():
    cloud = plasma(64, decay=2.0, rng=rng(3))
    assert cloud.min() == 0 and cloud.max() == 1
    inside = np.abs(np.diff(cloud, axis=0)).mean()
    assert np.abs(cloud[0] - cloud[-1]).mean() < 3 * inside


def test_pixelation_shows_blocks_of_one_colour():
    picture = rng().integers(0, 256, (40, 40, 3), dtype=np.uint8)
    found = corrupt(picture, "pixelate", severity=5, rng=rng())
    # By hand: a quarter of 40 is 10 blocks of 4 x 4, each the mean of its pixels, rounded by Pillow
    # after the columns and after the rows.
    blocks = picture.reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(found.reshape(10, 4, 10, 4, 3) - blocks[:, None, :, None]).max() <= 1


def test_jpeg_is_pillows_at_the_published_quality(pictures):
    file = io.BytesIO()
    Image.fromarray(pictures[0]).save(file, "JPEG", quality=15)
    found = corrupt(pictures[0], "jpeg_compression", severity=3, rng=rng())
    assert (found == np.asarray(Image.open(file))).all()


def test_an_unknown_corruption_names_the_near_ones():
    with pytest.raises(ConfigError, match=r"'gausian_noise'; .*gaussian_noise"):
        corrupt(grey(1), "gausian_noise", severity=1, rng=rng())
    with pytest.raises(ConfigError, match="1 to 5; got 6"):
        corrupt(grey(1), "fog", severity=6, rng=rng())
    with pytest.raises(ShapeError, match="convert it to RGB"):
        corrupt(grey(1)[..., 0], "fog", severity=1, rng=rng())
