"""Which rows of which catalog version a run saw: written when it begins, checked when it goes on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.trained_rows import hash_of_ids
from synsight.errors import TrainingError
from synsight.training.config import RunConfig
from synsight.training.run_folder import RunFolder

Rows = NDArray[np.int64] | Sequence[int]


def open_data(
    folder: RunFolder, config: RunConfig, rows: Rows | None
) -> tuple[Catalog, NDArray[np.int64] | None, dict[str, Any]]:
    """The catalog at the run's version, the chosen rows, if any were, and what data.json says.

    Raises:
        CatalogError: There is no catalog, or the run's version of it is gone.
        TrainingError: The images have changed since the run began, or other rows are asked for.
    """
    catalog = Catalog.open(config.data)
    chosen = None if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    fingerprint = catalog.fingerprint()
    if not folder.data.exists():
        return catalog, chosen, _write(folder, config, catalog, fingerprint, chosen)
    record = files.read_json(folder.data)
    if record["fingerprint"] != fingerprint:
        raise TrainingError(
            f"{config.data}: the images have changed since the run {folder.path} began (rows added or "
            "deleted), so it cannot go on as it would have; start a new run in another folder."
        )
    begun = np.asarray(files.read_json(folder.rows), dtype=np.int64) if folder.rows.exists() else None
    if chosen is not None and (begun is None or not np.array_equal(begun, chosen)):
        raise TrainingError(
            f"{folder.path}: the run began with other rows than the {len(chosen)} asked for now; resume it "
            "with the same rows, or start a new run in another folder."
        )
    return Catalog.open(config.data, version=record["version"]), begun, record


def _write(
    folder: RunFolder, config: RunConfig, catalog: Catalog, fingerprint: str, rows: NDArray[np.int64] | None
) -> dict[str, Any]:
    trained = catalog.positions(config.where) if rows is None else rows
    if rows is not None:
        files.write_json(folder.rows, rows.tolist())
    record: dict[str, Any] = {
        "catalog": str(catalog.path),
        "name": catalog.name,
        "version": catalog.version,
        "fingerprint": fingerprint,
        "rows": {"all": catalog.count_rows(), "train": len(trained)},
        "ids": hash_of_ids(catalog, trained),
    }
    files.write_json(folder.data, record)
    return record
