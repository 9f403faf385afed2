"""What is to be explained: image files, a folder of them, or rows of a catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.data.label_names import label_name
from synsight.data.sources.image_folder import READ_ENDINGS
from synsight.errors import CatalogError, DataError, ImageError, UsageError
from synsight.explanation.reference import VAL, captions_of
from synsight.seeding import generator

MOST_BYTES = 30 * 2**20
"""Of an image file."""

Target = str | Path | Catalog


@dataclass(frozen=True)
class ExplainedRow:
    """An image to be explained."""

    id: str
    image: bytes
    caption: str = ""
    label: str | list[str] | None = None


@dataclass(frozen=True)
class ExplainedRows:
    """What is explained, and what cannot be.

    Attributes:
        rows: The images.
        rejected: Path -> reason, of files in a folder that are no images we accept.
    """

    rows: Sequence[ExplainedRow]
    rejected: Mapping[str, str] = field(default_factory=dict)


def catalog_of(targets: Sequence[Target]) -> Catalog | None:
    """The catalog that is asked about; None: images are.

    Raises:
        UsageError: A catalog beside other targets, or no target.
        CatalogError: A path where nothing is.
    """
    if not targets:
        raise UsageError("expected what to explain, found nothing; name images, a folder or a catalog.")
    catalogs = [one for one in targets if isinstance(one, Catalog) or Catalog.exists(one)]
    if not catalogs:
        for one in targets:
            if not Path(str(one)).exists():
                raise CatalogError(
                    f"{one}: expected an image, a folder of images or a catalog, found nothing; "
                    "check the path."
                )
        return None
    if len(targets) > 1:
        raise UsageError(f"expected one catalog or several images, found {len(targets)}; explain one first.")
    return catalogs[0] if isinstance(catalogs[0], Catalog) else Catalog.open(catalogs[0])


def rows_of_files(paths: Sequence[Path], *, count: int) -> ExplainedRows:
    """Images by their paths.

    Args:
        paths: Files, all of which are read, and folders, searched to the bottom in order of name; of a folder
            files that are no images are left out.
        count: Most images of a folder.

    Raises:
        ImageError: A named file that is no image.
        DataError: A named file that is too large, or a folder without a single image.
    """
    rows: list[ExplainedRow] = []
    rejected: dict[str, str] = {}
    for path in paths:
        if not path.is_dir():
            rows.append(_row(path, path.name))
            continue
        before = len(rows)
        for file in _images_in(path):
            if len(rows) - before == count:
                break
            name = file.relative_to(path).as_posix()
            try:
                rows.append(_row(file, name))
            except DataError as error:
                rejected[name] = error.reason if isinstance(error, ImageError) else "too_many_bytes"
        if len(rows) == before:
            raise DataError(
                f"{path}: expected a catalog or a folder with images, found no image that can be read among "
                f"{len(rejected)} files with an image's name; name an image, or make a catalog with "
                "`synsight ingest`."
            )
    return ExplainedRows(rows, rejected)


def rows_of_catalog(
    catalog: Catalog, *, where: str | None, count: int, label: str | None, seed: int
) -> ExplainedRows:
    """Some rows, drawn at random: of `where`, else of the val rows, where there are any.

    Raises:
        DataError: No row matches.
        CatalogError: There is no column `label`, or the condition is not understood.
    """
    if where is None and "split" in catalog.columns and catalog.count_rows(VAL):
        where = VAL
    positions = catalog.positions(where)
    if not len(positions):
        raise DataError(
            f"{catalog.path}: expected rows to explain, found none where {where}; change --where."
        )
    chosen = np.sort(generator(seed, "explain").permutation(positions)[:count])
    wanted = list(dict.fromkeys(["id", "image", *([label] if label else [])]))
    found = catalog.take(chosen, wanted).to_pylist()
    return ExplainedRows(
        [
            ExplainedRow(row["id"], row["image"], caption, _label(row[label]) if label else None)
            for row, caption in zip(found, captions_of(catalog, chosen), strict=True)
        ]
    )


def _images_in(folder: Path) -> list[Path]:
    """Files with an image's name; hidden ones and those behind links are left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in READ_ENDINGS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_symlink()
        and path.is_file()
    ]


def _row(path: Path, name: str) -> ExplainedRow:
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: expected an image of at most {MOST_BYTES >> 20} MB, found a larger file.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be read; {error.strerror}.") from None
    try:
        decode_image(data)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}: is neither a catalog nor an image; {error}") from None
    return ExplainedRow(name, data)


def _label(value: object) -> str | list[str] | None:
    if isinstance(value, list):
        return [name for one in value if (name := label_name(one)) is not None]
    return label_name(value)
