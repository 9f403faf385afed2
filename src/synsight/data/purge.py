"""Deleting people's data for good, and the proof that it is gone."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synsight.data.append_sink import read_ipc, read_parquet, write_ipc
from synsight.data.byte_search import ByteSearch, byte_samples, found_in_values, search_folder
from synsight.data.lineage import Commit
from synsight.data.trained_models import models_trained_on, noted_models
from synsight.errors import CatalogError
from synsight.files import remove, replacing

if TYPE_CHECKING:
    from synsight.data.catalog import Catalog

MOST_IMAGES_SAMPLED = 1_000
"""A bound on the search; up to so many purged images are looked for, the first ones."""


@dataclass(frozen=True, kw_only=True)
class PurgeProof:
    """What a purge removed, and what was looked for afterwards in every file of the catalog's folder."""

    rows: int
    """Rows that left the newest version."""
    versions_removed: int
    images_sampled: int
    samples: int
    """Byte strings looked for: up to 8 of 60 bytes for each image sampled."""
    shared_samples: int
    """Those of them that rows which stay hold too (copies, like beginnings): they prove nothing."""
    searched_bytes: int
    hits: int
    """Samples found that no remaining row accounts for; 0, or the purge has raised."""
    trained_models: Mapping[str, int] = field(default_factory=dict)
    """Folder of each model that was trained on purged images -> on how many; their weights stay as they
    are."""


def purge_rows(catalog: "Catalog", where: str) -> PurgeProof:
    """See `Catalog.purge`."""
    catalog.count_rows(where)
    if tags := catalog.tags():
        tag, version = next(iter(tags.items()))
        raise CatalogError(
            f"{catalog.path}: nothing was purged, since the tag {tag!r} holds version {version}; "
            f"drop it with Catalog.open({str(catalog.path)!r}).drop_tag({tag!r}), then purge again."
        )
    with catalog.alone():
        search = PurgeSearch(_images_ever(catalog, where))
        models = _models(catalog, where)
        rows = catalog.delete_alone(where, commit=Commit(verb="purge"))
        catalog.rewrite_deleted()
        removed = catalog.remove_former_versions()
        remove(catalog.local_folder / "work")
        _strike_rejects(catalog, where)
        remaining = catalog.scan(["image"], batch_size=64) if "image" in catalog.columns else iter(())
        folders = dict.fromkeys((catalog.path, catalog.local_folder))
        if catalog.local_folder.is_relative_to(catalog.path):
            del folders[catalog.local_folder]
        proof = search.prove(*folders, remaining=remaining, rows=rows, versions=removed)
        return replace(proof, trained_models=models)


def _models(catalog: "Catalog", where: str) -> dict[str, int]:
    """Models that were trained on what is about to go."""
    if not noted_models(catalog):
        return {}
    hashes = (
        int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "little")
        for image in _images_ever(catalog, where)
    )
    return models_trained_on(catalog, np.fromiter(hashes, np.uint64))


def _images_ever(catalog: "Catalog", where: str) -> Iterator[bytes]:
    """Images of matching rows in any version, each once: a purge also gets at what was deleted before."""
    seen: set[bytes] = set()
    for record in reversed(catalog.versions()):
        try:
            for batch in catalog.at_version(record.version).scan(["image"], where=where, batch_size=64):
                for image in batch.column(0).to_pylist():
                    digest = hashlib.blake2b(image or b"", digest_size=16).digest()
                    if image and digest not in seen:
                        seen.add(digest)
                        yield image
        except CatalogError:
            continue  # a version that is gone, or from before a column of the condition was there


def _strike_rejects(catalog: "Catalog", where: str) -> None:
    """Leave matching rows out of the lists of rejects, and whatever a killed writer left among them."""
    parts = catalog.local_folder / "rejected"
    for litter in parts.glob(".*.tmp"):
        remove(litter)
    for part in sorted(parts.glob("*.arrow")):
        write_ipc(part, catalog.not_matching(read_ipc(part), where))
    path = catalog.path / "rejected.parquet"
    if path.exists():
        table = catalog.not_matching(read_parquet(path), where)
        with replacing(path) as temporary:
            pq.write_table(table, temporary)


class PurgeSearch:
    """Takes samples of images before they are purged, and looks for them afterwards.

    Args:
        images: Bytes of the images that will go; read up to `MOST_IMAGES_SAMPLED`.
    """

    def __init__(self, images: Iterable[bytes]) -> None:
        samples: dict[bytes, None] = {}
        self.images_sampled = 0
        for image in images:
            samples.update(dict.fromkeys(byte_samples(image)))
            self.images_sampled += 1
            if self.images_sampled == MOST_IMAGES_SAMPLED:
                break
        self._samples = list(samples)
        self._search = ByteSearch(self._samples)

    def prove(
        self, *folders: Path, remaining: Iterator[pa.RecordBatch], rows: int, versions: int
    ) -> PurgeProof:
        """Look through folders.

        Args:
            folders: All of them is searched.
            remaining: Images of the rows that stay, as the first column; read only if something is found.
            rows: For the proof.
            versions: For the proof.

        Raises:
            CatalogError: Bytes of a purged image are still there; names a file that holds them.
        """
        found: dict[int, Path] = {}
        size = 0
        for folder in folders:
            here, searched = search_folder(self._search, folder)
            found, size = {**here, **found}, size + searched
        shared: set[int] = set()
        if found:
            for batch in remaining:
                shared |= found_in_values(self._search, batch.column(0).to_pylist())
        hits = {index: path for index, path in found.items() if index not in shared}
        if hits:
            raise CatalogError(
                f"{next(iter(hits.values()))}: still holds bytes of purged images ({len(hits)} of "
                f"{len(self._samples)} samples found); "
                "move the file out of the catalog or delete it, then purge again."
            )
        return PurgeProof(
            rows=rows,
            versions_removed=versions,
            images_sampled=self.images_sampled,
            samples=len(self._samples),
            shared_samples=len(shared),
            searched_bytes=size,
            hits=0,
        )
