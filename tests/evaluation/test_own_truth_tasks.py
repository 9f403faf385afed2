"""Tasks that bring their own truth: texts beside images, several labels a row."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from asked import reading_model
from made import make_catalog
from sklearn.metrics import average_precision_score

from synsight.errors import DataError, UsageError
from synsight.evaluation.judged import Subject
from synsight.evaluation.multilabel import multilabel
from synsight.evaluation.multilabel_rows import read_multilabel
from synsight.evaluation.options import Columns, Options
from synsight.evaluation.retrieval import read_captioned, retrieval
from synsight.metrics.intervals import Interval
from synsight.models import Model, catalog_features, load

ROWS = 90


def texts_and_labels(columns):
    """Captions of which some say the same, lists of captions, and lists of labels."""
    kinds = [kind or "none" for kind in columns["kind"]]
    captions = [f"a {kind} square {row % 4}" for row, kind in enumerate(kinds)]
    captions[25:ROWS:30] = [None, " ", ""]
    keywords = [[kind, *(["warm"] if kind in ("red", "rare") else [])] for kind in kinds]
    keywords = [None if row % 30 == 5 else [] if row % 30 == 6 else one for row, one in enumerate(keywords)]
    return {
        **columns,
        "caption": captions,
        "several": [[one or "", f"picture {row}", one] for row, one in enumerate(captions)],
        "keywords": keywords,
        "joined": [None if one is None else " ; ".join(one) for one in keywords],
    }


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("own_truth") / "cat", rows=ROWS, change=texts_and_labels)


@pytest.fixture(scope="module")
def plain():
    return load("random:test_resnet.r160_in1k", image_size=16, seed=3)


@pytest.fixture(scope="module")
def reading(plain):
    """The same encoder with a text half."""
    half = reading_model(plain.config.embedding_dim)
    return Model(
        plain.encoder,
        replace(plain.config, projection_dim=6),
        projection=half.projection,
        text=half.text,
        name="reading",
    )


def subject(model, catalog, tmp_path, **options):
    return Subject(
        name="made",
        model=model,
        catalog=catalog,
        version=catalog.version,
        options=Options(columns=Columns(**options)),
        out=tmp_path,
        progress=False,
    )


def test_equal_captions_are_one_text_and_rows_without_one_are_counted(catalog):
    rows = read_captioned(catalog, "caption")
    table = pa.Table.from_batches(list(catalog.scan(["id", "caption", "split"])))
    said = {
        one["id"]: one["caption"]
        for one in table.to_pylist()
        if one["split"] == "test" and (one["caption"] or "").strip()
    }
    assert rows.ids.tolist() == sorted(said)
    assert [rows.texts[one] for one in rows.text_of_pair] == [said[one] for one in sorted(said)]
    assert len(rows.texts) == len(set(said.values())) < len(said)
    assert rows.without_text == sum(one["split"] == "test" for one in table.to_pylist()) - len(said)


def test_an_image_may_have_several_texts(catalog):
    rows = read_captioned(catalog, "several")
    assert rows.without_text == 0
    counts = np.bincount(rows.image_of_pair)
    assert set(counts) == {1, 2}, "blank and repeated ones are left out"


@pytest.mark.parametrize("column", ["caption", "several"])
def test_retrieval_is_that_of_brute_force_over_all_texts_and_images(reading, catalog, tmp_path, column):
    scored = retrieval(subject(reading, catalog, tmp_path, text=column))
    rows = read_captioned(catalog, column)
    positions, features = catalog_features(reading, catalog, where="split = 'test'", progress=False)
    features = features[np.searchsorted(positions, rows.positions)].astype(float)
    images = features @ reading.projection.weight.detach().double().numpy().T
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    scores = images @ reading.embed_texts(rows.texts).astype(float).T
    truth = np.zeros(scores.shape, bool)
    truth[rows.image_of_pair, rows.text_of_pair] = True
    results = {one.metric: one for one in scored.results}
    assert len(results) == 6
    for places in (1, 5, 10):
        by_image = [truth[row, np.argsort(-scores[row])[:places]].any() for row in range(len(scores))]
        by_text = [truth[np.argsort(-scores[:, one])[:places], one].any() for one in rows.text_of_pair]
        assert results[f"text_retrieval_recall@{places}"].value == pytest.approx(np.mean(by_image))
        assert results[f"image_retrieval_recall@{places}"].value == pytest.approx(np.mean(by_text))
        for side in ("text", "image"):
            one = results[f"{side}_retrieval_recall@{places}"]
            assert one.ci_low <= one.value <= one.ci_high
            assert one.baseline >= -1e-9 + places / one.details["answers"]
            assert (one.task, one.n_test, one.n_labels) == ("retrieval", one.details["queries"], 0)


def test_the_predictions_first_hits_are_recall_at_one(reading, catalog, tmp_path):
    scored = retrieval(subject(reading, catalog, tmp_path, text="several"))
    for side in ("image", "text"):
        rows = [one for one in scored.predictions.to_pylist() if one["task"] == f"{side}_retrieval"]
        recall = next(one for one in scored.results if one.metric == f"{side}_retrieval_recall@1")
        assert np.mean([one["label"] == one["prediction"] for one in rows]) == pytest.approx(recall.value)
        assert len({one["id"] for one in rows}) == len(rows) == recall.n_test
        known = set(read_captioned(catalog, "several").ids)
        assert {one["prediction"] for one in rows} <= known
        assert {one["id"].split("#")[0] for one in rows} <= known


def test_what_cannot_be_retrieved_is_named(reading, plain, catalog, tmp_path):
    with pytest.raises(UsageError, match="made: reads no text, so the task retrieval does not apply"):
        retrieval(subject(plain, catalog, tmp_path))
    with pytest.raises(UsageError, match="only features were given"):
        retrieval(subject(None, catalog, tmp_path))
    with pytest.raises(UsageError, match="no column 'captoin' to take texts from; did you mean 'caption'"):
        retrieval(subject(reading, catalog, tmp_path, text="captoin"))
    with pytest.raises(DataError, match="column 'number' holds int64"):
        retrieval(subject(reading, catalog, tmp_path, text="number"))


def test_labels_become_a_matrix_split_by_split_and_rare_ones_are_dropped(catalog):
    rows = read_multilabel(catalog, "keywords")
    assert rows.class_names == ("blue", "green", "red", "warm")
    assert rows.unlabelled == 3
    assert rows.classes_dropped == 2, "'none' and 'rare'"
    by_id = {
        one["id"]: one for one in pa.Table.from_batches(list(catalog.scan(["id", "keywords"]))).to_pylist()
    }
    for some in (rows.train, rows.val, rows.test):
        assert some.ids.tolist() == sorted(some.ids)
        for identity, truth in zip(some.ids, some.truth, strict=True):
            expected = set(by_id[identity]["keywords"]) & set(rows.class_names)
            assert {rows.class_names[one] for one in np.flatnonzero(truth)} == expected
    assert sum(map(len, (rows.train, rows.val, rows.test))) == ROWS - 3
    assert not rows.train.truth.all(axis=1).any() and (rows.train.truth.sum(axis=1) == 0).any()


def test_strings_with_a_separator_give_the_same_labels(catalog):
    lists, strings = read_multilabel(catalog, "keywords"), read_multilabel(catalog, "joined", separator=";")
    assert strings.class_names == lists.class_names
    np.testing.assert_array_equal(strings.test.truth, lists.test.truth)
    with pytest.raises(UsageError, match="column 'joined' holds strings; say what stands between"):
        read_multilabel(catalog, "joined")


def test_labels_that_cannot_be_learnt_are_named(catalog):
    with pytest.raises(UsageError, match="no column 'keyword' to take several labels from; did you mean"):
        read_multilabel(catalog, "keyword")
    with pytest.raises(DataError, match="column 'number' holds int64; choose another"):
        read_multilabel(catalog, "number")
    with pytest.raises(DataError, match=r"no label in 'several' has 40 train rows .*most train rows: 'a "):
        read_multilabel(catalog, "several", least_train=40)


def test_colours_are_ranked_better_than_by_chance_and_the_mean_is_scikit_learns(
    plain, catalog, tmp_path, monkeypatch
):
    seen = []
    real = multilabel.__globals__["average_precisions"]
    monkeypatch.setitem(
        multilabel.__globals__,
        "average_precisions",
        lambda *arguments, **settings: seen.append(arguments) or real(*arguments, **settings),
    )
    scored = multilabel(subject(plain, catalog, tmp_path))
    ((probabilities, truth, _),) = seen
    results = {one.metric: one for one in scored.results}
    for average in ("macro", "micro"):
        one = results[{"macro": "mean", "micro": "micro"}[average] + "_average_precision"]
        assert one.value == pytest.approx(average_precision_score(truth, probabilities, average=average))
        assert one.baseline == pytest.approx(truth.mean())
        assert one.ci_low <= one.value <= one.ci_high and one.baseline < one.value
        assert (one.n_test, one.n_labels, one.details["classes"]) == (len(truth), None, 4)
        assert one.details["converged"]
    assert scored.predictions.num_rows == 0
    assert isinstance(real(probabilities, truth, np.arange(len(truth)), resamples=5).macro, Interval)
