"""Explain images of a model: a page for people, and the same as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.images import decode_image
from synsight.errors import DataError, ImageError, UsageError
from synsight.explanation.catalog_map import write_map
from synsight.explanation.embedding_map import Projection
from synsight.explanation.explainer import Explainer
from synsight.explanation.levels import Rollup
from synsight.explanation.maps import Method
from synsight.explanation.reference import VAL, captions_of
from synsight.models.features import embed
from synsight.models.loading import load
from synsight.models.saved import Model
from synsight.reports.explanation_page import explanation_page
from synsight.reports.explanation_records import ExplanationRecord, ExplanationSummary
from synsight.seeding import generator

REPORT, RECORDS = "report.html", "explanations.json"
MOST_BYTES = 30 * 2**20
"""Of an image file."""


def explain(
    model: str | Path | Model,
    target: str | Path | Catalog,
    *,
    out: str | Path,
    reference: str | Path | Catalog | None = None,
    where: str | None = None,
    count: int = 12,
    label: str | None = None,
    words: int = 5,
    level: int | Sequence[str] | None = None,
    rollup: Rollup = "max",
    heat: bool | Method = True,
    near: int = 4,
    check: bool = True,
    map: bool = False,
    projection: Projection = "auto",
    locale: str = "en",
    seed: int = 0,
    progress: bool = True,
) -> ExplanationSummary:
    """Write report.html and explanations.json into a folder: for each image the words that the model sees,
    the words that carried its answer, where, like what, and what would have changed it.

    Args:
        model: A model, or a name that `load` knows.
        target: An image file, a catalog, or its folder.
        out: Folder for what is written; files of the same names are replaced.
        reference: Catalog for near cases (train rows), calibration (val rows) and the average image; None:
            the target, if it is a catalog. Its features are kept there, as `embed` keeps them.
        where: SQL condition for the rows that are explained; None: val rows, where there are any.
        count: Most images explained.
        label: Column of labels: the truth of explained rows, and what near cases are called.
        words: Words named for each image.
        level: Height of words in the hypernym tree; see `levels.level_of`.
        rollup: How words become one word of the level.
        heat: Maps: True, False, or a method of `maps.Method`.
        near: Near cases of each image.
        check: Measure whether the maps are true: deletion and insertion curves.
        map: Also place the reference's train rows on a map: in the page, as map.svg, and as files that
            Embedding Atlas (map.parquet) and FiftyOne (fiftyone/) open.
        projection: Of the map.
        locale: `en` or `ja`.
        seed: Of the choice of rows and the map.
        progress: Show bars.

    Returns:
        What was found; the records hold the pictures.

    Raises:
        DataError: The target is neither an image nor a catalog, or no row matches.
        ImageError: The image cannot be decoded.
        ModelError: The model knows neither words nor classes.
        MissingDependency: The map or the projection needs a package that is not installed.
    """
    if count < 1 or words < 1 or near < 0:
        raise UsageError(f"count and words must be >= 1, near >= 0; got {count}, {words} and {near}.")
    found = model if isinstance(model, Model) else load(model)
    catalog = None if _is_file(target) else _catalog(target)
    known = catalog if reference is None else _catalog(reference)
    if map and known is None:
        raise UsageError("a map is one of a catalog; explain a catalog, or give --reference.")
    if known is not None:
        embed(found, known, progress=progress)
    explainer = Explainer(found, known, label=label, level=level, rollup=rollup, progress=progress)
    if catalog is None:
        rows = [_of_file(Path(str(target)))]
    else:
        rows = _of_catalog(catalog, where=where, count=count, label=label, seed=seed)
    records = [
        explainer.explain(
            row.image,
            words=words,
            heat=heat,
            near=near,
            locale=locale,
            id=row.id,
            caption=row.caption,
            label=row.label,
            check=check,
        )
        for row in rows
    ]
    folder = Path(out)
    written = [folder / REPORT, folder / RECORDS]
    drawn = None
    if map and explainer.reference is not None:
        drawn, more = write_map(
            found, explainer.reference, folder, projection=projection, locale=locale, seed=seed
        )
        written += more
    summary = ExplanationSummary(
        model=found.name,
        explanations=records,
        calibration=explainer.calibration(locale),
        faithfulness=_means(records),
        map=drawn,
        files=[str(one) for one in written],
        report=str(written[0]),
        locale=locale,
    )
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / REPORT, explanation_page(summary, created_at=datetime.now(UTC).isoformat()))
    files.write_json(folder / RECORDS, summary.as_json())
    return summary


def _is_file(target: str | Path | Catalog) -> bool:
    return not isinstance(target, Catalog) and Path(target).is_file()


def _catalog(value: str | Path | Catalog) -> Catalog:
    return value if isinstance(value, Catalog) else Catalog.open(value)


@dataclass(frozen=True)
class _Row:
    """An image to be explained."""

    id: str
    image: bytes
    caption: str = ""
    label: str | None = None


def _of_file(path: Path) -> _Row:
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path}: expected an image of at most {MOST_BYTES >> 20} MB, found a larger file.")
    data = path.read_bytes()
    try:
        decode_image(data)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}: is neither a catalog nor an image; {error}") from None
    return _Row(path.name, data)


def _of_catalog(
    catalog: Catalog, *, where: str | None, count: int, label: str | None, seed: int
) -> list[_Row]:
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
    return [
        _Row(row["id"], row["image"], caption, _text(row[label]) if label else None)
        for row, caption in zip(found, captions_of(catalog, chosen), strict=True)
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _means(records: Sequence[ExplanationRecord]) -> dict[str, float]:
    measured = [one.faithfulness for one in records if one.faithfulness]
    if not measured:
        return {}
    return {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}
