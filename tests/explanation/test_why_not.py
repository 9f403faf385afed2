import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from explanation.small_explained import LABELS, crooked_model, linear_model, words_model
from models.small_models import picture
from synsight.explanation.affine import in_words
from synsight.explanation.explainer import Explainer
from synsight.explanation.why_not import fewest_changes, nearest_features

small = st.floats(-2, 2, allow_nan=False)


@given(
    weights=st.lists(small, min_size=5, max_size=5),
    logits=st.lists(small, min_size=5, max_size=5),
    bias=st.floats(0, 6),
)
def test_no_smaller_number_of_words_would_do(weights, logits, bias):
    """Against all subsets, by brute force."""
    w, z = np.array(weights), np.array(logits)
    low, high = np.full(5, -2.0), np.full(5, 2.0)

    def lead(values):
        return float(w @ values + bias)

    if lead(z) <= 0:
        return
    found = fewest_changes(w, z, lead=lead, low=low, high=high)
    gains = w * (z - np.where(w > 0, low, high))
    needed = [
        bin(mask).count("1")
        for mask in range(32)
        if lead(z) - sum(gains[bit] for bit in range(5) if mask >> bit & 1) < -1e-9
    ]
    if needed:
        assert len(found.words) == min(needed)
        assert found.verified
        turned = z.copy()
        turned[found.words] = found.after
        assert lead(turned) < 0
        assert (turned >= low - 1e-12).all() and (turned <= high + 1e-12).all()
    elif lead(z) - gains.sum() > 1e-9:
        assert len(found.words) == 0 and not found.verified


def test_the_last_word_changes_only_as_far_as_needed():
    """By hand: the lead is 2 a + b + 1 = 4 at a = b = 1. b may fall by 6, a takes off 4 at most; b alone
    turns the answer below -3, and by a thousandth of the lead."""
    w, z = np.array([2.0, 1.0]), np.array([1.0, 1.0])
    found = fewest_changes(
        w, z, lead=lambda v: float(w @ v + 1), low=np.array([-1.0, -5]), high=np.array([1.0, 1])
    )
    assert found.words.tolist() == [1]
    assert found.after[0] == pytest.approx(-3.004, abs=1e-6)


def test_asking_the_words_head_with_the_changed_words_gives_the_other_class():
    model = words_model()
    explainer = Explainer(model)
    turned = 0
    for number in range(8):
        record = explainer.explain(picture(number), heat=False)
        changes = record.why_not.changes
        if not changes:
            continue
        turned += 1
        row = model.features(model.pixels([picture(number)]))
        logits = model.word_logits(row)[0].double().numpy().copy()
        for one in changes:
            logits[model.vocabulary.keys.index(one.key)] = one.after
        head = in_words(model)
        scores = head.weight.numpy() @ logits + head.bias.numpy()
        assert record.why_not.verified
        assert explainer.model.class_names[int(scores.argmax())] == record.why_not.instead
        assert record.why_not.instead in record.why_not.sentence
    assert turned > 0


@pytest.mark.parametrize("build", [linear_model, crooked_model], ids=["linear", "crooked"])
def test_heads_on_features_are_asked_again_with_features_that_show_the_changed_words(build, catalog):
    model = build()
    explainer = Explainer(model, catalog)
    found = [explainer.explain(picture(number), heat=False).why_not for number in range(8)]
    assert not any(one.exact for one in found)
    assert all(one.verified == bool(one.changes) for one in found)


def test_the_nearest_features_have_the_words_asked_for_and_move_no_further():
    random = np.random.default_rng(0)
    words, features = random.normal(size=(3, 8)), random.normal(size=8)
    root = random.normal(size=(8, 8))
    covariance = root @ root.T + np.eye(8)
    moves = np.array([0.5, -1.0, 2.0])
    found = nearest_features(features, words, moves, covariance=covariance)
    assert_allclose(words @ (found - features), moves, atol=1e-9)
    other = found - features + (np.eye(8) - np.linalg.pinv(words) @ words) @ random.normal(size=8) * 0.1
    precision = np.linalg.inv(covariance)
    step = found - features
    assert step @ precision @ step < other @ precision @ other


def test_where_no_word_can_turn_it_the_sentence_says_so():
    model = words_model()
    with torch.no_grad():
        model.head.layers.of[2].map.weight.zero_()
        model.head.layers.of[2].map.bias.copy_(torch.tensor([3.0, 1.0, 0.0]))
    found = Explainer(model).explain(picture(0), heat=False).why_not
    assert (found.instead, list(found.changes), found.margin) == ("green", [], 2.0)
    assert found.sentence.startswith("Nothing short of more than 8 words")
    japanese = Explainer(model).explain(picture(0), heat=False, locale="ja").why_not.sentence
    assert japanese.endswith("判定は「green」になりません。")


def several_of(model, shift):
    """The same head, of which several labels may hold; its scores are shifted."""
    with torch.no_grad():
        layer = model.head.layers.of[2].map if hasattr(model.head, "layers") else model.head
        layer.bias += torch.tensor(shift)
    return model.adapted(model.head, LABELS, method="x", label_scores="sigmoid")


@pytest.mark.parametrize("build", [words_model, linear_model], ids=["words", "linear"])
def test_of_several_labels_it_asks_for_the_likeliest_that_is_not_given(build):
    model = several_of(build(), [3.0, -1.0, -4.0])
    explainer = Explainer(model)
    turned = 0
    for number in range(6):
        record = explainer.explain(picture(number), heat=False)
        chances = model.predict([picture(number)])[0]
        given = [name for name, chance in zip(LABELS, chances, strict=True) if chance >= 0.5]
        assert sorted(record.answers) == sorted(given)
        missing = [one for one in np.argsort(-chances) if chances[one] < 0.5]
        assert record.why_not.instead == LABELS[missing[0]]
        assert record.why_not.margin == pytest.approx(
            -np.log(chances[missing[0]] / (1 - chances[missing[0]])), rel=1e-3
        )
        assert record.why_not.verified == bool(record.why_not.changes)
        if record.why_not.changes:
            turned += 1
            sentence = record.why_not.sentence
            assert record.why_not.also and sentence.startswith(
                f"It would have given {record.why_not.instead} as well"
            )
    assert turned > 0


def test_where_all_labels_are_given_none_is_missing():
    model = several_of(linear_model(), [30.0, 30.0, 30.0])
    record = Explainer(model).explain(picture(0), heat=False)
    assert (len(record.answers), record.why_not) == (3, None)


def test_where_no_label_is_given_the_likeliest_would_stand_alone():
    model = several_of(words_model(), [-3.0, -3.0, -3.0])
    record = Explainer(model).explain(picture(0), heat=False, label=[])
    assert (list(record.answers), record.right, record.why_not.also) == ([], True, False)
    assert record.why_not.instead == record.prediction


def test_several_true_labels_are_compared_as_a_set():
    model = several_of(linear_model(), [30.0, 30.0, -30.0])
    explainer = Explainer(model)
    found = [
        explainer.explain(picture(0), heat=False, label=one).right
        for one in (["green", "red"], ["red"], None)
    ]
    assert found == [True, False, None]
