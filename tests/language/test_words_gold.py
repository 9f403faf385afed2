"""The gold captions and what is counted on them."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from synsight.language.corenet import CorenetMatcher
from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable, offset_of

_PATH = Path(__file__).parents[2] / "benchmarks" / "words_gold.py"
_SPEC = importlib.util.spec_from_file_location("words_gold_benchmark", _PATH)
words_gold = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(words_gold)

TABLE = NounTable.load()
GOLD = words_gold.read_gold()
ROWS = [json.loads(line) for line in words_gold.GOLD.read_text(encoding="utf-8").splitlines()]


def caption(*mentions: set[int], optional: frozenset[int] = frozenset()):
    return words_gold.GoldCaption("1", "emoji", "dev", "", tuple(map(frozenset, mentions)), optional)


def test_the_gold_set_has_200_captions_of_each_source_half_of_them_to_develop_on():
    assert len({row["id"] for row in ROWS}) == len(ROWS) == 600
    assert Counter((row["source"], row["split"]) for row in ROWS) == {
        (source, split): 100 for source in words_gold.SOURCES for split in ("dev", "test")
    }


def test_every_key_of_the_gold_set_is_a_sense_of_its_lemma():
    for row in ROWS:
        for mention in row["mentions"]:
            assert mention["synsets"], row["id"]
            for key, lemma in mention["synsets"].items():
                assert offset_of(key) in TABLE.nouns[lemma].senses, (row["id"], key, lemma)


def test_no_synset_is_both_wanted_and_optional():
    for one in GOLD:
        assert one.optional.isdisjoint(frozenset().union(*one.mentions)), one.id


def test_counts_and_f1_by_hand():
    gold = caption({1, 2}, {3}, {4}, optional=frozenset((9,)))
    assert words_gold.count(gold, {2, 3, 7, 9}) == (2, 1, 1)  # 9 is optional, 7 is wrong, 4 is missed
    precision, recall, f1 = words_gold.scores(np.array((2, 1, 1)))
    assert precision == pytest.approx(2 / 3)
    assert recall == pytest.approx(2 / 3)
    assert f1 == pytest.approx(2 / 3)
    assert words_gold.scores(np.array((3, 1, 2)))[2] == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))


def test_two_synsets_of_one_mention_are_found_once_and_nothing_scores_nothing():
    assert words_gold.count(caption({1, 2}), {1, 2}) == (1, 0, 0)
    assert words_gold.count(caption(), {5}) == (0, 1, 0)
    assert words_gold.scores(np.zeros(3)).tolist() == [0, 0, 0]


def test_resamples_of_equal_captions_have_no_spread():
    spread = words_gold.resampled(np.tile((3, 1, 2), (8, 1)), ["a"] * 3 + ["b"] * 5)
    np.testing.assert_allclose(spread, np.tile(words_gold.scores(np.array((3, 1, 2))), (len(spread), 1)))


@pytest.mark.parametrize("source", words_gold.SOURCES)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_our_rule_is_right_more_often_than_the_released_one(source, split):
    gold = [one for one in GOLD if (one.source, one.split) == (source, split)]
    own, released = (
        words_gold.scores(words_gold.count_all(gold, words_gold.matcher_rule(matcher)).sum(axis=0))[2]
        for matcher in (SynsetMatcher.load(), CorenetMatcher.load())
    )
    assert own > released
