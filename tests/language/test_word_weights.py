"""What classes weigh: hypernyms by their distance, all classes by how rare they are."""

import math

import numpy as np
import pyarrow as pa
import pytest
from captions import make_catalog
from hypothesis import given
from hypothesis import strategies as st

from synsight.data.catalog import Catalog
from synsight.language import find_words, load_vocabulary
from synsight.language.classes import Above, nearest_in_rows, row_values
from synsight.language.similarity import path_similarity

DOG, CARNIVORE = 2084071, 2075296
ROWS = [{"caption": one} for one in ("a dog", "a carnivore and a dog", "cat", "rose", "tulip", "car", "")]


def weights(path) -> list[dict[str, float]]:
    catalog = Catalog.open(path)
    keys = load_vocabulary(catalog).keys
    table = catalog.table(["words_synset", "word_weights_synset"]).to_pylist()
    return [
        dict(zip([keys[one] for one in row["words_synset"]], row["word_weights_synset"], strict=True))
        for row in table
    ]


def test_a_hypernym_weighs_its_path_similarity_to_the_nearest_word(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    find_words(tmp_path / "cat", min_count=1, hypernyms=True)
    found = weights(tmp_path / "cat")
    assert found[0]["wn30:n02084071"] == 1
    assert (
        found[0]["wn30:n02075296"] == pytest.approx(path_similarity(DOG, CARNIVORE)) == pytest.approx(1 / 3)
    )
    assert found[1]["wn30:n02075296"] == 1  # the caption says so itself
    assert found[-1] == {}


def test_weights_of_a_former_run_do_not_outlive_it(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    find_words(tmp_path / "cat", min_count=1, hypernyms=True)
    find_words(tmp_path / "cat", min_count=1)
    assert all(set(row.values()) <= {1} for row in weights(tmp_path / "cat"))


def test_without_hypernyms_there_is_no_column_of_weights(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    find_words(tmp_path / "cat", min_count=1)
    assert "word_weights_synset" not in Catalog.open(tmp_path / "cat").columns


def test_the_vocabulary_has_superclass_idf_over_the_train_rows(tmp_path):
    make_catalog(tmp_path / "cat", [*ROWS, {"caption": "a dog", "split": "test"}])
    find_words(tmp_path / "cat", min_count=1)
    table = load_vocabulary(Catalog.open(tmp_path / "cat")).table.to_pylist()
    dog = next(row for row in table if row["name"] == "dog")
    assert (dog["count"], dog["idf"]) == (2, pytest.approx(math.log(8 / 3)))
    assert all(row["idf"] == pytest.approx(math.log(8 / (row["count"] + 1))) for row in table)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2**31 - 1), st.integers(0, 80)), min_size=0, max_size=30
    )
)
def test_each_value_stands_once_a_row_with_its_fewest_steps(triples):
    rows, values, steps = (np.array([one[n] for one in triples], np.int64) for n in range(3))
    found, bounds, fewest = nearest_in_rows(rows, values, steps, 6)
    expected: dict[tuple[int, int], int] = {}
    for row, value, step in triples:
        expected[row, value] = min(step, 63, expected.get((row, value), 63))
    places = np.repeat(np.arange(6), np.diff(bounds)).tolist()
    pairs = zip(places, found.tolist(), strict=True)
    assert dict(zip(pairs, fewest.tolist(), strict=True)) == expected
    assert list(expected) == [] or sorted(expected) == list(zip(places, found.tolist(), strict=True))


def test_expanding_is_all_ancestors_of_all_words():
    column = pa.array([[DOG], [], [CARNIVORE, DOG]], pa.list_(pa.int32()))
    rows, values, steps = row_values(column, Above().__getitem__)
    for row, words in ((0, [DOG]), (1, []), (2, [CARNIVORE, DOG])):
        expected = {
            above: min(path for word in words if (path := Above()[word].get(above)) is not None)
            for above in {above for word in words for above in Above()[word]}
        }
        ours = rows == row
        assert dict(zip(values[ours].tolist(), steps[ours].tolist(), strict=True)) == expected
