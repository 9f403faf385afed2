import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from planted import DEFECTS, catalog_of, encoded, picture, shipped
from synsight.curation.audit.image_checks import (
    CHECKS,
    FINDINGS,
    ImageChecks,
    check_images,
    findings,
    outlier_limit,
)
from synsight.curation.audit.image_measures import ImageStage, blur
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError

CLEAN, BAD = 220, 20


def measured(images) -> pa.Table:
    return pa.Table.from_batches([ImageStage()(pa.record_batch({"image": pa.array(images, pa.binary())}))])


def flags_of(images) -> list[set[str]]:
    """The flags of each image, among clean ones of the emoji sample."""
    corpus = measured([*images, *shipped("emoji", CLEAN)])
    table = findings(corpus)
    found = [set() for _ in images]
    for position, flag in zip(table["position"].to_pylist(), table["flag"].to_pylist(), strict=True):
        if position < len(images):
            found[position].add(flag)
    return found


@pytest.fixture(scope="module", params=["emoji", "clipart"])
def clean(request) -> tuple[pa.Table, list[bytes]]:
    images = shipped(request.param, CLEAN)
    return measured(images), images


@pytest.mark.parametrize("flag", list(DEFECTS))
def test_a_planted_defect_stands_out_and_is_flagged(clean, flag):
    """Measured on both samples and all defects: 0.999 or more."""
    table, images = clean
    bad = measured([encoded(DEFECTS[flag](picture(one))) for one in images[:BAD]])
    checks = ImageChecks(findings(pa.concat_tables([table, bad])), pa.concat_tables([table, bad]))
    scores = np.nan_to_num(checks.scores(flag), nan=-1)
    auc = roc_auc_score([0] * CLEAN + [1] * BAD, scores)
    assert auc > 0.99
    found = checks.table.filter(pa.compute.equal(checks.table["flag"], flag))["position"].to_numpy()
    assert (found >= CLEAN).sum() >= (0.6 if flag == "bright" else 0.9) * BAD
    assert (found < CLEAN).sum() <= 0.02 * CLEAN


def test_clean_samples_are_left_alone(clean):
    """Drawings on white are neither bright nor blank; measured on all: 0.1% of emoji, 0.5% of clipart."""
    table, _ = clean
    assert len(findings(table)) <= 0.02 * CLEAN


def test_drawings_on_white_are_no_defects():
    paper = Image.new("RGB", (96, 96), "white")
    thin, silhouette, inverted = paper.copy(), paper.copy(), Image.new("RGB", (96, 96), "black")
    ImageDraw.Draw(thin).line((10, 80, 85, 12), fill="grey")
    ImageDraw.Draw(silhouette).ellipse((20, 20, 70, 80), fill="black")
    ImageDraw.Draw(inverted).ellipse((20, 20, 70, 80), outline="white", width=4)
    assert flags_of([encoded(one) for one in (thin, silhouette, inverted)]) == [set(), set(), set()]


def test_white_on_transparency_is_blank_as_it_lies_on_white():
    nothing = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    ImageDraw.Draw(nothing).ellipse((10, 10, 50, 50), fill=(255, 255, 255, 255))
    ink = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(ink).ellipse((10, 10, 50, 50), fill=(30, 60, 200, 255))
    assert ["blank" in flags for flags in flags_of([encoded(nothing), encoded(ink)])] == [True, False]


def photographs(count: int) -> list[Image.Image]:
    """Pictures with the spectrum and the tones of photographs: 1 / frequency, mid grey, to the rim."""
    rng = np.random.default_rng(7)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96)))
    frequency[0, 0] = np.inf
    found = []
    for _ in range(count):
        waves = np.fft.fft2(rng.normal(size=(3, 96, 96))) / frequency
        light = np.real(np.fft.ifft2(waves[:1] + 0.3 * waves)).transpose(1, 2, 0)
        light = (light - light.mean()) / light.std()
        found.append(Image.fromarray((255 * np.clip(0.47 + 0.22 * light, 0, 1)).astype(np.uint8)))
    return found


def test_an_exposure_times_1_8_is_bright_and_says_how_much_is_lost():
    good = photographs(60)
    over = [encoded(image.point(lambda level: min(255, int(1.8 * level)))) for image in good[:20]]
    table = findings(measured([*map(encoded, good), *over]))
    bright = table.filter(pa.compute.equal(table["flag"], "bright"))
    assert set(bright["position"].to_pylist()) <= set(range(60, 80))
    assert len(bright) >= 18
    assert all(" of it is white without any detail" in one for one in bright["reason"].to_pylist())


def test_full_colours_and_white_ground_are_not_burnt():
    red, yellow = Image.new("RGB", (96, 96), "red"), Image.new("RGB", (96, 96), (40, 90, 160))
    ImageDraw.Draw(red).ellipse((30, 30, 60, 60), fill="blue")
    ImageDraw.Draw(yellow).rectangle((0, 0, 96, 60), fill="yellow")
    icon = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(icon).ellipse((30, 30, 60, 60), fill=(255, 0, 0, 255))
    goods = Image.new("RGB", (96, 96), "white")
    goods.paste(photographs(1)[0].resize((40, 40)), (28, 28))
    drawings = [encoded(one) for one in (red, yellow, icon, goods)]
    assert ["bright" in flags for flags in flags_of(drawings)] == [False] * 4
    among_photographs = findings(measured([*drawings[:2], *map(encoded, photographs(60))]))
    assert "bright" not in among_photographs["flag"].to_pylist()


def test_what_cannot_be_decoded_is_unreadable_with_the_reason():
    whole = encoded(picture(shipped("emoji", 1)[0]), "JPEG")
    table = findings(measured([whole[: len(whole) // 2], b"", b"<html>", None, whole]))
    assert table["position"].to_pylist() == [0, 1, 2, 3]
    assert set(table["flag"].to_pylist()) == {"unreadable"}
    assert table["reason"].to_pylist() == ["truncated", "empty", "not an image", "empty"]


def test_a_corpus_that_is_dark_or_small_or_long_as_a_whole_is_not_condemned():
    rng = np.random.default_rng(0)
    night = [
        encoded(Image.fromarray(rng.integers(0, rng.integers(40, 60), (8, 40, 3), dtype=np.uint8)))
        for _ in range(60)
    ]
    assert len(findings(measured(night))) == 0
    flags = findings(measured(night[:10]))["flag"].to_pylist()  # ten images have no usual
    assert flags.count("dark") == 10


def test_the_blur_of_an_ideal_edge_is_that_of_the_equations():
    """Crete et al., eqs. 1 to 6, as plain loops over a step that a Gaussian of 2 pixels has softened."""
    line = np.round(255 * norm.cdf(np.arange(-31.5, 32), scale=2.0))
    mean = [line[max(i - 2, 0) : i + 3].mean() if 2 <= i < 62 else line[i] for i in range(64)]
    before = [abs(line[i] - line[i - 1]) for i in range(3, 62)]
    after = [abs(mean[i] - mean[i - 1]) for i in range(3, 62)]
    left = [max(0.0, b - a) for b, a in zip(before, after, strict=True)]
    grey = Image.fromarray(np.tile(line.astype(np.uint8), (24, 1)))
    assert blur(grey) == pytest.approx(1 - sum(left) / sum(before), abs=1e-3)
    assert np.isnan(blur(Image.new("L", (64, 64), 7)))


def test_blur_does_not_depend_on_contrast_or_on_empty_paper():
    drawn = picture(shipped("emoji", 4)[2]).convert("L")
    pale = drawn.point(lambda level: 200 + level // 5)
    wide = Image.new("L", (128, 128), 255)
    wide.paste(drawn)
    assert blur(pale) == pytest.approx(blur(drawn), abs=0.08)
    assert blur(wide) == pytest.approx(blur(drawn), abs=0.08)


def test_a_limit_moves_out_with_the_better_half_only():
    rng = np.random.default_rng(0)
    usual = rng.uniform(0.6, 0.8, 500)
    assert outlier_limit(usual, 0.5) > usual.max()
    assert outlier_limit(np.append(usual, [0.999] * 150), 0.5) < 0.999
    assert outlier_limit(usual, 0.999) == 0.999
    assert outlier_limit(usual[:5], 0.5) == 0.5


def test_a_second_call_decodes_nothing_and_finds_the_same(tmp_path, monkeypatch):
    images = [*shipped("emoji", 30), b"broken"]
    catalog = catalog_of(tmp_path / "cat", images)
    first = check_images(catalog)
    assert catalog.table(["image_hash"])["image_hash"].null_count == 1
    assert catalog.table(["image_flags"])["image_flags"].to_pylist()[-1] == ["unreadable"]
    version = catalog.version
    monkeypatch.setattr("synsight.curation.audit.image_measures.decode_pixels", None)
    again = check_images(tmp_path / "cat")
    assert again.table.equals(first.table)
    assert again.measures.equals(first.measures)
    assert catalog.version == version


def test_scores_of_all_rows_and_findings_have_the_agreed_shape(tmp_path):
    catalog = catalog_of(tmp_path / "cat", [*shipped("clipart", 24), None])
    checks = check_images(catalog)
    assert checks.table.schema == FINDINGS
    assert len(checks.hashes) == 25
    for flag in CHECKS:
        assert np.isnan(checks.scores(flag)[-1])
    assert checks.scores("unreadable").tolist() == [0.0] * 24 + [1.0]


def test_a_catalog_without_images_is_refused(tmp_path):
    catalog = Catalog.create(
        tmp_path / "cat", pa.schema([pa.field("id", pa.string())]), commit=Commit(verb="ingest")
    )
    with pytest.raises(DataError, match="expected a column 'image', found none"):
        check_images(catalog)
