import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import picture
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from synsight.data.view_draws import blur_kernel, draw, draw_crop
from synsight.data.views import (
    CATLIP_VIEWS,
    SIMCLR_VIEWS,
    ViewsConfig,
    decode_size,
    draw_views,
    normalise,
    plain_view,
)
from synsight.errors import ConfigError
from synsight.seeding import generator

PATHS = ("reference", "auto")


def one_view(image, config, *, image_size=32, rng):
    return draw_views(image, replace(config, count=1), image_size=image_size, rng=rng)[0]


def views_of(image, config, *, count, image_size=32, seed=0):
    return np.stack(
        [one_view(image, config, image_size=image_size, rng=generator(seed, n)) for n in range(count)]
    )


@pytest.mark.parametrize(("width", "height"), [(40, 32), (64, 64), (200, 20)])
def test_crops_are_distributed_as_torchvisions(width, height):
    torch.manual_seed(0)
    theirs = np.array(
        [
            v2.RandomResizedCrop(32, scale=(0.08, 1.0)).make_params([Image.new("RGB", (width, height))])[name]
            for _ in range(1500)
            for name in ("top", "left", "height", "width")
        ]
    ).reshape(-1, 4)
    ours = np.array([draw_crop(width, height, min_area=0.08, rng=generator(n)) for n in range(1500)])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column], method="asymp").pvalue > 0.001


@pytest.mark.parametrize("path", PATHS)
def test_views_are_distributed_as_those_of_torchvisions_simclr_pipeline(path):
    """Mean, spread, colourfulness and sharpness of 800 views of one image, ours against the composed
    transforms."""
    image = picture(1, width=64, height=64)
    side = 32
    theirs = v2.Compose(
        [
            v2.RandomResizedCrop(side, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(blur_kernel(side), (0.1, 2.0))], p=0.5),
        ]
    )
    torch.manual_seed(0)
    expected = np.stack([np.asarray(theirs(image)) for _ in range(800)])
    found = views_of(image, replace(SIMCLR_VIEWS, path=path), count=800, image_size=side)
    for statistic in (
        lambda v: v.mean(axis=(1, 2, 3)),
        lambda v: v.std(axis=(1, 2, 3)),
        lambda v: v.max(axis=3).astype(float).mean(axis=(1, 2)) - v.min(axis=3).mean(axis=(1, 2)),
        lambda v: np.abs(np.diff(v.astype(float), axis=1)).mean(axis=(1, 2, 3)),
        lambda v: v[:, :, :, 0].mean(axis=(1, 2)) - v[:, :, :, 2].mean(axis=(1, 2)),
    ):
        assert ks_2samp(statistic(found), statistic(expected), method="asymp").pvalue > 0.001


def test_a_view_depends_on_its_generator_alone():
    torch.manual_seed(1)
    first = one_view(picture(0), SIMCLR_VIEWS, rng=generator("a"))
    torch.manual_seed(2)
    assert (one_view(picture(0), SIMCLR_VIEWS, rng=generator("a")) == first).all()
    assert (one_view(picture(0), SIMCLR_VIEWS, rng=generator("b")) != first).any()


def test_drawing_leaves_torchs_random_state_alone():
    before = torch.get_rng_state()
    views_of(picture(0), SIMCLR_VIEWS, count=20)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("probability", "share"), [("grey_probability", 0.2), ("flip_probability", 0.5)])
def test_chances_are_those_of_the_paper(probability, share):
    assert getattr(SIMCLR_VIEWS, probability) == share
    # A whole-image crop of a coloured, lopsided image shows which of the two happened.
    config = ViewsConfig(min_area=1.0, strength=0.0, blur_probability=0.0)
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16, 0] = 200
    views = views_of(Image.fromarray(pixels), config, count=600).astype(int)
    happened = {
        "grey_probability": views[..., 0].max(axis=(1, 2)) == views[..., 2].max(axis=(1, 2)),
        "flip_probability": views[:, :, 24:].sum(axis=(1, 2, 3)) > views[:, :, :8].sum(axis=(1, 2, 3)),
    }[probability]
    assert happened.mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 600))


def test_catlip_views_keep_every_colour():
    grey = Image.new("RGB", (40, 40), (10, 120, 240))
    assert (views_of(grey, CATLIP_VIEWS, count=20) == (10, 120, 240)).all()


def test_strength_scales_how_far_colours_stray():
    image = Image.new("RGB", (40, 40), (120, 100, 80))
    spreads = [
        views_of(image, ViewsConfig(strength=s, grey_probability=0, blur_probability=0), count=300).std()
        for s in (0.0, 0.25, 1.0)
    ]
    assert spreads[0] < spreads[1] < spreads[2]


def test_blur_kernel_is_a_tenth_of_the_side_and_odd():
    assert [blur_kernel(side) for side in (32, 64, 96, 112, 128, 224)] == [3, 7, 9, 11, 13, 23]


def test_blur_equals_torchvisions():
    config = ViewsConfig(
        path="reference",
        min_area=1.0,
        strength=0,
        grey_probability=0,
        flip_probability=0,
        jitter_probability=0,
        blur_probability=1,
    )
    image = picture(3, width=64, height=64)
    rng = generator("blur")
    view = one_view(image, config, image_size=64, rng=rng)
    rng = generator("blur")
    top, left, height, width = draw_crop(64, 64, min_area=1.0, rng=rng)
    for _ in range(4):  # flip, jitter, grey and blur each ask once
        rng.random()
    cropped = v2.functional.resized_crop(
        image, top, left, height, width, [64, 64], interpolation=v2.InterpolationMode.BICUBIC
    )
    sigma = rng.uniform(0.1, 2.0)
    expected = np.asarray(v2.functional.gaussian_blur(cropped, [7, 7], [sigma, sigma]))
    assert np.abs(view.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("width", "height"), [(100, 50), (50, 100), (20, 20), (1, 1), (500, 3)])
@pytest.mark.parametrize("kind", ["simclr", "catlip", "plain"])
@pytest.mark.parametrize("path", PATHS)
def test_every_shape_gives_square_uint8_pixels(kind, width, height, path):
    config = ViewsConfig(kind=kind, path=path, local_count=0 if kind == "plain" else 2, local_size=5)
    for seed in range(4):
        first, *local = draw_views(
            Image.new("RGB", (width, height)), config, image_size=24, rng=generator(seed)
        )
        assert first.shape == (24, 24, 3)
        assert first.dtype == np.uint8
        assert [view.shape for view in local] == [(5, 5, 3)] * config.local_count


def test_the_views_of_an_image_are_drawn_one_after_the_other():
    """So that a stored seed keeps its first views whatever is added behind them."""
    rng = generator(3)
    two = draw_views(picture(0), SIMCLR_VIEWS, image_size=32, rng=rng)
    three = draw_views(picture(0), replace(SIMCLR_VIEWS, local_count=1), image_size=32, rng=generator(3))
    assert (np.stack(two) == np.stack(three[:2])).all()
    again = generator(3)
    first = one_view(picture(0), SIMCLR_VIEWS, rng=again)
    assert (np.stack([first, one_view(picture(0), SIMCLR_VIEWS, rng=again)]) == np.stack(two)).all()
    assert again.random() == rng.random()


def test_local_views_are_three_sevenths_as_large_and_show_small_parts():
    config = ViewsConfig(count=2, local_count=6, min_area=0.14, max_area=0.9)
    drawn = [
        one
        for seed in range(200)
        for one in draw(config, width=400, height=300, image_size=224, rng=generator(seed))
    ]
    areas = {
        size: [one.height * one.width / 120_000 for one in drawn if one.size == size] for size in (224, 96)
    }
    assert [len(areas[224]), len(areas[96])] == [400, 1200]
    assert 0.13 < min(areas[224]) < 0.2
    assert 0.8 < max(areas[224]) < 0.91  # edges are whole pixels
    assert 0.049 < min(areas[96]) < 0.06
    assert 0.24 < max(areas[96]) < 0.251
    views = draw_views(picture(1), config, image_size=56, rng=generator(0))
    assert [len(view) for view in views] == [56] * 2 + [24] * 6


def test_a_greatest_area_is_kept_to():
    sides = [draw_crop(300, 300, min_area=0.2, max_area=0.3, rng=generator(n))[2:] for n in range(500)]
    areas = np.prod(sides, axis=1) / 300**2
    assert 0.195 < areas.min() < 0.21
    assert 0.29 < areas.max() < 0.305


def test_plain_view_keeps_the_ratio_and_shows_the_centre():
    pixels = np.zeros((50, 100, 3), np.uint8)
    pixels[:, 25:75] = 255
    assert (plain_view(Image.fromarray(pixels), image_size=50) == 255).all()
    assert (plain_view(Image.fromarray(pixels), image_size=20)[:, 1:-1] > 250).all()


def test_plain_view_of_an_image_of_its_size_is_the_image():
    image = picture(5, width=32, height=32)
    assert (plain_view(image, image_size=32) == np.asarray(image)).all()


def test_a_decoder_may_shrink_as_long_as_the_smallest_crop_keeps_its_pixels():
    side = decode_size(SIMCLR_VIEWS, image_size=64)
    assert side is not None
    crops = [draw_crop(side, side, min_area=0.08, rng=generator(n)) for n in range(2000)]
    assert min(min(height, width) for _, _, height, width in crops) >= 63  # 64, rounded as crops are
    assert decode_size(ViewsConfig(kind="plain"), image_size=64) is None
    tiny_parts = ViewsConfig(min_area=0.5, local_count=1, local_size=64, local_min_area=0.08)
    assert decode_size(tiny_parts, image_size=64) == side


def test_normalised_pixels_have_the_values_of_the_formula_and_keep_their_memory_format():
    pixels = torch.randint(0, 256, (2, 5, 4, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    expected = v2.functional.normalize(pixels.float() / 255, list(mean), list(std))
    found = normalise(pixels, mean=mean, std=std)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "moco"}, "simclr, catlip or plain; got 'moco'"),
        ({"count": 0}, "count of views must be >= 1; got 0"),
        ({"path": "slow"}, "path of views must be auto or reference; got 'slow'"),
        ({"min_area": 0.5, "max_area": 0.4}, r"min_area must be at most max_area; got 0\.5 and 0\.4"),
        ({"local_min_area": 0.3}, r"local_min_area must be at most local_max_area; got 0\.3 and 0\.25"),
        ({"local_max_area": 1.1}, r"local_max_area must be in \(0, 1\]; got 1\.1"),
        ({"local_count": -1}, "local_count must be >= 0; got -1"),
        ({"kind": "plain", "local_count": 1}, "plain views have no local views; set local_count=0"),
        ({"min_area": 0.0}, r"min_area must be in \(0, 1\]; got 0.0"),
        ({"grey_probability": 1.5}, r"grey_probability must be in 0\.\.1; got 1.5"),
        ({"strength": 2.0}, r"strength must be in 0\.\.1.25; got 2.0"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        ViewsConfig(**settings)
