"""Heads change while requests run: none is lost, and every answer is of one head whole."""

import threading

import numpy as np
import pytest
from services import TOKEN, error_of, image, labelled, serving

from synsight.deployment.serving.engine import TorchEngine, encoder_digest
from synsight.deployment.serving.heads import folder_beneath, share_encoder
from synsight.errors import ModelError, UsageError
from synsight.models import load


@pytest.fixture(scope="module")
def swapping(models):
    """A service whose heads may be changed."""
    with serving(models, token=TOKEN, heads=models / "heads") as found:
        yield found


def put(client, name, folder):
    return client.put(f"/heads/{name}", json={"folder": folder})


def test_a_head_put_in_place_answers_as_its_model(swapping, models):
    answer = put(swapping, "hours", "hours")
    assert answer.status_code == 200
    expected = load(models / "heads" / "hours")
    assert answer.json() == {"head": {"name": "hours", "digest": expected.digest}, "classes": 2}
    found = swapping.post("/predict", content=image(1), params={"head": "hours"}).json()["predictions"]
    shares = [next(one["probability"] for one in found if one["name"] == name) for name in ("day", "night")]
    np.testing.assert_allclose(shares, expected.predict([image(1)])[0], atol=1e-5)


def test_no_request_is_lost_and_no_answer_is_mixed_while_heads_change(models):
    """Two heads of three names each take turns; every answer must be one of the two models' own."""
    data = [image(number) for number in range(4)]
    folders = {"colours": models / "colours", "colours2": models / "heads" / "colours2"}
    loaded = [load(folder) for folder in folders.values()]
    expected = {one.digest: (one.class_names, one.predict(data)) for one in loaded}
    heads = models / "turns"
    heads.mkdir()
    (heads / "colours").symlink_to(models / "colours")  # leads out of the folder: refused
    load(models / "colours").save_pretrained(heads / "first")
    loaded[1].save_pretrained(heads / "second")
    answers, stop = [], threading.Event()
    with serving(models, token=TOKEN, heads=heads) as client:
        assert put(client, "colours", "colours").status_code == 404

        def ask(number):
            while not stop.is_set():
                response = client.post("/predict", content=data[number], params={"top": 9})
                answers.append((number, response))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(data))]
        for thread in threads:
            thread.start()
        swaps = [put(client, "colours", ("second", "first")[n % 2]).status_code for n in range(6)]
        stop.set()
        for thread in threads:
            thread.join()
    assert swaps == [200] * 6
    assert {response.status_code for _, response in answers} == {200}
    seen = set()
    for number, response in answers:
        found = response.json()
        names, rows = expected[found["head"]["digest"]]
        shares = {one["name"]: one["probability"] for one in found["predictions"]}
        np.testing.assert_allclose([shares[name] for name in names], rows[number], atol=1e-5)
        seen.add(found["head"]["digest"])
    assert seen == set(expected)


@pytest.mark.parametrize("folder", ["other", "broken"])
def test_a_model_that_does_not_fit_changes_nothing(swapping, models, folder):
    before = swapping.get("/heads").json()["heads"]
    answer = put(swapping, "colours", folder)
    assert answer.status_code == 422
    assert "a head on this encoder" in error_of(answer)
    assert str(models) not in answer.text
    assert swapping.get("/heads").json()["heads"] == before


@pytest.mark.parametrize(
    "folder", ["..", ".", "../colours", "/etc", "hours/", "h\x00", "nothing", "a" * 150, "http://x", "~root"]
)
def test_a_request_names_no_place_but_a_folder_beneath(swapping, models, folder):
    answer = put(swapping, "x", folder)
    assert answer.status_code == 404
    assert "beneath the folder of heads" in error_of(answer)
    with pytest.raises(UsageError):
        folder_beneath(models / "heads", folder)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"folder": 3}', b'{"folder": "hours", "x": 1}', b"\xff"]
)
def test_a_wrong_body_is_refused(swapping, body):
    answer = swapping.put("/heads/hours", content=body)
    assert answer.status_code == 422
    error_of(answer)


@pytest.mark.parametrize("name", ["..%2f", "-x", "a b", "a" * 101])
def test_a_wrong_name_is_refused(swapping, name):
    assert swapping.put(f"/heads/{name}", json={"folder": "hours"}).status_code in (404, 422)


def test_a_service_without_a_folder_of_heads_changes_none(client):
    answer = put(client, "colours", "hours")
    assert answer.status_code == 403
    assert "--heads" in error_of(answer)


def test_the_encoder_counts_and_the_head_does_not(models):
    one, other = load(models / "colours"), load(models / "heads" / "colours2")
    assert encoder_digest(one) == encoder_digest(other) == TorchEngine(one).digest
    assert share_encoder(other, one).encoder is one.encoder
    changed = labelled(["a", "b"], seed=1)
    next(changed.encoder.parameters()).data[0] += 1e-3
    assert encoder_digest(changed) != encoder_digest(one)
    with pytest.raises(ModelError, match="found another encoder"):
        share_encoder(changed, one)
