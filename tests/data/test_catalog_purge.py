"""A purge removes bytes for good, and its proof can fail."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogs import COMMIT, SCHEMA, Checking, filled, image_of, ingest_rows, rows, square_column
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.data import byte_search
from synsight.data.byte_search import ByteSearch, byte_samples, search_folder
from synsight.data.catalog import Catalog
from synsight.errors import CatalogError
from synsight.stages import Ledger


def naive_hits(folder, numbers):
    """Images of which any of 8 pieces of 60 bytes lies in any file, found without the product's search."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    found = []
    for number in numbers:
        image = image_of(number)
        pieces = [image[start : start + 60] for start in np.linspace(210, len(image) - 60, 8, dtype=int)]
        if any(piece in content for piece in pieces for content in contents):
            found.append(number)
    return found


def test_bytes_are_there_before_and_gone_after(tmp_path):
    path = tmp_path / "cat"
    ingest_rows(path, 500)
    square_column(path)
    gone = list(range(40, 60))
    assert naive_hits(path, gone) == gone
    catalog = Catalog.open(path)
    proof = catalog.purge("number BETWEEN 40 AND 59")
    assert naive_hits(path, gone) == []
    assert naive_hits(path, [39, 60]) == [39, 60]
    assert (proof.rows, proof.images_sampled, proof.samples, proof.hits) == (20, 20, 160, 0)
    assert proof.versions_removed >= 2
    assert proof.searched_bytes > 400_000
    assert Catalog.open(path).count_rows() == 500 - 5 - 20


def test_images_lie_on_the_disk_byte_for_byte_even_if_they_could_be_packed(tmp_path):
    """Else the search of a purge would look for something that is never there."""
    catalog = Catalog.create(tmp_path / "cat", SCHEMA, commit=COMMIT)
    image = b"BM" + bytes(n // 40 % 256 for n in range(9000))
    batch = rows(0, 1).set_column(1, SCHEMA.field("image"), pa.array([image], pa.binary()))
    catalog.append(catalog.write_fragment(batch), commit=COMMIT)
    assert any(image in path.read_bytes() for path in (catalog.path / "data").iterdir())


def test_a_deletion_alone_leaves_the_bytes(tmp_path):
    catalog = filled(tmp_path / "cat")
    catalog.delete("number = 7", commit=COMMIT)
    assert naive_hits(catalog.path, [7]) == [7]
    proof = catalog.purge("number = 7")
    assert (proof.rows, proof.images_sampled) == (0, 1)
    assert naive_hits(catalog.path, [7]) == []


def test_what_a_killed_writer_left_goes_too(tmp_path):
    catalog = filled(tmp_path / "cat")
    catalog.write_fragment(rows(200, 201))
    assert naive_hits(catalog.path, [200]) == [200]
    catalog.purge("number = 7")
    assert naive_hits(catalog.path, [7, 200]) == []


def test_a_copy_kept_in_the_folder_makes_the_proof_fail(tmp_path):
    catalog = filled(tmp_path / "cat")
    (catalog.path / "_synsight").mkdir(exist_ok=True)
    copy = catalog.path / "_synsight" / "thumbnail.bin"
    copy.write_bytes(b"x" * 13 + image_of(7)[300:])
    with pytest.raises(CatalogError, match=r"thumbnail\.bin: still holds bytes of purged images"):
        catalog.purge("number = 7")
    copy.unlink()
    assert catalog.purge("number = 7").hits == 0


def test_a_copy_in_a_row_that_stays_is_counted_apart(tmp_path):
    catalog = filled(tmp_path / "cat", 20)
    copy = rows(7, 8).set_column(3, catalog.schema.field("number"), rows(100, 101).column("number"))
    catalog.append(catalog.write_fragment(copy), commit=COMMIT)
    proof = catalog.purge("number = 7")
    assert (proof.rows, proof.shared_samples, proof.hits) == (1, 8, 0)


def test_a_tag_on_a_version_refuses_the_purge_by_name(tmp_path):
    catalog = filled(tmp_path / "cat")
    catalog.tag("paper")
    version = catalog.version
    with pytest.raises(
        CatalogError, match=rf"the tag 'paper' holds version {version}; drop it with .*drop_tag"
    ):
        catalog.purge("number = 7")
    assert catalog.count_rows() == 100
    catalog.drop_tag("paper")
    assert catalog.purge("number = 7").rows == 1


def test_former_versions_keep_their_records_but_do_not_open(tmp_path):
    catalog = filled(tmp_path / "cat")
    before = catalog.versions()
    catalog.purge("number = 7")
    versions = catalog.versions()
    assert versions[: len(before)] == before
    assert versions[len(before)].verb == "purge"
    assert versions[len(before)].config == {"where": "number = 7"}
    with pytest.raises(CatalogError, match=f"expected version {before[-1].version} of a catalog"):
        Catalog.open(catalog.path, version=before[-1].version)


def test_rejects_and_spools_are_struck_too(tmp_path):
    path = tmp_path / "cat"
    ingest_rows(path, 500)
    catalog = Catalog.open(path)
    spool = catalog.work_folder / "work" / "stage"
    spool.mkdir(parents=True)
    (spool / "chunk.arrow").write_bytes(image_of(7))
    catalog.purge("id IN ('id7', 'id113')")
    assert pq.read_table(path / "rejected.parquet")["id"].to_pylist() == ["id13", "id213", "id313", "id413"]
    everything = b"".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    assert b"caption 113" not in everything
    assert b"caption 213" in everything
    assert not spool.exists()


def test_a_purge_while_another_process_works_is_refused(tmp_path):
    catalog = filled(tmp_path / "cat")
    with Ledger(catalog.ledger_path) as ledger, ledger.exclusive():
        for act in (lambda: catalog.purge("number = 7"), lambda: catalog.delete("number = 7", commit=COMMIT)):
            with pytest.raises(CatalogError, match="another process is at work here"):
                act()


def test_an_append_that_the_ledger_missed_is_not_repeated_after_a_purge(tmp_path, monkeypatch):
    path = tmp_path / "cat"
    monkeypatch.setattr(Ledger, "mark_committed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ingest_rows(path, 100)
    monkeypatch.undo()
    catalog = Catalog.open(path)
    assert catalog.count_rows() == 99
    catalog.purge("number < 100")
    stage = Checking()
    ingest_rows(path, 100, stage=stage)
    assert (stage.calls, Catalog.open(path).count_rows()) == (0, 0)


def test_a_purge_of_everything_leaves_an_empty_catalog(tmp_path):
    catalog = filled(tmp_path / "cat", 30)
    assert catalog.purge("number >= 0").rows == 30
    assert Catalog.open(catalog.path).count_rows() == 0
    assert naive_hits(catalog.path, range(30)) == []


# -- the search -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_search_finds_exactly_what_is_there_at_any_offset(data):
    seed, count = data.draw(st.integers(0, 2**32)), data.draw(st.integers(1, 6))
    generator = np.random.default_rng(seed)
    wanted = [
        generator.integers(0, data.draw(st.sampled_from([2, 256])), 60, dtype=np.uint8).tobytes()
        for _ in range(count)
    ]
    haystack = b""
    for one in wanted:
        if data.draw(st.booleans()):
            haystack += generator.bytes(data.draw(st.integers(0, 70))) + one
    haystack += generator.bytes(data.draw(st.integers(0, 20)))
    assert ByteSearch(wanted).found_in(haystack) == {i for i, one in enumerate(wanted) if one in haystack}


@pytest.mark.parametrize("offset", range(16))
def test_the_search_finds_what_straddles_two_blocks(tmp_path, monkeypatch, offset):
    monkeypatch.setattr(byte_search, "_BLOCK", 128)
    wanted = os.urandom(60)
    for start in range(60, 140, 7):
        (tmp_path / "file").write_bytes(os.urandom(start + offset) + wanted + os.urandom(200))
        assert search_folder(ByteSearch([wanted]), tmp_path)[0] == {0: tmp_path / "file"}


def test_samples_are_eight_of_sixty_bytes_and_skip_the_header():
    image = image_of(3)
    samples = byte_samples(image)
    assert [len(sample) for sample in samples] == [60] * 8
    assert all(sample in image[100:] for sample in samples)
    assert samples[-1] == image[-60:]
    assert byte_samples(b"\xff" * 5000) == []
    assert byte_samples(b"short") == []
