import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from explanation.small_explained import linear_model, worded_catalog, words_model
from models.small_models import picture, small_model
from synsight.errors import ModelError, ShapeError, UsageError
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


def drawn(rows, words=6, *, seed=0):
    """Logits of the truth, and which captions have which word."""
    random = np.random.default_rng(seed)
    truth = random.normal(-2, 2, size=(rows, words))
    return truth, random.random(truth.shape) < expit(truth)


def test_calibration_undoes_a_known_distortion():
    truth, present = drawn(4000)
    distorted = 3 * truth + 4
    found = fit_calibration(distorted, present)
    likely = np.abs(truth + 2) < 4
    assert_allclose(found.probabilities(distorted)[likely], expit(truth)[likely], atol=0.08)
    raw = expected_calibration_error(expit(distorted).ravel(), present.ravel())
    calibrated = expected_calibration_error(found.probabilities(distorted).ravel(), present.ravel())
    assert raw > 0.15 and calibrated < 0.01


def test_calibration_undoes_a_distortion_that_no_line_undoes():
    """Scores hardly rise any more from where a word is likely, so a line through all pairs misses those."""
    truth, present = drawn(4000, seed=1)
    bent = np.where(truth > -1, -1 + (truth + 1) / 4, truth)
    found = fit_calibration(bent, present).probabilities(bent)
    named = bent.argmax(axis=1)
    rows = np.arange(len(bent))
    error = expected_calibration_error(found[rows, named], present[rows, named])
    raw = expected_calibration_error(expit(bent)[rows, named], present[rows, named])
    assert raw > 0.2 and error < 0.03


def test_the_curve_is_scikit_learns_isotonic_regression_where_images_are_many():
    from sklearn.isotonic import IsotonicRegression

    truth, present = drawn(6000, seed=2)
    found = fit_calibration(truth, present)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(truth.ravel(), present.ravel())
    places = np.linspace(-6, 2, 50)
    assert np.abs(found.probabilities(places) - theirs.predict(places)).mean() < 0.01


@given(st.integers(0, 1000), st.integers(5, 60))
def test_calibration_keeps_the_order_of_the_words(seed, rows):
    truth, present = drawn(rows, words=3, seed=seed)
    present[0, 0] = True
    found = fit_calibration(truth, present)
    assert (np.diff(found.probabilities(np.linspace(-9, 5, 200))) >= 0).all()
    assert (np.diff(found.logits) > 0).all() and (np.diff(found.log_odds) > 0).all()


def test_few_images_leave_scores_near_the_models_own():
    truth, present = drawn(12, words=3, seed=4)
    present[0, 0] = True
    found = fit_calibration(truth, present)
    middle = np.linspace(truth.min(), truth.max(), 20)
    assert np.abs(found.probabilities(middle) - expit(middle)).mean() < 0.2
    assert found.error is None


def test_the_error_is_that_of_named_words_on_groups_left_out():
    truth, present = drawn(1500, words=12, seed=5)
    groups = np.arange(1500) // 3
    error = fit_calibration(2 * truth + 1, present, groups=groups).error
    named = np.argsort(-truth, axis=1)[:, :5]
    said, hits = (np.take_along_axis(one, named, axis=1) for one in (expit(2 * truth + 1), present))
    assert error.before.value == pytest.approx(expected_calibration_error(said.ravel(), hits.ravel()))
    assert error.after.high < error.before.low
    assert "500 groups" in error.after.method


def test_images_of_a_group_are_counted_as_one():
    """Images of a group are alike, so that 4,000 of them say as much as 400: the interval is as wide."""
    truth, _ = drawn(400, seed=6)
    twice = np.repeat(truth, 10, axis=0)
    random = np.random.default_rng(6)
    noise = np.repeat(random.random(truth.shape) < 0.5, 10, axis=0)
    groups = np.repeat(np.arange(400), 10)
    together = fit_calibration(twice, noise, groups=groups).error.after
    apart = fit_calibration(twice, noise).error.after
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_a_word_that_the_catalog_does_not_know_has_no_part_in_it():
    truth, present = drawn(300, words=3, seed=7)
    known = np.array([True, True, False])
    found = fit_calibration(truth, present, known=known)
    present[:, 2] = ~present[:, 2]
    again = fit_calibration(truth, present, known=known)
    assert_allclose(found.log_odds, again.log_odds)


def test_images_without_a_single_word_are_no_calibration():
    with pytest.raises(ShapeError, match="found none"):
        fit_calibration(np.zeros((4, 3)), np.zeros((4, 3), bool))


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
    assert found.calibration.endswith("too few to measure by how much they miss.")
    calibration = known.reference.calibration
    for one in found.words:
        assert one.score == pytest.approx(float(calibration.probabilities(logit(one.raw))), abs=1e-4)
    assert any(abs(one.score - one.raw) > 0.02 for one in found.words)


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
    assert_allclose(ours.log_odds, theirs.log_odds, rtol=1e-3)


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
    assert np.array(value["heat"][0]["values"]).shape == (7, 7)
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
