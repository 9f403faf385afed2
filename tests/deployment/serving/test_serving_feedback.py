"""Verdicts become a catalog that the next round trains on."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import lance
import pytest
from services import error_of, image, serving

from synsight.data.catalog import Catalog, Commit
from synsight.data.images import read_header
from synsight.deployment.serving import feedback
from synsight.deployment.serving.feedback import SCHEMA, Feedback, FeedbackStore, open_feedback
from synsight.errors import CatalogError
from synsight.models import load


def judge(client, data, **fields):
    return client.post("/feedback", files={"file": ("x.png", data)}, data=fields)


def test_a_verdict_is_a_row_with_the_image_as_it_came(models, tmp_path):
    path = tmp_path / "feedback"
    with serving(models, feedback=path) as client:
        shown = client.post("/predict", content=image(1)).json()
        best = shown["predictions"][0]
        about = {
            "prediction": best["name"],
            "probability": str(best["probability"]),
            "head": shown["head"]["name"],
            "head_digest": shown["head"]["digest"],
            "request_id": shown["request_id"],
        }
        right = judge(client, image(1), verdict="right", **about)
        wrong = judge(client, image(1), verdict="wrong", label="　紫 ", **about)
        unknown = judge(client, image(2, "jpeg"), verdict="wrong", prediction="red")
        rows = Catalog.open(path).table(SCHEMA.names).to_pylist()
        assert 'synsight_serve_feedback_total{verdict="wrong"} 2.0' in client.get("/metrics").text
    assert [one.status_code for one in (right, wrong, unknown)] == [201] * 3
    assert [row["id"] for row in rows] == [one.json()["id"] for one in (right, wrong, unknown)]
    assert [row["image"] for row in rows] == [image(1), image(1), image(2, "jpeg")]
    assert [row["label"] for row in rows] == [best["name"], "紫", None]
    assert [row["verdict"] for row in rows] == ["right", "wrong", "wrong"]
    assert rows[0]["head_digest"] == load(models / "colours").digest
    assert rows[0]["request_id"] == shown["request_id"]
    assert rows[0]["probability"] == pytest.approx(best["probability"])
    assert rows[0]["group"] == rows[1]["group"] != rows[2]["group"]
    assert rows[0]["split"] == rows[1]["split"]
    assert (rows[2]["format"], rows[2]["width"], rows[2]["height"]) == ("jpeg", 40, 32)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "verdict: expected right or wrong"),
        ({"verdict": "maybe", "prediction": "red"}, "verdict: expected right or wrong"),
        ({"verdict": "right"}, "prediction: expected the name that was shown"),
        ({"verdict": "right", "prediction": "r" * 201}, "at most 200 visible characters"),
        ({"verdict": "right", "prediction": "a\x00b"}, "at most 200 visible characters"),
        ({"verdict": "right", "prediction": "r", "probability": "nan"}, "a number in 0..1"),
        ({"verdict": "right", "prediction": "r", "probability": "1.5"}, "a number in 0..1"),
        ({"verdict": "right", "prediction": "r", "path": "/etc"}, "found 'path'"),
    ],
)
def test_what_is_no_verdict_is_refused(models, tmp_path, fields, said):
    with serving(models, feedback=tmp_path / "feedback") as client:
        answer = judge(client, image(), **fields)
        assert answer.status_code == 422
        assert said in error_of(answer)
        assert judge(client, b"no image", verdict="right", prediction="r").status_code == 422
    assert Catalog.open(tmp_path / "feedback").count_rows() == 0


def test_without_a_catalog_no_verdict_is_taken(client):
    answer = judge(client, image(), verdict="right", prediction="red")
    assert answer.status_code == 404
    assert "--feedback" in error_of(answer)


def verdict(request_id=""):
    return Feedback(
        image=image(),
        header=read_header(image()),
        verdict="right",
        prediction="red",
        probability=None,
        label=None,
        head="",
        head_digest="",
        request_id=request_id,
    )


def fragments(catalog):
    return len(lance.dataset(str(catalog.path)).get_fragments())


def test_fragments_do_not_grow_with_verdicts_and_their_order_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(feedback, "TOGETHER", 4)
    store = FeedbackStore(tmp_path / "fb")
    for number in range(11):
        store.add(verdict(str(number))).result(60)
    store.close()
    catalog = Catalog.open(tmp_path / "fb")
    assert fragments(catalog) <= 3
    assert catalog.table(["request_id"])["request_id"].to_pylist() == [str(one) for one in range(11)]
    verbs = [one.verb for one in catalog.versions()]
    assert verbs.count("feedback") == 12  # one made the catalog


def test_a_catalog_at_which_another_process_works_is_left_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(feedback, "TOGETHER", 2)
    store = FeedbackStore(tmp_path / "fb")
    with Catalog.open(tmp_path / "fb").alone():
        for number in range(5):
            store.add(verdict(str(number))).result(30)
        store.close()
    catalog = Catalog.open(tmp_path / "fb")
    assert (catalog.count_rows(), fragments(catalog)) == (5, 5)


KILLED = """
import os, signal, sys
from lance.optimize import Compaction
from synsight.data.images import ImageHeader
from synsight.deployment.serving import feedback

feedback.TOGETHER = 3
commit = Compaction.commit

def die(dataset, rewritten):
    if sys.argv[2] == "after":
        commit(dataset, rewritten)
    os.kill(os.getpid(), signal.SIGKILL)

Compaction.commit = die
store = feedback.FeedbackStore(sys.argv[1])
rest = dict(prediction="red", probability=None, label=None, head="", head_digest="", request_id="")
for number in range(9):
    one = feedback.Feedback(image=b"x", header=ImageHeader("png", 1, 1), verdict="right", **rest)
    print(store.add(one).result(60), flush=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_fragments_are_put_together_no_answered_verdict_is_lost(tmp_path, when):
    words = [sys.executable, "-c", KILLED, tmp_path / "fb", when]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    answered = done.stdout.split()
    assert len(answered) >= 2
    kept = Catalog.open(tmp_path / "fb").table(["id", "image"])
    assert kept["id"].to_pylist()[: len(answered)] == answered
    FeedbackStore(tmp_path / "fb").add(verdict("more")).result(30)  # and it goes on
    assert Catalog.open(tmp_path / "fb").count_rows() == len(kept) + 1


def test_verdicts_of_many_at_once_are_all_kept_in_few_commits(tmp_path):
    store = FeedbackStore(tmp_path / "feedback")
    held = threading.Event()
    write, batches = store._written, []

    def slowly(verdicts):
        held.wait(10)
        batches.append(len(verdicts))
        return write(verdicts)

    store._written = slowly
    with ThreadPoolExecutor(4) as several:
        waiting = list(several.map(lambda _: store.add(verdict()), range(30)))
    held.set()
    ids = {answer.result(30) for answer in waiting}
    store.close()
    catalog = Catalog.open(tmp_path / "feedback")
    assert len(ids) == catalog.count_rows() == sum(batches) == 30
    assert len(batches) <= 3
    assert {version.verb for version in catalog.versions()} == {"feedback", "compact"}
    assert fragments(catalog) == 1


def test_the_catalog_goes_on_where_it_was_and_no_other_is_touched(tmp_path):
    FeedbackStore(tmp_path / "feedback").close()
    assert open_feedback(tmp_path / "feedback").count_rows() == 0
    other = Catalog.create(tmp_path / "other", SCHEMA.remove(0), commit=Commit(verb="ingest"))
    with pytest.raises(CatalogError, match="expected a catalog of feedback or a new folder"):
        open_feedback(other.path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(CatalogError, match="expected a new or empty folder"):
        open_feedback(tmp_path / "full")


def test_a_disk_that_refuses_is_503_and_serving_goes_on(models, tmp_path, monkeypatch):
    from synsight.errors import StorageError

    def full(self, verdicts):
        raise StorageError("/secret/disk: could not be written: no space left")

    monkeypatch.setattr(FeedbackStore, "_written", full)
    with serving(models, feedback=tmp_path / "feedback") as client:
        answer = judge(client, image(), verdict="right", prediction="red")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "/secret" not in error_of(answer)
        assert client.post("/predict", content=image()).status_code == 200
