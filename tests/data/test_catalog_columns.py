"""Columns are added beside the images, row by row, and a stage's columns survive interruptions."""

import numpy as np
import pyarrow as pa
import pytest
from catalogs import COMMIT, SCHEMA, Checking, Squaring, filled, ingest_rows, rows, square_column
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.data.catalog import Catalog, Commit
from synsight.errors import CatalogError, ConfigError, DataError
from synsight.stages import ThreadRunner

WORDS = pa.schema([pa.field("words", pa.list_(pa.int32()), metadata={"vocabulary": "synset"})])


@pytest.fixture
def catalog(tmp_path):
    return filled(tmp_path / "cat")


def words_of(catalog, factor=1, cut=7):
    numbers = catalog.table(["number"])["number"].to_pylist()
    values = pa.array([[factor * n] * (n % 3) for n in numbers], pa.list_(pa.int32()))
    whole = pa.record_batch([values], schema=WORDS)
    return [whole.slice(start, cut) for start in range(0, len(numbers), cut)]


def image_files(catalog):
    """Inode and bytes of each data file that was there from the beginning."""
    return {path: (path.stat().st_ino, path.read_bytes()) for path in (catalog.path / "data").iterdir()}


def assert_aligned(catalog, factor=1):
    table = catalog.table(["number", "words"])
    for number, words in zip(table["number"].to_pylist(), table["words"].to_pylist(), strict=True):
        assert words == [factor * number] * (number % 3)


def test_a_column_is_added_in_one_version_without_touching_other_files(catalog):
    before, version = image_files(catalog), catalog.version
    catalog.add_columns(WORDS, words_of(catalog), commit=Commit(verb="words"))
    after = image_files(catalog)
    assert {path: after[path] for path in before} == before
    assert (catalog.version, catalog.columns[-1]) == (version + 1, "words")
    assert catalog.schema.field("words").metadata == {b"vocabulary": b"synset"}
    assert catalog.schema.field("caption").metadata == {b"from": b"alt"}
    assert_aligned(Catalog.open(catalog.path))


def test_a_column_of_the_same_name_is_replaced_in_one_version(catalog):
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    before, version = image_files(catalog), catalog.version
    catalog.add_columns(WORDS, words_of(catalog, factor=2), commit=COMMIT)
    assert catalog.version == version + 1
    assert {path: image_files(catalog)[path] for path in before} == before
    assert_aligned(catalog, factor=2)
    assert_aligned(Catalog.open(catalog.path, version=version), factor=1)
    assert not list((catalog.path / "_versions").glob("d*.manifest"))


def test_a_replaced_column_may_have_another_type(catalog):
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    text = pa.schema([("words", pa.string()), ("more", pa.float32())])
    batch = pa.record_batch([[f"w{n}" for n in range(100)], np.arange(100, dtype=np.float32)], schema=text)
    catalog.add_columns(text, [batch], commit=COMMIT)
    assert catalog.schema.field("words").type == pa.string()
    assert catalog.table(["words", "more"]).equals(pa.Table.from_batches([batch]))
    assert catalog.columns == [*SCHEMA.names, "words", "more"]


def test_columns_stay_aligned_after_deletions_and_a_purge(catalog):
    catalog.delete("number % 7 = 2", commit=COMMIT)
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    assert_aligned(catalog)
    catalog.purge("number % 7 = 3")
    assert_aligned(catalog)
    catalog.add_columns(WORDS, words_of(catalog, factor=3), commit=COMMIT)
    assert_aligned(catalog, factor=3)


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_batches_may_be_cut_anywhere(tmp_path_factory, cuts):
    catalog = filled(tmp_path_factory.mktemp("cuts") / "cat", 60, fragments=3)
    whole = pa.concat_batches(words_of(catalog))
    batches, start = [], 0
    for cut in [*cuts, 60]:
        batches.append(whole.slice(start, cut))
        start = min(start + cut, 60)
    catalog.add_columns(WORDS, batches, commit=COMMIT)
    assert_aligned(catalog)


@pytest.mark.parametrize("change", ["none", "fewer", "more"])
def test_a_wrong_number_of_rows_changes_nothing(catalog, change):
    batches = words_of(catalog)
    wrong = {"none": [], "fewer": batches[:-1], "more": [*batches, batches[0]]}[change]
    before = catalog.version
    with pytest.raises(DataError, match="new columns need one value for each"):
        catalog.add_columns(WORDS, wrong, commit=COMMIT)
    assert Catalog.open(catalog.path).version == before
    assert "words" not in catalog.columns


def test_what_the_batches_raise_comes_through_unchanged(catalog):
    def batches():
        yield words_of(catalog)[0]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        catalog.add_columns(WORDS, batches(), commit=COMMIT)
    assert Catalog.open(catalog.path).columns == SCHEMA.names


def test_rows_appended_later_have_null_there(catalog):
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    catalog.append(catalog.write_fragment(rows(100, 105)), commit=COMMIT)
    assert catalog.table(["words"], where="number >= 100")["words"].to_pylist() == [None] * 5


def test_vectors_of_half_precision_come_back(catalog):
    vectors = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float16)
    schema = pa.schema([pa.field("features_0a1b", pa.list_(pa.float16(), 8), metadata={"model": "m"})])
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    catalog.add_columns(schema, [pa.record_batch([column], schema=schema)], commit=COMMIT)
    back = catalog.table(["features_0a1b"])["features_0a1b"].combine_chunks().flatten().to_numpy()
    assert (back.reshape(100, 8) == vectors).all()


def test_a_column_added_to_a_version_that_others_changed_is_refused(catalog):
    other = Catalog.open(catalog.path)
    other.append(other.write_fragment(rows(100, 105)), commit=COMMIT)
    with pytest.raises(CatalogError, match="run the same command again"):
        catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    assert Catalog.open(catalog.path).count_rows() == 105
    assert "words" not in Catalog.open(catalog.path).columns


# -- fingerprints -----------------------------------------------------------------------------------


def test_a_fingerprint_is_the_contents_own(tmp_path):
    one = filled(tmp_path / "one", 100, fragments=2)
    other = filled(tmp_path / "other", 100, fragments=5)
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint(["caption", "keywords"]) == other.fingerprint(["caption", "keywords"])
    assert one.fingerprint(["caption"]) != one.fingerprint(["keywords"])
    assert one.fingerprint() == Catalog.open(one.path).fingerprint()


def test_new_columns_leave_the_fingerprint_and_new_or_deleted_rows_change_it(catalog):
    seen = [catalog.fingerprint()]
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    assert catalog.fingerprint() == seen[0]
    catalog.append(catalog.write_fragment(rows(100, 101)), commit=COMMIT)
    seen.append(catalog.fingerprint())
    catalog.delete("number = 3", commit=COMMIT)
    seen.append(catalog.fingerprint())
    catalog.delete("number = 4", commit=COMMIT)
    seen.append(catalog.fingerprint())
    assert len(set(seen)) == 4


def test_rewriting_files_leaves_the_fingerprint(catalog):
    catalog.delete("number < 10", commit=COMMIT)
    before = catalog.fingerprint()
    catalog.purge("number < 10")
    assert catalog.fingerprint() == before


def test_replacing_a_column_changes_its_fingerprint(catalog):
    catalog.add_columns(WORDS, words_of(catalog), commit=COMMIT)
    before = catalog.fingerprint(["words"])
    catalog.add_columns(WORDS, words_of(catalog, factor=2), commit=COMMIT)
    assert catalog.fingerprint(["words"]) != before


def test_a_value_moved_to_another_row_changes_the_fingerprint(tmp_path):
    prints = []
    for name, captions in [("one", ["a", "b"]), ("other", ["b", "a"])]:
        catalog = Catalog.create(tmp_path / name, SCHEMA, commit=COMMIT)
        batch = rows(0, 2).set_column(2, SCHEMA.field("caption"), pa.array(captions))
        catalog.append(catalog.write_fragment(batch), commit=COMMIT)
        prints.append(catalog.fingerprint(["caption"]))
    assert prints[0] != prints[1]


# -- columns by a stage -----------------------------------------------------------------------------


def test_a_stage_makes_a_column_and_a_rerun_does_nothing(catalog):
    stage = Squaring()
    counts = square_column(catalog.path, stage=stage, size=7)
    assert counts is not None
    assert (counts.rows_in, counts.chunks_done, stage.calls) == (100, 15, 15)
    table = Catalog.open(catalog.path).table(["number", "square"])
    assert table["square"].to_pylist() == [n * n for n in table["number"].to_pylist()]
    assert not (catalog.work_folder / "work").exists() or not list((catalog.work_folder / "work").iterdir())
    assert square_column(catalog.path, stage=stage, size=7) is None
    assert stage.calls == 15


def test_changed_rows_or_settings_make_the_stage_run_again(catalog):
    square_column(catalog.path)
    assert square_column(catalog.path, stage=Squaring(version="2")) is not None
    Catalog.open(catalog.path).delete("number = 5", commit=COMMIT)
    assert square_column(catalog.path, stage=Squaring(version="2")) is not None
    table = Catalog.open(catalog.path).table(["number", "square"])
    assert table["square"].to_pylist() == [n * n for n in table["number"].to_pylist()]


def test_a_half_done_column_goes_on_and_refuses_to_be_read_before(catalog):
    class Failing(Squaring):
        def __call__(self, batch):
            if batch.column("number")[0].as_py() >= 60:
                raise ValueError("stop")
            return super().__call__(batch)

    with pytest.raises(DataError, match="rows 60 to 69"):
        square_column(catalog.path, stage=Failing(), size=10)
    source = catalog.source(["number"], rows_per_chunk=10)
    with pytest.raises(DataError, match=r"rows 60 to 69 .* is missing; run the same command again"):
        list(catalog.spool(Squaring(), source).batches())
    counts = square_column(catalog.path, size=10)
    assert counts is not None
    assert (counts.chunks_skipped, counts.chunks_done) == (6, 4)


def test_a_source_with_a_condition_gives_the_matching_rows(catalog):
    source = catalog.source(["number"], where="number % 2 = 1", rows_per_chunk=8)
    numbers = [n for chunk in source.chunks() for n in chunk.read().column("number").to_pylist()]
    assert numbers == list(range(1, 100, 2))
    assert source.rows == 50


def test_a_source_stays_at_its_version(catalog):
    source = catalog.source(["number"], rows_per_chunk=50)
    chunks = list(source.chunks())
    catalog.delete("number < 90", commit=COMMIT)
    assert [chunk.read().num_rows for chunk in chunks] == [50, 50]


def test_a_column_stage_may_not_reject(catalog):
    source = catalog.source(["id", "number"])
    with catalog.ledger() as ledger, pytest.raises(DataError, match="may reject no row"):
        ThreadRunner(workers=1).run(
            Checking(), source, catalog.spool(Checking(), source), ledger=ledger, description="check"
        )


def test_a_chunk_of_no_rows_is_refused(catalog):
    with pytest.raises(ConfigError, match="rows_per_chunk must be >= 1"):
        catalog.source(["number"], rows_per_chunk=0)
    with pytest.raises(CatalogError, match="no column 'numbr'"):
        catalog.source(["numbr"])


def test_one_input_gives_one_content(tmp_path):
    for name in ("one", "other"):
        ingest_rows(tmp_path / name, 300)
        square_column(tmp_path / name)
    one, other = Catalog.open(tmp_path / "one"), Catalog.open(tmp_path / "other")
    assert one.fingerprint(one.columns) == other.fingerprint(other.columns)
    assert one.table(one.columns).equals(other.table(other.columns))


def test_a_column_that_shares_its_file_with_lists_can_be_replaced(tmp_path):
    schema = pa.schema([("id", pa.string()), ("caption", pa.string()), ("keywords", pa.list_(pa.string()))])
    rows = pa.table({"id": ["a", "b"], "caption": ["x", "y"], "keywords": [["k"], []]}, schema=schema)
    commit = Commit(verb="test")
    catalog = Catalog.create(tmp_path / "cat", schema, commit=commit)
    catalog.append(catalog.write_fragment(rows.to_batches()[0]), commit=commit)
    new = pa.record_batch([pa.array(["z", None])], names=["caption"])
    catalog.add_columns(new.schema, [new], commit=commit)
    assert catalog.table(["caption", "keywords"]).to_pydict() == {
        "caption": ["z", None],
        "keywords": [["k"], []],
    }


@settings(max_examples=8, deadline=None)
@given(order=st.lists(st.sampled_from(["vector", "words", "square", "pair"]), min_size=3, max_size=9))
def test_columns_can_be_replaced_in_any_order(tmp_path_factory, order):
    """Each replacement gives the column's fields new numbers; the columns beside it keep theirs."""
    catalog = filled(tmp_path_factory.mktemp("any") / "cat", 12, fragments=2)
    kinds = {
        "vector": pa.list_(pa.float16(), 2),
        "words": pa.list_(pa.int32()),
        "square": pa.int64(),
        "pair": pa.list_(pa.int64()),
    }
    values: dict[str, list[object]] = {}
    for turn, name in enumerate(order):
        # As the two columns of neighbours, "pair" comes and goes with another one.
        names = [name, "pair too"] if name == "pair" else [name]
        for one in names:
            row = turn if name == "square" else [turn, turn]
            values[one] = [row] * 12
        schema = pa.schema([(one, kinds[name]) for one in names])
        batch = pa.record_batch([pa.array(values[one], kinds[name]) for one in names], schema=schema)
        catalog.add_columns(schema, [batch], commit=COMMIT)
        for opened in (catalog, Catalog.open(catalog.path)):
            table = opened.table([*values, "number"])
            assert table["number"].to_pylist() == list(range(12))
            assert {one: table[one].to_pylist() for one in values} == values
