"""Path similarity, on chains known by heart, against nltk, and the nearest synsets against a full search."""

import random

import pytest
from released_rule import WORDNET, released_rule

from synsight.errors import ConfigError, DataError
from synsight.language.similarity import NearestSynsets, path_similarity, steps_up
from synsight.language.wordnet import NounTable

TABLE = NounTable.load()
DOG, CAT, CANINE, FELINE, CARNIVORE, ENTITY = 2084071, 2121620, 2083346, 2120997, 2075296, 1740
OFFSETS = TABLE.offsets.tolist()


def test_known_chains():
    assert path_similarity(DOG, DOG) == 1
    assert path_similarity(DOG, CANINE) == path_similarity(CANINE, DOG) == 1 / 2
    assert path_similarity(DOG, CARNIVORE) == path_similarity(CANINE, FELINE) == 1 / 3
    assert path_similarity(DOG, CAT) == 1 / 5  # dog, canine, carnivore, feline, cat
    assert path_similarity(ENTITY, ENTITY) == 1


def test_the_way_up_is_the_shortest_one():
    up = steps_up(DOG, table=TABLE)
    assert set(up) == TABLE.ancestors(DOG) | {DOG}
    assert {DOG: 0, CANINE: 1, CARNIVORE: 2}.items() <= up.items()
    assert up[TABLE.nouns["domestic_animal"].senses[0]] == 1  # a dog is both
    assert steps_up(DOG, table=TABLE, most=1).keys() == {DOG, *TABLE.hypernyms(DOG)}


@pytest.mark.skipif(not (WORDNET / "data.noun").exists(), reason="WordNet's files are not installed")
def test_random_pairs_have_the_similarity_of_nltk():
    released_rule()  # opens WordNet for nltk
    from nltk.corpus import wordnet

    draw = random.Random(0)
    pairs = [(draw.choice(OFFSETS), draw.choice(OFFSETS)) for _ in range(300)]
    pairs += [(one, draw.choice(sorted(TABLE.ancestors(one)))) for one, _ in pairs if one != ENTITY]
    for first, second in pairs:
        theirs = [wordnet.synset_from_pos_and_offset("n", offset) for offset in (first, second)]
        assert path_similarity(first, second) == pytest.approx(theirs[0].path_similarity(theirs[1]))


@pytest.mark.parametrize("least", [1.0, 1 / 2, 1 / 3, 1 / 4, 0.3])
def test_the_nearest_are_those_of_a_full_search(least):
    draw = random.Random(1)
    animals = [offset for offset in OFFSETS if TABLE.lexname(offset) == 5]
    some = draw.sample(animals, 120)
    nearest = NearestSynsets(some, least=least)
    hits = 0
    for offset in draw.sample(animals, 40) + some[:10]:
        similarities = [path_similarity(offset, one) for one in some]
        best = max(similarities)
        expected = [number for number, one in enumerate(similarities) if one == best >= least]
        assert nearest(offset) == [(number, pytest.approx(best)) for number in expected]
        hits += len(expected) > 0
    assert hits >= 10


def test_itself_comes_before_its_family_and_all_that_are_equally_near_are_found():
    poodle, corgi = (TABLE.nouns[name].senses[0] for name in ("poodle", "corgi"))
    assert NearestSynsets([CANINE, DOG, poodle])(DOG) == [(1, 1.0)]
    assert NearestSynsets([corgi, CAT, CANINE, poodle])(DOG) == [(0, 0.5), (2, 0.5), (3, 0.5)]
    assert NearestSynsets([CAT, CARNIVORE])(DOG) == []
    assert NearestSynsets([])(DOG) == []


def test_what_is_no_synset_and_a_threshold_out_of_range_are_one_sentence():
    with pytest.raises(DataError, match=r"expected the offset of a noun synset of WordNet 3\.0, found 7"):
        path_similarity(7, DOG)
    with pytest.raises(DataError, match="found 7"):
        NearestSynsets([DOG])(7)
    with pytest.raises(ConfigError, match=r"must lie in \(0, 1\]; got 0"):
        NearestSynsets([DOG], least=0)
