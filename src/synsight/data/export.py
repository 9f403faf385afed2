"""Catalogs in other people's formats: Parquet, WebDataset tars, COCO captions; each names its origin."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from synsight.data.lineage import package_version
from synsight.data.row_stream import POSITION
from synsight.errors import CatalogError, ConfigError
from synsight.files import replacing, write_json

_ROWS_PER_BATCH = 256


class Rows(Protocol):
    """What an export needs of a catalog."""

    @property
    def name(self) -> str:
        """What the export calls its origin."""

    @property
    def version(self) -> int:
        """The version that is read."""

    @property
    def schema(self) -> pa.Schema:
        """All columns."""

    def scan(
        self,
        columns: Sequence[str],
        *,
        where: str | None = None,
        batch_size: int = 1024,
        with_positions: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Rows in order."""


def export_parquet(
    rows: Rows, out: Path, *, columns: Sequence[str] | None = None, where: str | None = None
) -> int:
    """Write rows to one Parquet file, with `OUT.json` beside it that names its origin.

    Args:
        rows: The catalog.
        out: The file; an existing one is replaced.
        columns: Names; None: all.
        where: SQL condition; None: all rows.

    Returns:
        Rows written.

    Raises:
        StorageError: The disk refused; a former file is untouched.
    """
    names = list(columns) if columns is not None else list(rows.schema.names)
    origin = _origin(rows, columns=names, where=where)
    schema = pa.schema([rows.schema.field(name) for name in names], metadata={"synsight": json.dumps(origin)})
    written = 0
    with replacing(out) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in rows.scan(names, where=where, batch_size=_ROWS_PER_BATCH):
            writer.write_batch(batch.replace_schema_metadata(schema.metadata).cast(schema))
            written += batch.num_rows
    write_json(out.with_name(f"{out.name}.json"), {**origin, "rows": written})
    return written


def export_webdataset(
    rows: Rows, out: Path, *, where: str | None = None, rows_per_shard: int = 10_000
) -> list[Path]:
    """Write rows to tars: `KEY.jpg` (or .png, ...), `KEY.txt` (the caption), `KEY.json` (the rest).

    Keys are the rows' positions, never names from outside. Equal content gives equal bytes.

    Args:
        rows: The catalog; needs the column `image`.
        out: A folder that does not exist or is empty; there is either all of the export or nothing.
        where: SQL condition; None: all rows.
        rows_per_shard: Most images of one tar; > 0.

    Returns:
        The tars, in order; beside them `export.json` names their origin.

    Raises:
        CatalogError: The folder holds something.
        StorageError: The disk refused.
    """
    if rows_per_shard < 1:
        raise ConfigError(f"rows_per_shard must be >= 1; got {rows_per_shard!r}.")
    _check_new(out)
    names = _plain_columns(rows.schema)
    with replacing(out) as temporary:
        temporary.mkdir()
        shards = _Shards(temporary, rows_per_shard)
        with closing(shards):
            for batch in rows.scan(
                ["image", *names], where=where, batch_size=_ROWS_PER_BATCH, with_positions=True
            ):
                for row in batch.to_pylist():
                    shards.add(row)
        origin = _origin(rows, columns=["image", *names], where=where)
        write_json(temporary / "export.json", {**origin, "rows": shards.rows, "shards": shards.names})
    return [out / name for name in shards.names]


def export_coco(rows: Rows, out: Path, *, where: str | None = None) -> list[Path]:
    """Write rows as COCO captions: `images/KEY.jpg` (or .png, ...) and `annotations/captions.json`.

    Keys are the rows' positions, never names from outside. Where the catalog has the columns `captions` (all
    captions of an image), `boxes` and `box_categories` (with `box_masks` and `box_crowds`), as after the
    ingest of COCO files, these are written, too; the boxes into `annotations/instances.json`.

    Args:
        rows: The catalog; needs the columns `image`, `width`, `height` and `caption`.
        out: A folder that does not exist or is empty; there is either all of the export or nothing.
        where: SQL condition; None: all rows.

    Returns:
        The annotation files; beside the folders `export.json` names their origin.

    Raises:
        CatalogError: The folder holds something, or a column is missing.
        StorageError: The disk refused.
    """
    wanted = ["id", "image", "width", "height", "caption"]
    for name in wanted:
        if name not in rows.schema.names:
            raise CatalogError(f"{rows.name}: COCO captions need a column {name!r}, and there is none.")
    names = [*wanted, *(name for name in ("captions", *_BOXES) if name in rows.schema.names)]
    _check_new(out)
    with replacing(out) as temporary:
        (temporary / "images").mkdir(parents=True)
        (temporary / "annotations").mkdir()
        coco = _Coco(temporary / "images")
        for batch in rows.scan(names, where=where, batch_size=_ROWS_PER_BATCH, with_positions=True):
            for row in batch.to_pylist():
                coco.add(row)
        origin = _origin(rows, columns=names, where=where)
        written = coco.write(temporary / "annotations", origin)
        write_json(temporary / "export.json", {**origin, "rows": len(coco.images)})
    return [out / "annotations" / name for name in written]


_BOXES = ("boxes", "box_categories", "box_masks", "box_crowds")


class _Coco:
    """Annotations gathered row by row, while the images are written; some hundred bytes a row in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.images: list[dict[str, Any]] = []
        self._captions: list[dict[str, Any]] = []
        self._boxes: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the image of one row and note the rest; a row without an image is left out."""
        if row["image"] is None:
            return
        number = int(row[POSITION]) + 1  # COCO's tools take an id of 0 for none
        name = f"{row[POSITION]:012d}.{_extension(row['image'])}"
        (self._folder / name).write_bytes(row["image"])
        about = {"id": number, "file_name": name, "width": row["width"], "height": row["height"]}
        self.images.append({**about, "catalog_id": row["id"]})
        for caption in row.get("captions") or [row["caption"]]:
            if caption:
                self._captions.append({"id": len(self._captions) + 1, "image_id": number, "caption": caption})
        boxes, masks, crowds = (row.get(key) or () for key in ("boxes", "box_masks", "box_crowds"))
        for at, (box, category) in enumerate(zip(boxes, row.get("box_categories") or (), strict=True)):
            of = self._categories.setdefault(category, len(self._categories) + 1)
            about = {"id": len(self._boxes) + 1, "image_id": number, "category_id": of, "bbox": box}
            about |= {"area": box[2] * box[3], "iscrowd": int(bool(crowds and crowds[at]))}
            found = masks and masks[at]  # as somebody wrote it; JSON has no NaN
            mask = {"segmentation": json.loads(found, parse_constant=lambda _: None)} if found else {}
            self._boxes.append(about | mask)

    def write(self, folder: Path, origin: Mapping[str, Any]) -> list[str]:
        """Write the annotations; returns the files' names."""
        info = {"description": json.dumps(origin, ensure_ascii=False)}
        whole: dict[str, Any] = {"info": info, "licenses": [], "images": self.images}
        write_json(folder / "captions.json", {**whole, "annotations": self._captions})
        if not self._boxes:
            return ["captions.json"]
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        write_json(folder / "instances.json", {**whole, "annotations": self._boxes, "categories": categories})
        return ["captions.json", "instances.json"]


class _Shards:
    """Tars of so many rows each, opened one after the other."""

    def __init__(self, folder: Path, rows_per_shard: int) -> None:
        self._folder, self._rows_per_shard = folder, rows_per_shard
        self._tar: tarfile.TarFile | None = None
        self.names: list[str] = []
        self.rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Append the members of one row; a row without an image is left out."""
        if row["image"] is None:
            return
        if self.rows % self._rows_per_shard == 0:
            self.close()
            self.names.append(f"shard-{len(self.names):06d}.tar")
            path = self._folder / self.names[-1]
            self._tar = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT)
        key = f"{row[POSITION]:012d}"
        rest = {name: value for name, value in row.items() if name not in ("image", POSITION)}
        self._member(f"{key}.{_extension(row['image'])}", row["image"])
        if row.get("caption") is not None:
            self._member(f"{key}.txt", row["caption"].encode())
        self._member(f"{key}.json", json.dumps(rest, ensure_ascii=False, default=str).encode())
        self.rows += 1

    def close(self) -> None:
        """End the open tar."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None

    def _member(self, name: str, data: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)  # time 0 and no owner, so that equal rows give equal bytes
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))


_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
)


def _extension(image: bytes) -> str:
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _MAGIC if image.startswith(magic)), "bin")


def _check_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CatalogError(
            f"{out}: expected a new or empty folder, found something in it; choose another one."
        )


def _plain_columns(schema: pa.Schema) -> list[str]:
    """Columns that a JSON object can hold; vectors and bytes stay in the catalog."""

    def is_plain(kind: pa.DataType) -> bool:
        return not (
            pt.is_binary(kind)
            or pt.is_large_binary(kind)
            or pt.is_fixed_size_binary(kind)
            or pt.is_fixed_size_list(kind)
        )

    return [field.name for field in schema if field.name != "image" and is_plain(field.type)]


def _origin(rows: Rows, *, columns: Sequence[str], where: str | None) -> dict[str, Any]:
    return {
        "catalog": rows.name,
        "version": rows.version,
        "columns": list(columns),
        "where": where,
        "synsight": package_version(),
    }
