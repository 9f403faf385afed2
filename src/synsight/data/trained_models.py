"""Which models were trained on a catalog's images: notes that training leaves in the catalog.

    CATALOG/_synsight/models/<16 hex>.json       a model: its folder, and the set of its images
                             <16 hex>.parquet    a set; models of the same images share it

The sets are kept here as well as in the models, so that a purge can still name a model whose folder has
moved.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synsight.data.lineage import now
from synsight.files import read_json, write_json

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog
    from synsight.data.trained_rows import TrainedRows


def note_model(catalog: "Catalog", model: Path, trained: "TrainedRows") -> None:
    """Remember that a model was trained on images of this catalog.

    Args:
        catalog: Where its images were.
        model: Its folder; a later model there takes its place.
        trained: All that it was trained on.

    Raises:
        StorageError: The disk refused.
    """
    folder, where = _folder(catalog), str(Path(model).absolute())
    images = folder / f"{trained.digest}.parquet"
    if not images.exists():
        trained.save(images)
    key = hashlib.blake2b(where.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    shown = where.encode("utf-8", "replace").decode()
    write_json(folder / f"{key}.json", {"model": shown, "images": trained.digest, "noted_at": now()})


def noted_models(catalog: "Catalog") -> list[dict[str, Any]]:
    """What `note_model` wrote, by the models' folders: `model`, `images`, `noted_at`."""
    notes = (read_json(path) for path in _folder(catalog).glob("*.json"))
    return sorted(notes, key=lambda note: str(note["model"]))


def models_trained_on(catalog: "Catalog", hashes: NDArray[np.uint64]) -> dict[str, int]:
    """Folders of the models that were trained on any of these images -> on how many."""
    from synsight.data.trained_rows import TrainedRows  # it reads catalogs, and a purge is part of one

    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    different = np.unique(hashes)
    for note in noted_models(catalog):
        images = str(note["images"])
        if images not in counts:
            trained = TrainedRows.load(_folder(catalog) / f"{images}.parquet")
            counts[images] = int(trained.holds(different).sum())
        if counts[images]:
            found[str(note["model"])] = counts[images]
    return found


def _folder(catalog: "Catalog") -> Path:
    return catalog.work_folder / "models"
