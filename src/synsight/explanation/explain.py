"""Explain images of a model: a page for people, and the same as JSON for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.written_reports import note_report
from synsight.errors import UsageError
from synsight.explanation.catalog_map import MAP_FILES, write_map
from synsight.explanation.embedding_map import Projection
from synsight.explanation.explained_rows import Target, catalog_of, rows_of_catalog, rows_of_files
from synsight.explanation.explainer import Explainer
from synsight.explanation.levels import Rollup
from synsight.explanation.maps import Method
from synsight.models.features import embed
from synsight.models.loading import load
from synsight.models.saved import Model
from synsight.reports.explanation_page import explanation_page
from synsight.reports.explanation_records import ExplanationRecord, ExplanationSummary

REPORT, RECORDS = "report.html", "explanations.json"


def explain(
    model: str | Path | Model,
    target: Target | Sequence[Target],
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
        target: An image file, several, a folder of them, a catalog, or its folder.
        out: Folder for what is written; files of the same names are replaced.
        reference: Catalog for near cases (train rows), calibration (val rows) and the average image; None:
            the target, if it is a catalog. Its features are kept there, as `embed` keeps them.
        where: SQL condition for the rows that are explained; None: val rows, where there are any.
        count: Most images explained of a catalog or a folder; images that are named are all explained.
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
        DataError: The target is neither an image nor a catalog, no row matches, or no image of a folder can
            be read.
        ImageError: A named image cannot be decoded.
        ModelError: The model knows neither words nor classes.
        MissingDependency: The projection needs a package that is not installed.
    """
    if count < 1 or words < 1 or near < 0:
        raise UsageError(f"count and words must be >= 1, near >= 0; got {count}, {words} and {near}.")
    found = model if isinstance(model, Model) else load(model)
    targets = [target] if isinstance(target, str | Path | Catalog) else list(target)
    catalog = catalog_of(targets)
    known = catalog if reference is None else _catalog(reference)
    if map and known is None:
        raise UsageError("a map is one of a catalog; explain a catalog, or give --reference.")
    if catalog is None:
        asked = rows_of_files([Path(str(one)) for one in targets], count=count)
    else:
        asked = rows_of_catalog(catalog, where=where, count=count, label=label, seed=seed)
    if known is not None:
        embed(found, known, progress=progress)
    explainer = Explainer(found, known, label=label, level=level, rollup=rollup, progress=progress)
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
        for row in asked.rows
    ]
    folder = Path(out)
    for shown in {id(one): one for one in (catalog, known) if one is not None}.values():
        note_report(shown, folder, verb="explain", names=[REPORT, RECORDS, *(MAP_FILES if map else ())])
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
        rejected=dict(asked.rejected),
    )
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / REPORT, explanation_page(summary, created_at=datetime.now(UTC).isoformat()))
    files.write_json(folder / RECORDS, summary.as_json())
    return summary


def _catalog(value: str | Path | Catalog) -> Catalog:
    return value if isinstance(value, Catalog) else Catalog.open(value)


def _means(records: Sequence[ExplanationRecord]) -> dict[str, float]:
    measured = [one.faithfulness for one in records if one.faithfulness]
    if not measured:
        return {}
    return {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}
