"""`synsight explain`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, show

if TYPE_CHECKING:
    from synsight.reports.explanation_records import ExplanationRecord, ExplanationSummary


def explain(
    model: str,
    *targets: Path,
    out: Path,
    reference: Path | None = None,
    where: str | None = None,
    count: int = 12,
    label: str | None = None,
    words: int = 5,
    level: str | None = None,
    rollup: Literal["max", "noisy-or"] = "max",
    heat: Literal["auto", "cam", "grad-cam", "rollout", "occlusion", "none"] = "auto",
    near: int = 4,
    skip_check: Flag = False,
    map: Flag = False,
    projection: Literal["auto", "pca", "umap"] = "auto",
    locale: Literal["en", "ja"] = "en",
    seed: int = 0,
    json: Json = False,
) -> None:
    """Say why a model answers as it does: the words it sees, those that carried the answer, where, why not.

    Args:
        model: A MODEL folder with words or labels.
        targets: Image files, a folder of images, or a catalog's folder.
        out: Folder for report.html and explanations.json.
        reference: Catalog with the training cases and captions; else the target, if it is a catalog. The
            features are kept there as a column.
        where: SQL condition for the rows to explain; else validation rows.
        count: Most images of a catalog or a folder.
        label: Column with the true labels.
        words: Words named for each image.
        level: Height of the words: words, a number of steps below entity, or nouns as animal,food.
        rollup: How words become one word of the level.
        heat: Kind of map; auto is cam where it is exact, else grad-cam, and occlusion for networks whose last
            layer has fewer than 5 x 5 places.
        near: Training cases shown beside each image.
        skip_check: Do not measure whether the maps are true.
        map: Also write a map of the reference: map.svg, map.parquet (Embedding Atlas), fiftyone/.
        projection: Of the map; auto is umap where it is installed, else pca.
        locale: Language of the page: en or ja.
        seed: Of the choice of rows and the map.
        json: Print one JSON object.
    """
    from synsight.explanation.explain import explain as run
    from synsight.explanation.levels import parse_level

    summary = run(
        model,
        list(targets),
        out=out,
        reference=reference,
        where=where,
        count=count,
        label=label,
        words=words,
        level=parse_level(level),
        rollup=rollup,
        heat=False if heat == "none" else heat,
        near=near,
        check=not skip_check,
        map=map,
        projection=projection,
        locale=locale,
        seed=seed,
    )
    show(summary.as_json(), as_json=json, table=lambda: _table(summary))


def _table(summary: "ExplanationSummary") -> Iterator[RenderableType | str]:
    from synsight.reports import fact_table
    from synsight.reports.text import visible

    yield fact_table({one.id: _line(one) for one in summary.explanations})
    left_out = summary.rejected
    if left_out:
        named = ", ".join(f"{visible(name)} ({reason})" for name, reason in islice(left_out.items(), 5))
        more = f" and {len(left_out) - 5:,} more" if len(left_out) > 5 else ""
        yield f"left out: {named}{more}"
    if summary.calibration:
        yield summary.calibration
    found = summary.faithfulness
    if found:
        yield (
            f"area under deletion {found['deletion']:.3f} (random order {found['deletion_random']:.3f}), "
            f"insertion {found['insertion']:.3f} (random order {found['insertion_random']:.3f})"
        )
    yield f"report: {summary.report}"


def _line(one: "ExplanationRecord") -> str:
    """The answer with what carried it, or the words seen, or the nearest case."""
    seen = ", ".join(f"{word.name} {word.score:.2f}" for word in one.words)
    if one.prediction is None:
        return seen or ", ".join(f"like {case.id} {case.similarity:.2f}" for case in one.near[:1])
    carried = one.contributions.words[:4] if one.contributions is not None else ()
    reasons = ", ".join(f"{word.name} {word.value:+.2f}" for word in carried)
    return f"{one.prediction} {one.probability:.0%}{': ' + reasons if reasons else ''}"
