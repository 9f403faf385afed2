"""Transfer Init: which words a label's row is made of, and the rows by hand in float64."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from synsight.errors import ConfigError, ModelError
from synsight.language.vocabulary import SCHEMA, Vocabulary
from synsight.language.wordnet import NounTable, key_of
from synsight.models import Model, ModelConfig
from synsight.models.transfer_init import TransferInit, transfer_init

TABLE = NounTable.load()
WORDS = ("dog", "canine", "kitchen", "restaurant", "oak", "poodle")
D = 3
CANINE = 2083346
"""The animal; the first sense is a tooth."""


def synset(word):
    return CANINE if word == "canine" else TABLE.nouns[word].senses[0]


def model(words=WORDS, *, keys=None, head=True):
    """A model whose row for word i is (i, i^2, 1) and whose bias is -i - 1."""
    keys = keys or [key_of(synset(word)) for word in words]
    table = pa.table([list(range(len(keys))), keys, list(words or keys), [9] * len(keys)], schema=SCHEMA)
    layer = nn.Linear(D, len(keys))
    with torch.no_grad():
        numbers = torch.arange(len(keys)).float()
        layer.weight.copy_(torch.stack([numbers, numbers**2, torch.ones_like(numbers)], dim=1))
        layer.bias.copy_(-numbers - 1)
    config = ModelConfig(
        encoder="made", image_size=8, embedding_dim=D, mean=(0.5,) * 3, std=(0.5,) * 3,
        head="words" if head else None, classes=len(keys) if head else 0,
    )  # fmt: skip
    vocabulary = Vocabulary("synset", table) if head else None
    return Model(nn.Identity(), config, head=layer if head else None, vocabulary=vocabulary, name="made")


def row(*numbers):
    """The mean of some rows and of their biases."""
    rows = np.array([[one, one**2, 1, -one - 1] for one in numbers], np.float64)
    return rows.mean(axis=0)


def rows_of(init: TransferInit):
    return np.column_stack([init.weight, init.bias])


def test_a_label_that_is_a_word_takes_its_row_and_bias():
    init = transfer_init(model(), ["Dog", "kitchens", "oaks"])
    np.testing.assert_array_equal(rows_of(init), [row(0), row(2), row(4)])
    assert init.matched == [[("dog", 1.0)], [("kitchen", 1.0)], [("oak", 1.0)]]


def test_parent_and_children_stand_in_for_a_missing_word_and_ties_are_averaged():
    without_dog = ("canine", "kitchen", "poodle", "corgi")
    init = transfer_init(model(without_dog), ["dog", "kitchen"])
    np.testing.assert_allclose(rows_of(init), [row(0, 2, 3), row(1)], rtol=1e-12)
    assert init.matched[0] == [("canine", 0.5), ("poodle", 0.5), ("corgi", 0.5)]


def test_several_synsets_are_averaged_each_with_the_same_weight():
    words = ("restaurant", "canine", "poodle", "corgi")
    init = transfer_init(model(words), ["restaurant dog", "restaurant kitchen", "kitchen"])
    by_hand = (row(0) + row(1, 2, 3)) / 2
    np.testing.assert_allclose(rows_of(init)[0], by_hand, rtol=1e-12)
    np.testing.assert_array_equal(rows_of(init)[1], row(0))  # nothing is near a kitchen here
    assert init.matched[1] == [("restaurant", 1.0)] and init.matched[2] == []


def test_a_label_without_a_word_gets_a_small_random_row_and_the_mean_bias():
    names = ["dog", "archaeological excavation", "oak", "qwertz"]
    init = transfer_init(model(), names, seed=1)
    assert [len(found) for found in init.matched] == [1, 0, 1, 0]
    assert init.bias[1] == init.bias[3] == (-1 - 5) / 2
    assert 0 < np.abs(init.weight[[1, 3]]).max() < 0.1
    again, other = (transfer_init(model(), names, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(init.weight, again.weight)
    assert (init.weight[1] != other.weight[1]).all()
    nothing = transfer_init(model(), ["qwertz", "asdf"])
    assert not nothing.bias.any()


def test_the_least_similarity_decides_who_may_stand_in():
    names = ["puppy"]  # child of dog, grandchild of canine and of domestic animal
    assert transfer_init(model(("canine", "oak")), names).matched == [[]]
    far = transfer_init(model(("canine", "oak")), names, least_similarity=1 / 3).matched
    assert far == [[("canine", pytest.approx(1 / 3))]]
    assert transfer_init(model(("dog", "oak")), names, least_similarity=1.0).matched == [[]]


def test_a_label_is_a_noun_even_where_a_caption_would_not_say_so():
    assert transfer_init(model(("orange", "dog")), ["Orange"]).matched == [[("orange", 1.0)]]


def test_a_phrase_that_no_word_is_near_is_read_word_by_word():
    init = transfer_init(model(("animal", "nature", "dog")), ["animals-nature", "nature dog"])
    assert init.matched == [[("animal", 1.0), ("nature", 1.0)], [("dog", 1.0), ("nature", 1.0)]]


def test_features_are_used_as_they_are():
    features = np.random.default_rng(0).normal(size=(5, D)).astype(np.float32)
    init = transfer_init(model(), ["oak", "dog", "kitchen"])
    head = model().head
    with torch.inference_mode():
        scores = head(torch.from_numpy(features))[:, [4, 0, 2]]
    np.testing.assert_allclose(init.probabilities(features), scores.softmax(dim=1).numpy(), rtol=1e-5)


def test_over_sub_words_the_rows_of_the_name_are_averaged():
    ids = {"a": [320], "spotted dog": [7, 9, 7, 320], "unknown": [5]}
    sub_words = model(("spot", "dog", "a"), keys=["bpe:7", "bpe:9", "bpe:320"])
    init = transfer_init(sub_words, ["spotted dog", "a", "unknown"], tokenise=ids.__getitem__)
    np.testing.assert_allclose(rows_of(init)[:2], [row(0, 1, 2), row(2)], rtol=1e-12)
    assert init.matched == [[("spot", 1.0), ("dog", 1.0), ("a", 1.0)], [("a", 1.0)], []]


def test_sub_words_are_clips_unless_told_otherwise():
    tokeniser = pytest.importorskip("open_clip.tokenizer").SimpleTokenizer()
    dog, others = tokeniser.encode("dog"), tokeniser.encode("golden retriever")
    assert len(dog) == 1
    keys = [f"bpe:{one}" for one in [*dog, *others]]
    init = transfer_init(model([f"piece {one}" for one in keys], keys=keys), ["Golden retriever", "dog"])
    np.testing.assert_allclose(rows_of(init), [row(*range(1, len(keys))), row(0)], rtol=1e-12)


def test_a_model_without_words_is_one_sentence():
    with pytest.raises(ModelError, match="made: Transfer Init needs a model with a head over words"):
        transfer_init(model(head=False), ["dog"])
    with pytest.raises(ConfigError, match=r"least path similarity must lie in \(0, 1\]"):
        transfer_init(model(), ["dog"], least_similarity=2)
