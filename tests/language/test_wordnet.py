"""The packaged noun table is WordNet 3.0: whole, small, and licensed."""

from pathlib import Path

import pytest

from synsight.errors import DataError
from synsight.language.wordnet import FOLDER, NounTable

TABLE = NounTable.load()


def test_the_table_holds_all_nouns_of_wordnet_3_0():
    assert len(TABLE) == 82_115
    assert len(TABLE.nouns) == 117_798


def test_senses_counts_and_hypernyms_are_wordnets():
    dog = TABLE.nouns["dog"]
    assert (dog.senses[0], dog.counts[0], len(dog.senses)) == (2084071, 42, 7)
    assert TABLE.nouns["white"].adjective > sum(TABLE.nouns["white"].counts)
    assert {"canine", "animal", "entity"} <= {TABLE.name(offset) for offset in TABLE.ancestors(2084071)}
    assert TABLE.hypernyms(1740) == []
    assert TABLE.plurals["mice"] == ("mouse",)


def test_a_synset_is_called_by_its_most_frequent_lemma():
    boy = TABLE.nouns["boy"].senses[0]
    assert (TABLE.head(boy), TABLE.name(boy)) == ("male_child", "boy")


def test_an_unknown_offset_is_one_sentence():
    with pytest.raises(DataError, match=r"expected the offset of a noun synset of WordNet 3\.0, found 7"):
        TABLE.name(7)


def test_the_table_is_small_and_its_licence_lies_beside_it():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 4_000_000
    notice = (FOLDER / "LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in notice
    licences = Path(__file__).parents[2] / "LICENSES" / "WordNet-3.0.txt"
    assert licences.read_text() == notice
