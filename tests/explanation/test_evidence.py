import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from explanation.small_explained import linear_model, worded_catalog, words_model
from models.small_models import picture, small_model
from synsight.errors import ModelError, UsageError
from synsight.explanation.calibration import fit_calibration
from synsight.explanation.explainer import Explainer
from synsight.explanation.levels import level_of, parse_level
from synsight.explanation.names import japanese_names, word_names
from synsight.explanation.reference import read_reference
from synsight.language.vocabulary import SCHEMA, Vocabulary
from synsight.language.wordnet import NounTable, key_of
from synsight.metrics import expected_calibration_error


def zoo() -> Vocabulary:
    nouns = NounTable.load().nouns
    names = ["dog", "cat", "car", "guitar"]
    keys = [key_of(nouns[name].senses[0]) for name in names]
    columns = [list(range(5)), [*keys, "term:gate valve"], [*names, "gate valve"], [9] * 5]
    return Vocabulary("synset", pa.table(columns, schema=SCHEMA))


def test_calibration_undoes_a_known_distortion():
    random = np.random.default_rng(0)
    truth = random.normal(-2, 2, size=(4000, 6))
    present = random.random(truth.shape) < expit(truth)
    distorted = 3 * truth + 4
    found = fit_calibration(distorted, present)
    assert_allclose(found.slope, 1 / 3, rtol=0.1)
    assert_allclose(found.probabilities(distorted), expit(truth), atol=0.05)
    raw = expected_calibration_error(expit(distorted).ravel(), present.ravel())
    calibrated = expected_calibration_error(found.probabilities(distorted).ravel(), present.ravel())
    assert raw > 0.15 and calibrated < 0.01


def test_pooled_calibration_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(1)
    logits = random.normal(size=(500, 3))
    present = random.random(logits.shape) < expit(2 * logits - 1)
    known = np.array([True, True, False])
    found = fit_calibration(logits, present, known=known)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, :2].reshape(-1, 1), present[:, :2].ravel())
    assert found.slope[2] == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert found.offset[2] == pytest.approx(theirs.intercept_[0], rel=1e-3)


def test_a_rare_word_stays_near_the_pooled_pair_and_a_frequent_one_finds_its_own():
    random = np.random.default_rng(2)
    logits = random.normal(size=(3000, 8))
    present = random.random(logits.shape) < expit(2 * logits - 1)
    present[:, 0] = random.random(3000) < expit(2 * logits[:, 0] + 1.5)
    few = present.copy()
    few[:, 1] = False
    few[:2, 1] = True
    found = fit_calibration(logits, few)
    assert found.offset[0] > 1
    assert found.offset[1] < -2
    assert 0.5 < found.slope[1] < 4


def test_without_images_scores_stay_raw():
    found = fit_calibration(np.empty((0, 3)), np.empty((0, 3), bool))
    assert found.rows == 0
    assert_allclose(found.probabilities(np.array([0.5, -1, 2])), expit([0.5, -1, 2]))


def test_words_roll_up_to_what_they_are_kinds_of():
    level = level_of(zoo(), ["animal", "instrumentality"])
    assert dict(zip(level.names, map(list, level.members), strict=True)) == {
        "animal": [0, 1],
        "instrumentation": [2, 3],
        "gate valve": [4],
    }
    probabilities = np.array([0.6, 0.3, 0.1, 0.0, 0.9])
    assert_allclose(level.scores(probabilities), [0.6, 0.1, 0.9])
    assert_allclose(level.scores(probabilities, rollup="noisy-or"), [0.72, 0.1, 0.9])
    assert_allclose(level.sums(np.array([1.0, -0.25, 2, 3, 4])), [0.75, 5, 4])


@given(st.integers(0, 14), st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_contributions_keep_their_sum_at_every_level(depth, values):
    level = level_of(zoo(), depth)
    assert level.sums(np.array(values)).sum() == pytest.approx(sum(values), abs=1e-9)
    scores = np.abs(values) / 5
    assert (level.scores(scores, rollup="noisy-or") >= level.scores(scores) - 1e-12).all()


def test_depth_0_is_entity():
    assert level_of(zoo(), 0).names == ["entity", "gate valve"]


def test_a_level_above_no_word_lists_the_near():
    with pytest.raises(UsageError, match=r"no word of the model is a kind of 'animl'.*animal"):
        level_of(zoo(), ["animl"])


def test_levels_are_read_from_a_command_line():
    assert [parse_level(one) for one in (None, "words", "6", "animal, food")] == [
        None,
        None,
        6,
        ["animal", "food"],
    ]
    with pytest.raises(UsageError, match="expected a number or nouns"):
        parse_level(",")


def test_japanese_names_stand_before_the_english_ones():
    assert word_names(zoo(), locale="ja")[:2] == ["犬 (dog)", "猫 (cat)"]
    assert word_names(zoo(), locale="ja")[4] == "gate valve"
    nouns = NounTable.load().nouns
    for english, japanese in {"flower": "花", "guitar": "ギター", "train": "列車", "animal": "動物"}.items():
        assert japanese_names()[nouns[english].senses[0]] == japanese


def test_scores_are_raw_without_a_catalog_and_calibrated_with_one(catalog):
    model = words_model()
    image = picture(40)
    raw = Explainer(model).explain(image, heat=False)
    assert all(one.score == one.raw for one in raw.words)
    assert "not calibrated" in raw.calibration
    known = Explainer(model, catalog)
    found = known.explain(image, heat=False)
    assert found.calibration.startswith("Scores of words are calibrated on 10 validation captions of cat")
    calibration = known.reference.calibration
    by_key = {one.key: one for one in found.words}
    for number, key in enumerate(model.vocabulary.keys):
        z = logit(by_key[key].raw)
        assert by_key[key].score == pytest.approx(
            expit(calibration.slope[number] * z + calibration.offset[number]), abs=1e-5
        )


def test_words_of_another_vocabulary_meet_by_their_keys(tmp_path):
    catalog = worded_catalog(tmp_path / "cat")
    model = small_model()
    other = model.vocabulary.table.to_pydict()
    other = {name: values[::-1] if name != "class" else values for name, values in other.items()}
    turned = small_model()
    turned.vocabulary = Vocabulary("synset", pa.table(other, schema=SCHEMA))
    turned.word_head.weight.data = model.word_head.weight.data.flip(0)
    turned.word_head.bias.data = model.word_head.bias.data.flip(0)
    ours, theirs = (read_reference(one, catalog).calibration for one in (model, turned))
    assert_allclose(ours.slope, theirs.slope[::-1], rtol=1e-3)


def test_near_cases_are_the_nearest_by_cosine_with_their_captions(catalog):
    model = linear_model()
    explainer = Explainer(model, catalog, label="kind")
    features = model.embed([picture(41)])[0].astype(np.float64)
    rows = explainer.reference.features.astype(np.float64)
    cosines = rows @ features / np.linalg.norm(rows, axis=1) / np.linalg.norm(features)
    best = explainer.reference.positions[np.argsort(-cosines)[:3]]
    record = explainer.explain(picture(41), heat=False, near=3)
    truth = catalog.take(best, ["id", "kind", "caption"]).to_pylist()
    assert [one.id for one in record.near] == [row["id"] for row in truth]
    assert [one.label for one in record.near] == [row["kind"] for row in truth]
    assert [one.caption for one in record.near] == [row["caption"] or "" for row in truth]
    assert record.near[0].similarity == pytest.approx(np.sort(cosines)[-1], abs=1e-4)
    assert all(row["split"] == "train" for row in catalog.take(best, ["split"]).to_pylist())


def test_an_image_of_the_reference_is_not_its_own_near_case(catalog):
    model = linear_model()
    explainer = Explainer(model, catalog)
    row = catalog.take([0], ["id", "image"]).to_pylist()[0]
    near = explainer.explain(row["image"], heat=False).near
    assert row["id"] not in [one.id for one in near] and len(near) == 4


def test_a_record_is_plain_values():
    record = Explainer(words_model()).explain(picture(1), locale="ja")
    value = record.as_json()
    assert value["locale"] == "ja"
    assert len(value["heat"]) == 4 and value["heat"][0]["picture"].startswith("data:image/webp;base64,")
    assert np.array(value["heat"][0]["values"]).shape == (4, 4)
    assert "犬 (dog)" in [one["name"] for one in value["words"]]


def test_a_model_that_only_embeds_has_near_cases_alone(catalog):
    model = small_model(None)
    with pytest.raises(ModelError, match="knows neither words nor classes"):
        Explainer(model)
    record = Explainer(model, catalog).explain(picture(1))
    assert len(record.near) == 4
    assert (record.prediction, record.words, record.heat, record.why_not) == (None, [], [], None)


def test_a_model_with_words_alone_names_them():
    record = Explainer(small_model()).explain(picture(1), words=2, heat=False)
    assert record.prediction is None and record.contributions is None
    assert len(record.words) == 2
    assert record.words[0].score >= record.words[1].score
