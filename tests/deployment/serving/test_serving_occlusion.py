"""An exported folder explains itself: what is seen, where by covering parts, and which cases are alike."""

import numpy as np
import pytest
from services import error_of, image, serving

from synsight.data.catalog import Catalog
from synsight.deployment.serving.cases import Cases
from synsight.deployment.serving.occluding import falls, log_odds
from synsight.errors import ConfigError
from synsight.models import load


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    deployment = pytest.importorskip("synsight.deployment.export")
    folder = tmp_path_factory.mktemp("exported") / "deployed"
    deployment.export(models / "colours", format="onnx", out=folder)
    return folder


@pytest.fixture(scope="module")
def client(models, exported):
    """A service of the exported folder alone, with a reference."""
    with serving(models, models={"deployed": exported}, reference=models / "cat") as found:
        yield found


def picture(side=35):
    return np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)


def test_where_a_score_looks_is_where_it_falls():
    """The score sums a block of 10 x 10 pixels, which is 2 x 2 cells, above their mean colour."""
    pixels = picture() // 2
    pixels[:, 5:15, 20:30] = 255

    def scores(images):
        return images[:, :, 5:15, 20:30].astype(float).sum((1, 2, 3))[:, None] / 255

    (found,) = falls(scores, pixels)
    assert found.shape == (7, 7)
    inside = np.zeros((7, 7), bool)
    inside[1:3, 4:6] = True
    assert found[inside].min() > found[~inside].max() >= 0
    assert (found[4:] == 0).all(), "windows that touch no part of it change nothing"


def test_each_window_is_covered_once_and_a_cell_has_the_mean_of_its_windows():
    """By hand, for 3 x 3 cells of one pixel: four windows, of which the centre lies in all."""
    pixels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3) * 9
    seen = []

    def scores(images):
        seen.extend(images)
        return images.astype(float).sum((1, 2, 3))[:, None]

    (found,) = falls(scores, pixels, cells=3)
    assert len(seen) == 1 + 4
    mean = pixels.mean((1, 2)).round()
    windows = np.array(
        [[(pixels[:, r : r + 2, c : c + 2] - mean[:, None, None]).sum() for c in (0, 1)] for r in (0, 1)]
    )
    np.testing.assert_allclose(found[0, 0], windows[0, 0])
    np.testing.assert_allclose(found[0, 1], windows[0].mean())
    np.testing.assert_allclose(found[1, 1], windows.mean())


def test_log_odds_are_finite_and_know_the_half():
    np.testing.assert_allclose(log_odds(np.array([0.5, 0.8])), [0, np.log(4)])
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def test_it_explains_what_it_predicts(client, models):
    model = load(models / "colours")
    about = client.get("/heads").json()
    assert (about["engine"], about["explain"], about["similar"]) == ("exported", True, 12)
    answer = client.post("/explain", content=image(9), params={"words": 2, "locale": "ja"}).json()
    found = answer["explanation"]
    shares = model.predict([image(9)])[0]
    assert found["prediction"] == model.class_names[int(shares.argmax())]
    assert found["probability"] == pytest.approx(shares.max(), abs=1e-4)
    assert len(found["words"]) == 2
    assert [one["kind"] for one in found["heat"]] == ["class", "word", "word"]
    assert {one["method"] for one in found["heat"]} == {"occlusion"}
    assert all(one["picture"].startswith("data:image/webp") for one in found["heat"])
    assert len(found["near"]) == 4
    assert (found["contributions"], found["why_not"]) == (None, None)


def test_the_cases_of_an_export_are_those_of_its_model(client, models):
    rows = Catalog.open(models / "cat").table(["id", "image"]).to_pylist()
    with serving(models, reference=models / "cat") as other:
        for row in rows[:3]:
            asked = {"content": row["image"], "params": {"top": 3}}
            own, same = (one.post("/similar", **asked).json()["cases"] for one in (client, other))
            assert [one["id"] for one in own] == [one["id"] for one in same]
            assert own[0]["id"] == row["id"]
            for one, two in zip(own, same, strict=True):
                assert one["similarity"] == pytest.approx(two["similarity"], abs=1e-3)


def test_an_empty_reference_has_no_cases(models, tmp_path):
    from models.small_models import small_catalog
    from synsight.data.catalog import Commit

    catalog = small_catalog(tmp_path / "cat", rows=2)
    catalog.delete("true", commit=Commit(verb="delete"))

    class Nothing:
        dimensions = 4

    assert Cases.of_engine(Nothing(), catalog).nearest(np.ones(4, np.float32), top=3) == []


def test_an_export_changes_no_head_and_says_so(client, models, exported):
    answer = client.put("/heads/deployed", json={"folder": "hours"})
    assert answer.status_code == 403
    error_of(answer)
    with (
        pytest.raises(ConfigError, match="an exported model is served by itself"),
        serving(models, models={"deployed": exported}, token="x" * 20, heads=models / "heads"),
    ):
        pass
