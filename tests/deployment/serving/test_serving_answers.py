"""What is served is what the model says."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from services import error_of, image, serving

from models.small_models import picture
from synsight.data.catalog import Catalog
from synsight.models import load


@pytest.fixture(scope="module")
def client(models):
    """A service by ONNX Runtime, with a reference."""
    with serving(models, engine="onnx", reference=models / "cat") as found:
        yield found


@pytest.fixture(scope="module")
def model(models):
    return load(models / "colours")


def vector(found, names):
    by_name = {one["name"]: one["probability"] for one in found}
    return np.array([by_name[name] for name in names])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif"])
def test_the_served_probabilities_are_those_of_the_model(client, model, kind):
    data = image(5, kind, width=70, height=41)
    found = client.post("/predict", content=data, params={"top": 100}).json()
    assert found["head"] == {"name": "colours", "digest": model.digest}
    assert found["image"] == {"format": kind, "width": 70, "height": 41}
    served = vector(found["predictions"], model.class_names)
    np.testing.assert_allclose(served, model.predict([data])[0], atol=1e-5)
    assert [one["probability"] for one in found["predictions"]] == sorted(served, reverse=True)


def test_a_form_and_a_raw_body_are_answered_alike(client, model):
    data = image(6)
    raw = client.post("/embed", content=data).json()["features"]
    form = client.post("/embed", files={"file": ("../../etc/passwd", data, "text/html")}).json()["features"]
    assert raw == form
    np.testing.assert_allclose(raw, model.embed([data])[0], atol=1e-4)


def test_an_image_that_exif_turns_is_served_upright(client, model):
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(7, width=60, height=33).save(out, "jpeg", exif=exif)
    served = client.post("/embed", content=out.getvalue()).json()["features"]
    np.testing.assert_allclose(served, model.embed([out.getvalue()])[0], atol=1e-4)


def test_words_are_those_of_the_word_head(client, model):
    data = image(8)
    found = client.post("/words", content=data, params={"top": 50}).json()["words"]
    served = vector(found, model.vocabulary.names)
    np.testing.assert_allclose(served, model.word_probabilities([data])[0], atol=1e-5)


def test_the_nearest_cases_are_those_of_exact_cosine(client, model, models):
    catalog = Catalog.open(models / "cat")
    rows = catalog.table(["id", "image"]).to_pylist()
    features = model.embed([row["image"] for row in rows])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    asked = model.embed([image(100)])[0]
    cosines = unit @ (asked / np.linalg.norm(asked))
    found = client.post("/similar", content=image(100), params={"top": 4, "thumbnails": True}).json()["cases"]
    best = np.argsort(-cosines)[:4]
    assert [one["id"] for one in found] == [rows[n]["id"] for n in best]
    np.testing.assert_allclose([one["similarity"] for one in found], cosines[best], atol=1e-3)
    assert all(one["thumbnail"].startswith("data:image/png;base64,") for one in found)
    own = client.post("/similar", content=rows[2]["image"], params={"top": 1}).json()["cases"][0]
    assert own["id"] == rows[2]["id"] and own["similarity"] == pytest.approx(1, abs=1e-3)
    assert own["thumbnail"] == ""


def test_what_many_ask_at_once_is_what_each_asks_alone(models, model):
    images = [image(number, width=33 + number, height=40) for number in range(24)]
    expected = model.embed(images)
    with serving(models, engine="onnx", batch=4) as client, ThreadPoolExecutor(6) as clients:
        found = list(clients.map(lambda one: client.post("/embed", content=one).json()["features"], images))
        counts = client.get("/metrics").text
    np.testing.assert_allclose(found, expected, atol=1e-4)
    lines = dict(line.rsplit(" ", 1) for line in counts.splitlines() if not line.startswith("#"))
    assert float(lines["synsight_serve_batch_images_sum"]) == 24
    assert float(lines["synsight_serve_batch_images_count"]) <= 24
    assert lines['synsight_serve_requests_total{route="/embed",status="200"}'] == "24.0"


def test_an_explanation_speaks_of_the_prediction(client, model):
    data = image(9)
    found = client.post("/explain", content=data, params={"locale": "en", "words": 2}).json()
    explanation = found["explanation"]
    assert explanation["prediction"] == model.class_names[int(model.predict([data])[0].argmax())]
    assert explanation["probability"] == pytest.approx(model.predict([data])[0].max(), abs=1e-4)
    assert len(explanation["words"]) <= 2
    assert explanation["heat"][0]["picture"].startswith("data:image/")


def test_torch_serves_the_same(models, model):
    data = image(10)
    with serving(models, engine="torch") as client:
        assert client.get("/heads").json()["engine"] == "torch"
        served = client.post("/embed", content=data).json()["features"]
    np.testing.assert_allclose(served, model.embed([data])[0], atol=1e-6)


def test_two_heads_share_one_encoder(models, model):
    night = load(models / "heads" / "hours")
    folders = {"colours": models / "colours", "hours": models / "heads" / "hours"}
    with serving(models, models=folders) as client:
        assert [one["name"] for one in client.get("/heads").json()["heads"]] == ["colours", "hours"]
        for name, expected in (("colours", model), ("hours", night)):
            found = client.post("/predict", content=image(11), params={"head": name}).json()
            assert found["head"] == {"name": name, "digest": expected.digest}
            served = vector(found["predictions"], expected.class_names)
            np.testing.assert_allclose(served, expected.predict([image(11)])[0], atol=1e-5)
        wrong = client.post("/predict", content=image(11), params={"head": "hour"})
        assert wrong.status_code == 404
        assert error_of(wrong) == "expected the name of a head, found 'hour'; known: colours, hours."


def test_an_exported_folder_is_served_without_its_model(models, model, tmp_path):
    deployment = pytest.importorskip("synsight.deployment.export")
    deployment.export(models / "colours", format="onnx", out=tmp_path / "exported")
    with serving(models, models={"colours": tmp_path / "exported"}) as client:
        about = client.get("/heads").json()
        assert (about["engine"], about["words"], about["similar"]) == ("exported", True, 0)
        found = client.post("/predict", content=image(12), params={"top": 9}).json()["predictions"]
        words = client.post("/words", content=image(12), params={"top": 9}).json()["words"]
        features = client.post("/embed", content=image(12)).json()["features"]
    np.testing.assert_allclose(vector(found, model.class_names), model.predict([image(12)])[0], atol=1e-5)
    expected = model.word_probabilities([image(12)])[0]
    np.testing.assert_allclose(vector(words, model.vocabulary.names), expected, atol=1e-5)
    np.testing.assert_allclose(features, model.embed([image(12)])[0], atol=1e-4)
