"""The catalog against a plain table in memory."""

import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from catalogs import COMMIT, SCHEMA, Checking, filled, image_of, ingest_rows, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import read_table

from synsight.data.append_sink import AppendSink
from synsight.data.catalog import POSITION, Catalog, Commit
from synsight.errors import CatalogError, ConfigError, DataError, Interrupted


@pytest.fixture
def catalog(tmp_path):
    return filled(tmp_path / "cat")


@pytest.fixture(scope="module")
def scarred(tmp_path_factory):
    """A catalog with many fragments, deletions and a replaced column, and the same rows in memory."""
    catalog = filled(tmp_path_factory.mktemp("scarred") / "cat", 200, fragments=7)
    catalog.delete("number % 9 = 4 OR number BETWEEN 60 AND 90", commit=Commit(verb="delete"))
    table = pa.Table.from_batches([rows(0, 200)])
    kept = [n for n in range(200) if not (n % 9 == 4 or 60 <= n <= 90)]
    return catalog, table.take(kept)


def test_rows_come_back_as_they_went_in(catalog):
    assert catalog.table(catalog.columns).equals(pa.Table.from_batches([rows(0, 100)]))
    assert catalog.schema.field("caption").metadata == {b"from": b"alt"}
    assert (catalog.name, len(catalog.columns), catalog.count_rows()) == ("cat", 5, 100)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_take_equals_the_table_in_memory(scarred, data):
    catalog, table = scarred
    positions = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=30))
    columns = data.draw(st.lists(st.sampled_from(table.column_names), unique=True, min_size=1))
    expected = table.take(pa.array(positions, pa.int64())).select(columns)
    assert catalog.take(positions, columns).equals(expected)


@settings(max_examples=40, deadline=None)
@given(modulus=st.integers(1, 12), rest=st.integers(0, 11), size=st.integers(1, 250), data=st.data())
def test_scan_equals_the_table_in_memory(scarred, modulus, rest, size, data):
    catalog, table = scarred
    columns = data.draw(st.lists(st.sampled_from(table.column_names), unique=True, min_size=1))
    where = f"number % {modulus} = {rest}"
    expected = np.flatnonzero(table.column("number").to_numpy() % modulus == rest)
    batches = list(catalog.scan(columns, where=where, batch_size=size, with_positions=True))
    assert all(batch.num_rows <= size for batch in batches)
    found = [position for batch in batches for position in batch.column(POSITION).to_pylist()]
    assert found == expected.tolist() == catalog.positions(where).tolist()
    assert catalog.count_rows(where) == len(expected)
    if batches:
        assert pa.Table.from_batches(batches).select(columns).equals(table.take(expected).select(columns))


def test_positions_of_a_scan_are_what_take_wants(scarred):
    catalog, _ = scarred
    for batch in catalog.scan(["id"], where="caption IS NULL", with_positions=True):
        assert (
            catalog.take(batch.column(POSITION).to_numpy(), ["id"])["id"].to_pylist()
            == batch["id"].to_pylist()
        )


def test_positions_survive_a_purge_as_ordinals(tmp_path):
    catalog = filled(tmp_path / "cat", 100)
    catalog.purge("number % 10 = 3")
    numbers = catalog.table(["number"])["number"].to_pylist()
    assert numbers == [n for n in range(100) if n % 10 != 3]
    assert catalog.take(catalog.positions("number > 42"), ["number"])["number"].to_pylist() == [
        n for n in numbers if n > 42
    ]


def test_a_catalog_without_rows_reads_as_empty(tmp_path):
    catalog = Catalog.create(tmp_path / "cat", SCHEMA, commit=COMMIT)
    assert catalog.table(["id", "image"]).num_rows == 0
    assert catalog.take([], ["id"]).num_rows == 0
    assert catalog.positions("number > 3").tolist() == catalog.positions().tolist() == []
    catalog.add_columns(pa.schema([("w", pa.int32())]), [], commit=COMMIT)
    assert catalog.columns[-1] == "w"
    catalog.append(catalog.write_fragment(rows(0, 3)), commit=COMMIT)
    assert catalog.table(["w"])["w"].to_pylist() == [None] * 3


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["", "numbr > 3", "number >", "number", "number = 'x'", "DROP TABLE t", "1; 2"]
)
def test_a_wrong_condition_is_one_sentence_with_the_columns(catalog, where):
    for ask in (
        lambda: catalog.count_rows(where),
        lambda: list(catalog.scan(["id"], where=where)),
        lambda: catalog.positions(where),
        lambda: catalog.delete(where, commit=COMMIT),
        lambda: catalog.purge(where),
    ):
        with pytest.raises(CatalogError) as caught:
            ask()
        message = str(caught.value)
        assert repr(where) in message
        assert "id, image, caption, number, keywords" in message
        assert "\n" not in message
        assert ".rs:" not in message
    assert catalog.count_rows() == 100


def test_an_unknown_column_names_the_near_one(catalog):
    for ask in (lambda: list(catalog.scan(["captoin"])), lambda: catalog.take([0], ["captoin"])):
        with pytest.raises(
            CatalogError, match=r"no column 'captoin' at version \d+; did you mean 'caption'\?"
        ):
            ask()


@pytest.mark.parametrize("position", [-1, 100, 10**12])
def test_a_position_outside_is_one_sentence(catalog, position):
    with pytest.raises(CatalogError, match=rf"expected positions from 0 to 99, found {position}"):
        catalog.take([0, position], ["id"])


def test_what_is_no_catalog_is_one_sentence(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "half" / "data").mkdir(parents=True)
    (tmp_path / "half" / "_versions").mkdir()
    for name, found in [
        ("none", "nothing"),
        ("folder", "a folder"),
        ("file", "a file"),
        ("half", "a folder"),
    ]:
        with pytest.raises(
            CatalogError, match=rf"{name}: expected a catalog, found {found}.*synsight ingest"
        ):
            Catalog.open(tmp_path / name)


def test_a_url_of_no_store_is_one_sentence():
    with pytest.raises(ConfigError, match=r"expected a folder or a URL that begins with s3://.*found ftp://"):
        Catalog.open("ftp://bucket/cat")


def test_a_version_that_is_not_there_is_one_sentence(catalog):
    with pytest.raises(CatalogError, match="expected version 99 of a catalog"):
        Catalog.open(catalog.path, version=99)


def test_a_torn_manifest_is_one_sentence(catalog):
    for manifest in (catalog.path / "_versions").glob("*.manifest"):
        manifest.write_bytes(manifest.read_bytes()[:20])
    with pytest.raises(CatalogError, match="expected a catalog, found none that opens"):
        Catalog.open(catalog.path)


def test_create_refuses_a_folder_in_use_and_goes_on_in_a_half_made_one(tmp_path, catalog):
    with pytest.raises(CatalogError, match="there is a catalog already"):
        Catalog.create(catalog.path, SCHEMA, commit=COMMIT)
    with pytest.raises(CatalogError, match=r"found 'cat' in it; choose another folder"):
        Catalog.create(tmp_path, SCHEMA, commit=COMMIT)
    (tmp_path / "half" / "data").mkdir(parents=True)
    (tmp_path / "half" / "data" / "left.lance").write_bytes(b"orphan")
    Catalog.create(tmp_path / "half", SCHEMA, commit=COMMIT)
    assert Catalog.open(tmp_path / "half").count_rows() == 0


# -- versions ---------------------------------------------------------------------------------------


def test_versions_tell_verb_settings_package_and_counts(catalog):
    catalog.delete("number < 10", commit=Commit(verb="delete", config={"asked_by": "customer"}))
    catalog.add_columns(
        pa.schema([("w", pa.int32())]),
        [pa.record_batch([pa.array(range(90), pa.int32())], ["w"])],
        commit=Commit(verb="words", config={"min_count": 3}, counts={"captions": 80}),
    )
    versions = Catalog.open(catalog.path).versions()
    assert [one.version for one in versions] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.verb for one in versions] == ["ingest"] * 5 + ["delete", "words"]
    assert [one.rows for one in versions] == [0, 25, 50, 75, 100, 90, 90]
    assert versions[5].config == {"where": "number < 10", "asked_by": "customer"}
    assert versions[5].counts == {"rows": 10}
    assert versions[6].config == {"min_count": 3}
    assert versions[6].counts == {"captions": 80, "rows": 90}
    assert all(one.package_version and one.created_at.startswith("20") for one in versions)


def test_a_former_version_reads_as_it_was(catalog):
    before = catalog.version
    catalog.delete("number < 10", commit=COMMIT)
    former = Catalog.open(catalog.path, version=before)
    assert (former.count_rows(), catalog.count_rows(), former.version) == (100, 90, before)


def test_deleting_nothing_makes_no_version(catalog):
    before = catalog.version
    assert catalog.delete("number > 1000", commit=COMMIT) == 0
    assert catalog.version == before


def test_rows_for_which_the_condition_is_null_stay(catalog):
    assert catalog.delete("caption LIKE 'caption%'", commit=COMMIT) == 80
    assert catalog.table(["caption"])["caption"].to_pylist() == [None] * 20


# -- processes --------------------------------------------------------------------------------------


def count_in_child(catalog, queue):
    try:
        queue.put(catalog.count_rows())
    except CatalogError as error:
        queue.put(str(error))


def ask_child(method, catalog):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=count_in_child, args=(catalog, queue))
    process.start()
    answer = queue.get(timeout=60)
    process.join()
    return answer


def test_a_pickled_catalog_opens_at_its_version(catalog):
    copy = pickle.loads(pickle.dumps(catalog))
    catalog.delete("number < 10", commit=COMMIT)
    assert (copy.count_rows(), catalog.count_rows()) == (100, 90)
    assert "_dataset" not in pickle.loads(pickle.dumps(catalog)).__dict__


def test_a_spawned_process_reads_the_catalog(catalog):
    assert ask_child("spawn", catalog) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:lance is not fork-safe")
def test_a_forked_process_is_refused_and_does_not_hang(catalog):
    assert "start workers with the 'spawn' method" in ask_child("fork", catalog)


# -- appending --------------------------------------------------------------------------------------


def test_a_stage_appends_each_kept_row_once_and_lists_the_rejected(tmp_path):
    counts = ingest_rows(tmp_path / "cat", 1050)
    kept = [n for n in range(1050) if n % 100 != 13]
    assert (counts.rows_in, counts.rows_out, counts.rejected) == (1050, len(kept), 11)
    catalog = Catalog.open(tmp_path / "cat")
    assert catalog.table(["number"])["number"].to_pylist() == kept
    rejected = read_table(tmp_path / "cat" / "rejected.parquet")
    assert rejected["number"].to_pylist() == [n for n in range(1050) if n % 100 == 13]
    assert set(rejected["reject_reason"].to_pylist()) == {"unlucky"}
    assert "image" not in rejected.column_names


def test_rejects_of_all_jobs_are_listed_even_if_one_was_killed_before_its_list(tmp_path, monkeypatch):
    path = tmp_path / "cat"
    ingest_rows(path, 250)
    with monkeypatch.context() as patch:
        patch.setattr(AppendSink, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(Interrupted):
            ingest_rows(path, 350, size=50, stage=Checking(version="2"))
    ingest_rows(path, 350, size=50, stage=Checking(version="2"))
    rejected = read_table(path / "rejected.parquet")
    # Rows 200 to 249 are one chunk of both jobs: the later verdict replaces the former.
    assert sorted(rejected["number"].to_pylist()) == [13, 13, 113, 113, 213, 313]
    before = (path / "rejected.parquet").stat().st_mtime_ns
    ingest_rows(path, 350, size=50, stage=Checking(version="2"))
    assert (path / "rejected.parquet").stat().st_mtime_ns == before


def test_a_finished_append_is_not_done_again_even_after_a_deletion(tmp_path):
    ingest_rows(tmp_path / "cat", 500)
    catalog = Catalog.open(tmp_path / "cat")
    catalog.delete("number < 100", commit=COMMIT)
    catalog.purge("number < 200")
    version, stage = catalog.version, Checking()
    counts = ingest_rows(tmp_path / "cat", 500, stage=stage)
    assert (stage.calls, counts.chunks_skipped) == (0, 5)
    assert Catalog.open(tmp_path / "cat").version == version


def test_appending_the_same_files_again_adds_nothing(catalog):
    fragments = catalog.write_fragment(rows(100, 110))
    for _ in range(3):
        catalog.append(fragments, commit=COMMIT)
    assert catalog.count_rows() == 110


def test_written_rows_are_unseen_until_appended(catalog):
    fragments = catalog.write_fragment(rows(100, 110))
    assert Catalog.open(catalog.path).count_rows() == 100
    catalog.append(fragments, commit=COMMIT)
    assert Catalog.open(catalog.path).count_rows() == 110


def test_two_writers_lose_no_row(catalog):
    one, other = Catalog.open(catalog.path), Catalog.open(catalog.path)
    parts = [(one, one.write_fragment(rows(100, 110))), (other, other.write_fragment(rows(110, 120)))]
    for writer, fragments in parts:
        writer.append(fragments, commit=COMMIT)
    assert sorted(Catalog.open(catalog.path).table(["number"])["number"].to_pylist()) == list(range(120))


def test_strict_raises_at_the_first_reject(tmp_path):
    catalog = Catalog.create(tmp_path / "cat", SCHEMA, commit=COMMIT)
    sink = catalog.appender(commit=COMMIT, strict=True)
    batch = Checking()(rows(10, 20))
    with pytest.raises(DataError, match="1 rows were rejected, the first because of 'unlucky'"):
        sink.write("key", batch.slice(0, 3), batch.slice(3, 1))


def test_the_image_bytes_are_untouched(catalog):
    assert catalog.take([42], ["image"])["image"][0].as_py() == image_of(42)


def test_three_writers_at_once_lose_no_row(catalog):
    def write(writer):
        mine = Catalog.open(catalog.path)
        for turn in range(5):
            start = 1000 * (writer + 1) + 10 * turn
            mine.append(mine.write_fragment(rows(start, start + 10)), commit=COMMIT)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    numbers = Catalog.open(catalog.path).table(["number"])["number"].to_pylist()
    assert sorted(numbers) == [*range(100), *(1000 * w + n for w in (1, 2, 3) for n in range(50))]
