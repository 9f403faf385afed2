"""Stable row ids: a row keeps its own whatever happens to others, and no other row gets it."""

import numpy as np
from catalogs import COMMIT, SCHEMA, filled, rows, square_column

from synsight.data.catalog import Catalog


def numbers(catalog, positions):
    return catalog.take(positions, ["number"])["number"].to_pylist()


def test_every_row_has_an_id_of_its_own(tmp_path):
    catalog = filled(tmp_path / "cat")
    ids = catalog.row_ids()
    assert ids.dtype == np.int64
    assert len(set(ids.tolist())) == 100
    assert catalog.positions_of_row_ids(ids).tolist() == list(range(100))
    assert catalog.row_ids("number >= 90").tolist() == ids[90:].tolist()


def test_ids_outlive_columns_deletions_compaction_and_appending(tmp_path):
    catalog = filled(tmp_path / "cat")
    ids = catalog.row_ids()
    square_column(catalog.path)
    catalog.refresh()
    assert np.array_equal(catalog.row_ids(), ids)
    catalog.delete("number % 10 = 3", commit=COMMIT)
    kept = [n for n in range(100) if n % 10 != 3]
    assert numbers(catalog, catalog.positions_of_row_ids(ids[kept])) == kept
    catalog.rewrite_deleted()
    assert numbers(catalog, catalog.positions_of_row_ids(ids[kept])) == kept
    new = rows(200, 210).append_column("square", np.zeros(10, np.int64))
    catalog.append(catalog.write_fragment(new), commit=COMMIT)
    assert numbers(catalog, catalog.positions_of_row_ids(ids[kept])) == kept
    assert not set(catalog.row_ids()[-10:].tolist()) & set(ids.tolist())
    catalog.purge("number = 5")
    assert numbers(Catalog.open(catalog.path), Catalog.open(catalog.path).positions_of_row_ids(ids[[7]])) == [
        7
    ]


def test_the_id_of_a_deleted_row_and_one_that_never_was_stand_nowhere(tmp_path):
    catalog = filled(tmp_path / "cat")
    ids = catalog.row_ids()
    catalog.delete("number = 3", commit=COMMIT)
    wanted = np.array([[ids[3], ids[4]], [10**12, -1]])
    assert catalog.positions_of_row_ids(wanted).tolist() == [[-1, 3], [-1, -1]]


def test_an_empty_catalog_has_no_ids(tmp_path):
    catalog = Catalog.create(tmp_path / "cat", SCHEMA, commit=COMMIT)
    assert len(catalog.row_ids()) == 0
    assert catalog.positions_of_row_ids(np.array([0, 1])).tolist() == [-1, -1]
