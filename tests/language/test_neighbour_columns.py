"""Neighbours as columns: among train rows, as stable ids that outlive deletions, in one commit."""

import numpy as np
import pyarrow as pa
import pytest
from captions import COMMIT, SCHEMA, make_catalog, many_captions
from encoders import LetterEncoder

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, UsageError
from synsight.language import embed_captions, find_neighbours, neighbour_columns

GROUPED = pa.schema([*SCHEMA, ("group", pa.string())])
ROWS = [
    {"caption": "a brown dog"},
    {"caption": "A brown  dog"},  # the same after cleaning
    {"caption": "a brown dog and a cat"},
    {"caption": "brown dogs", "group": "kennel"},
    {"caption": "brown dogs!", "group": "kennel"},
    {"caption": "a brown dog", "split": "val"},
    {"caption": None},
    {"caption": "xyz zyx"},
]


def embedded(path, rows=ROWS, *, schema=GROUPED):
    catalog = make_catalog(path, rows, schema=schema)
    embed_captions(catalog, LetterEncoder())
    return catalog


def found(catalog):
    """Positions of each row's neighbours."""
    lists = catalog.table(["neighbours"])["neighbours"].to_pylist()
    return [catalog.positions_of_row_ids(np.array(one, np.int64)).tolist() for one in lists]


def test_neighbours_are_other_captions_of_train_rows_of_other_groups(tmp_path):
    catalog = embedded(tmp_path / "cat")
    summary = find_neighbours(catalog, neighbours=8, similarity_floor=0.5)
    rows = found(catalog)
    assert set(rows[0]) == set(rows[1]) == {2, 3, 4}
    assert set(rows[2]) == {0, 1, 3, 4}
    assert set(rows[3]) == set(rows[4]) == {0, 1, 2}
    assert rows[5] == rows[6] == rows[7] == []
    assert (summary.rows, summary.rows_with_one, summary.recall) == (6, 5, 1.0)
    assert summary.neighbours_per_row == pytest.approx(16 / 6)


def test_the_nearest_is_first_and_the_cosines_are_those_of_the_embeddings(tmp_path):
    catalog = embedded(tmp_path / "cat")
    find_neighbours(catalog, neighbours=3, similarity_floor=None)
    table = catalog.table(["neighbour_similarity", "caption_embedding"])
    vectors = np.array(table["caption_embedding"].to_pylist(), np.float64)
    assert catalog.schema.field("neighbours").type == pa.list_(pa.int64())
    assert catalog.schema.field("neighbour_similarity").type == pa.list_(pa.float32())
    for row, (others, cosines) in enumerate(
        zip(found(catalog), table["neighbour_similarity"].to_pylist(), strict=True)
    ):
        assert cosines == sorted(cosines, reverse=True)
        np.testing.assert_allclose(cosines, vectors[others] @ vectors[row], atol=2e-3)


def test_the_published_setting_excludes_the_row_itself_alone(tmp_path):
    catalog = embedded(tmp_path / "cat")
    summary = find_neighbours(catalog, neighbours=1, exclude=(), similarity_floor=None)
    rows = found(catalog)
    assert (rows[0], rows[1], rows[3], rows[4]) == ([1], [0], [4], [3])
    assert all(len(one) == 1 for one in (*rows[:5], rows[7]))
    assert summary.mean_similarity == pytest.approx(
        np.mean([one[0] for one in catalog.table(["neighbour_similarity"])[0].to_pylist() if one])
    )


def test_without_splits_and_groups_all_rows_are_candidates(tmp_path):
    schema = pa.schema([field for field in SCHEMA if field.name != "split"])
    catalog = embedded(tmp_path / "cat", schema=schema)
    find_neighbours(catalog, neighbours=8, similarity_floor=0.5)
    rows = found(catalog)
    assert set(rows[5]) == {2, 3, 4}
    assert 4 in rows[3]


def test_ids_name_the_same_rows_after_deletion_and_compaction(tmp_path):
    rows = many_captions(200)
    catalog = embedded(tmp_path / "cat", rows)
    find_neighbours(catalog, neighbours=5, exclude=())
    names = catalog.table(["id"])["id"].to_pylist()
    before = {names[row]: [names[other] for other in others] for row, others in enumerate(found(catalog))}
    assert sum(map(len, before.values())) > 300
    catalog.delete("CAST(id AS INT) % 7 = 3", commit=COMMIT)
    for step in ("deleted", "compacted"):
        if step == "compacted":
            catalog.rewrite_deleted()
        left = catalog.table(["id"])["id"].to_pylist()
        for row, others in enumerate(found(catalog)):
            expected = [other if other in left else None for other in before[left[row]]]
            assert [left[other] if other >= 0 else None for other in others] == expected
    assert any(-1 in others for others in found(catalog))


def test_a_finished_call_does_nothing_and_answers_the_same(tmp_path, monkeypatch):
    catalog = embedded(tmp_path / "cat")
    first = find_neighbours(catalog, neighbours=2)
    version = catalog.version
    monkeypatch.setattr(neighbour_columns, "nearest", None)
    assert find_neighbours(Catalog.open(tmp_path / "cat"), neighbours=2) == first
    assert Catalog.open(tmp_path / "cat").version == version


def test_other_settings_other_embeddings_and_fewer_rows_are_searched_anew(tmp_path):
    catalog = embedded(tmp_path / "cat")
    find_neighbours(catalog, neighbours=2)
    versions = {catalog.version}
    find_neighbours(catalog, neighbours=3)
    versions.add(catalog.version)
    embed_captions(catalog, LetterEncoder("other"))
    find_neighbours(catalog, neighbours=3)
    versions.add(catalog.version)
    catalog.delete("id = '2'", commit=COMMIT)
    find_neighbours(catalog, neighbours=3)
    versions.add(catalog.version)
    assert len(versions) == 4
    assert not any(-1 in others for others in found(catalog))


def test_one_commit_names_settings_and_recall(tmp_path):
    catalog = embedded(tmp_path / "cat")
    before = catalog.version
    find_neighbours(catalog, neighbours=2, index="exact")
    assert catalog.version == before + 1
    metadata = catalog.schema.field("neighbours").metadata
    assert b'"encoder": "letters"' in metadata[b"synsight.settings"]
    assert b'"similarity_floor": 0.4' in metadata[b"synsight.settings"]
    assert b'"recall": 1.0' in metadata[b"synsight.summary"]
    assert catalog.versions()[-1].config["exclude"] == ["duplicates", "group"]


def test_vectors_of_one_caption_that_differ_in_the_last_digits_are_ties(tmp_path):
    """Else the rows with one caption would all have the same neighbour among those with the next one."""

    class Unsteady(LetterEncoder):
        def __call__(self, texts, /):
            draw = np.random.default_rng(len(self.calls))
            return super().__call__(texts) * (1 + 0.01 * draw.standard_normal((len(texts), 26)))

    rows = [{"caption": "a brown dog" if n % 2 else "a brown dog runs"} for n in range(300)]
    catalog = make_catalog(tmp_path / "cat", rows)
    embed_captions(catalog, Unsteady())
    find_neighbours(catalog, neighbours=1)
    assert np.bincount(np.concatenate(found(catalog))).max() < 20


def test_embeddings_that_are_missing_are_one_clear_sentence(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    with pytest.raises(DataError, match="name an encoder, as --embed-captions minilm"):
        find_neighbours(catalog, neighbours=2)


def test_no_train_rows_is_one_clear_sentence(tmp_path):
    catalog = embedded(tmp_path / "cat", [{"caption": "dog", "split": "test"}])
    with pytest.raises(DataError, match="no row has split 'train'"):
        find_neighbours(catalog, neighbours=2)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"neighbours": 0}, ConfigError, "neighbours must be >= 1; got 0."),
        ({"similarity_floor": 1.5}, ConfigError, "similarity_floor must be a cosine, from -1 to 1; got 1.5."),
        ({"exclude": ("duplicate",)}, UsageError, "did you mean 'duplicates'?"),
        ({"index": "exakt"}, UsageError, "did you mean 'exact'?"),
    ],
)
def test_a_wrong_argument_is_one_clear_sentence_and_changes_nothing(tmp_path, arguments, error, sentence):
    catalog = embedded(tmp_path / "cat")
    version = catalog.version
    with pytest.raises(error) as raised:
        find_neighbours(catalog, **{"neighbours": 2, **arguments})
    assert sentence in str(raised.value)
    assert Catalog.open(tmp_path / "cat").version == version
