import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from explanation.small_explained import crooked_model, linear_model, words_model
from models.small_models import picture
from synsight.explanation.affine import in_features, in_words
from synsight.explanation.contributions import direction, from_words, in_span, sparse_words
from synsight.explanation.explainer import Explainer
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Linear, Relu, Scale, Standardise, Sum


def looked_at(model, number=0):
    return model.features(model.pixels([picture(number)]))[0].clone()


def test_contributions_of_a_words_head_sum_to_the_score():
    model = words_model()
    for number in range(6):
        features = looked_at(model, number)
        logits = model.word_logits(features[None])[0].double().numpy()
        for of in range(3):
            found = from_words(in_words(model), logits, of=of)
            score = float(model.scores(features[None])[0, of])
            assert abs(found.baseline + found.values.sum() - score) < 1e-5
            assert (found.residual, found.said, found.exact) == (0, 1, True)


def test_a_contribution_is_weight_times_the_distance_from_the_average_image():
    """By hand: class 0 has weights (1, -0.5, 0), shifts (0.2, -0.1, 0.4) and scales (3, 2, 5)."""
    model = words_model()
    found = from_words(in_words(model), np.array([1.2, 0.9, 7.0]), of=0)
    assert_allclose(found.values, [3.0, -1.0, 0.0], atol=1e-6)
    assert found.baseline == pytest.approx(0.1)
    assert found.score == pytest.approx(2.1)


def test_the_record_lists_what_sums_to_the_score():
    model = words_model()
    record = Explainer(model).explain(picture(1), heat=False)
    parts = record.contributions
    score = float(model.scores(looked_at(model, 1)[None]).max())
    total = parts.baseline + sum(one.value for one in parts.words) + parts.rest + parts.residual
    assert abs(total - score) < 1e-5
    assert record.prediction == parts.of


@pytest.mark.parametrize("build", [linear_model, crooked_model], ids=["linear", "crooked"])
@pytest.mark.parametrize("with_reference", [False, True])
def test_words_and_residual_sum_to_the_score_of_any_head(build, with_reference, catalog):
    model = build()
    record = Explainer(model, catalog if with_reference else None).explain(picture(2), heat=False)
    parts = record.contributions
    score = float(model.scores(looked_at(model, 2)[None]).max())
    total = parts.baseline + sum(one.value for one in parts.words) + parts.rest + parts.residual
    assert abs(total - score) < 1e-4
    assert parts.exact == (build is linear_model)
    assert 0 < parts.said < 1


def test_a_class_that_is_a_word_is_said_by_that_word_alone():
    model = linear_model()
    with torch.no_grad():
        model.head.weight[1] = 2 * model.word_head.weight[2]
    features = looked_at(model)
    words = model.word_head.weight.detach().double().numpy()
    mean = np.zeros(len(features))
    way = direction(model.head, features, of=1, mean=mean)
    found = in_span(way, features.double().numpy(), words, mean=mean, most=1)
    assert np.flatnonzero(found.values).tolist() == [2]
    assert found.said == pytest.approx(1)
    assert abs(found.residual) < 1e-5


def test_a_class_that_no_word_speaks_of_is_all_residual():
    words = np.eye(3, 8)
    gradient = np.zeros(8)
    gradient[5] = 1
    chosen, _, said = sparse_words(gradient, words, covariance=None)
    assert len(chosen) == 0 and said == 0


def test_the_words_found_are_those_of_orthogonal_matching_pursuit():
    """Parity with scikit-learn, whose columns must have length 1."""
    from sklearn.linear_model import orthogonal_mp

    random = np.random.default_rng(0)
    words = random.normal(size=(40, 16))
    gradient = random.normal(size=16)
    lengths = np.linalg.norm(words, axis=1)
    theirs = orthogonal_mp((words / lengths[:, None]).T, gradient, n_nonzero_coefs=5) / lengths
    chosen, weights, _ = sparse_words(gradient, words, covariance=None, most=5)
    ours = np.zeros(40)
    ours[chosen] = weights
    assert_allclose(ours, theirs, atol=1e-10)


def test_with_a_covariance_the_rest_is_uncorrelated_with_the_chosen_words():
    random = np.random.default_rng(1)
    rows = random.normal(size=(400, 6)) @ random.normal(size=(6, 6))
    covariance = np.cov(rows.T)
    words, gradient = random.normal(size=(10, 6)), random.normal(size=6)
    chosen, weights, said = sparse_words(gradient, words, covariance=covariance, most=2)
    rest = gradient - weights @ words[chosen]
    assert_allclose(words[chosen] @ covariance @ rest, 0, atol=1e-8)
    share = 1 - np.var(rows @ rest) / np.var(rows @ gradient)
    assert said == pytest.approx(share, rel=1e-9)


def test_integrated_gradients_reach_the_score_of_a_crooked_head():
    model = crooked_model()
    features = looked_at(model)
    mean = features.double().numpy() * 0.4 + 0.1
    way = direction(model.head, features, of=0, mean=mean)
    there = way.baseline + way.gradient @ (features.double().numpy() - mean)
    assert there == pytest.approx(way.score, abs=2e-3)
    assert way.score == pytest.approx(float(model.scores(features[None])[0, 0]), abs=1e-5)


def test_heads_of_linear_layers_are_read_off_as_one_matrix():
    torch.manual_seed(0)
    first, second = Linear(5, 4), Linear(5, 4)
    head = FeatureHead(
        Standardise.of(torch.rand(5), torch.rand(5)), Sum(first, second), Scale(0.5), Linear(4, 3)
    )
    found = in_features(head)
    x = torch.randn(7, 5, dtype=torch.float64)
    assert_allclose(
        (x @ found.weight.T + found.bias).numpy(), head(x.float()).detach().double().numpy(), atol=1e-5
    )
    assert in_features(FeatureHead(Linear(5, 4), Relu(), Linear(4, 3))) is None


def test_a_head_on_other_words_is_no_words_head():
    model = words_model()
    with torch.no_grad():
        model.word_head.weight += 0.01
    assert in_words(model) is None
