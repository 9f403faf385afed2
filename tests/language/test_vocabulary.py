"""The vocabulary: order, thresholds, readable unique names, and what a damaged file says."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synsight.errors import DataError
from synsight.language.vocabulary import Vocabulary, build_vocabulary, default_min_count
from synsight.language.wordnet import NounTable, key_of, offset_of

TABLE = NounTable.load()
DOG, CAT = 2084071, 2121620
CRANES = [offset for offset in TABLE.nouns["crane"].senses if not TABLE.is_person(offset)]


def test_classes_are_ordered_by_count_and_cut_at_the_threshold():
    vocabulary = build_vocabulary({CAT: 3, DOG: 9, CRANES[0]: 2}, name="synset", min_count=3)
    assert vocabulary.table.to_pylist() == [
        {"class": 0, "key": "wn30:n02084071", "name": "dog", "count": 9},
        {"class": 1, "key": "wn30:n02121620", "name": "cat", "count": 3},
    ]
    assert len(vocabulary) == 2


def test_names_that_are_shared_say_what_they_are_a_kind_of():
    names = build_vocabulary(dict.fromkeys(CRANES, 5), name="synset", min_count=1).names
    assert len(set(names)) == len(CRANES) > 1
    assert {"crane (lifting device)", "crane (wading bird)"} <= set(names)


def test_all_of_wordnet_has_unique_names():
    vocabulary = build_vocabulary(dict.fromkeys(TABLE.offsets.tolist(), 5), name="synset", min_count=1)
    assert len({name.lower() for name in vocabulary.names}) == len(vocabulary) == 82_115


@pytest.mark.parametrize(
    ("rows", "count"), [(100, 5), (18_000, 5), (60_000, 10), (2_900_000, 483), (10**9, 500)]
)
def test_the_default_threshold_is_one_in_6000_between_5_and_500(rows, count):
    assert default_min_count(rows) == count


def test_what_is_saved_is_what_is_loaded(tmp_path):
    vocabulary = build_vocabulary({DOG: 9, CAT: 3}, name="synset", min_count=1)
    vocabulary.save(tmp_path / "v.parquet")
    loaded = Vocabulary.load(tmp_path / "v.parquet")
    assert (loaded.name, loaded.table, loaded.digest) == ("synset", vocabulary.table, vocabulary.digest)


def test_the_digest_depends_on_classes_not_on_names_or_counts():
    one, other = (build_vocabulary({DOG: n, CAT: 3}, name="synset", min_count=1) for n in (9, 8))
    assert one.digest == other.digest
    assert build_vocabulary({DOG: 1, CAT: 3}, name="synset", min_count=1).digest != one.digest


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"class": [0, 2]}, "expected class 1 in row 1, found 2"),
        ({"name": ["dog", "dog"]}, "name 'dog' stands in rows 0 and 1"),
        ({"key": ["wn30:n02084071", "wn31:n02121620"]}, "other WordNet versions do not fit"),
        ({"key": ["wn30:n02084071", None]}, "column 'key' is empty in row 1"),
        ({"count": ["many", "few"]}, "expected column 'count' as int64, found string"),
    ],
)
def test_a_damaged_file_says_what_is_wrong_where(tmp_path, change, sentence):
    columns = {**build_vocabulary({DOG: 9, CAT: 3}, name="synset", min_count=1).table.to_pydict(), **change}
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    with pytest.raises(DataError) as raised:
        Vocabulary.load(tmp_path / "v.parquet")
    assert sentence in str(raised.value)
    assert "v.parquet" in str(raised.value)


def test_a_missing_file_a_foreign_file_and_a_missing_column_are_one_sentence_each(tmp_path):
    with pytest.raises(DataError, match="found nothing; run `synsight words` first"):
        Vocabulary.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("class,key\n")
    with pytest.raises(DataError, match="expected a vocabulary as a Parquet file"):
        Vocabulary.load(tmp_path / "text.parquet")
    pq.write_table(
        pa.table({"class": [0], "key": ["wn30:n02084071"], "count": [1]}), tmp_path / "less.parquet"
    )
    with pytest.raises(DataError, match="expected a column 'name', found class, key, count"):
        Vocabulary.load(tmp_path / "less.parquet")


def test_keys_carry_the_version_and_imagenets_number():
    assert key_of(DOG) == "wn30:n02084071"
    assert offset_of("wn30:n02084071") == DOG
    for wrong in ("n02084071", "wn30:n2084071", "wn30:v02084071", "wn30:n0208407x"):
        with pytest.raises(DataError, match="expected a synset key"):
            offset_of(wrong)
