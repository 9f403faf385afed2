"""Which images are defective: unreadable, tiny, blurred, dark, bright, blank, of an odd shape.

A limit has two parts. The absolute one says from where on a person would call the image defective. The other
comes from the corpus: an image must also lie far outside what is usual there, so that night scenes, X-rays or
soft paintings are not condemned as a whole. The spread of the usual is taken from its better half, which
defects do not reach as long as they are fewer than half.

Each image costs some 50 bytes of memory, in `ImageChecks.measures`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.audit.image_measures import SCHEMA, ImageStage
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError
from synsight.stages import Runner, ThreadRunner

FINDINGS = pa.schema(
    [
        pa.field("position", pa.int64()),
        pa.field("flag", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("reason", pa.string()),
    ]
)
"""A finding of any check: the row's position, the flag, how strong (larger is worse), a phrase with the
number."""

Values = NDArray[np.float64]

BLUR = 0.65
"""`blur` of an edge that a Gaussian of 0.85 pixels has softened, at 128 pixels; 99 of 100 drawings, icons and
photographs stay below 0.57."""
DARKNESS = 0.68
"""99% of the pixels are darker than 0.32 of full brightness: CleanVision's limit."""
LIGHTNESS = 0.9
"""What most of a photograph exceeds when it is burnt out, and all of a drawing when it is too faint on white;
CleanVision's 0.95 of all pixels condemns every small drawing."""
BURNT = 0.15
"""Share of a photograph that is white without any detail; what an exposure times 1.8 burns of tones about mid
grey. Of skies and white walls no measure can tell it."""
PAPER_SHARE = 0.1
"""Where more of the images lie on paper (drawings, goods on white), lightness is that of what lies on it."""
LEVEL = 1 / 255
CONTRAST = 10 * LEVEL
"""Cells that differ by less are one surface: noise, JPEG's ripples or an uneven light."""
LEAST_SIDE = 32
"""Pixels; people still know scenes at 32 x 32 and hardly below (Torralba et al. 2008, "80 million tiny
images")."""
FAR_SMALLER = 10
"""Times smaller than the usual: CleanVision's limit for odd sizes."""
ASPECT = 3.0
"""Longer by shorter side: the limit of DataComp's basic filter (Gadre et al. 2023, arXiv 2304.14108)."""

OUTLIER = 3.5
"""Spreads beyond the median (Iglewicz and Hoaglin 1993, "How to detect and handle outliers")."""
TO_DEVIATIONS = 1.4826
"""Median absolute deviation -> standard deviation, of a normal distribution."""
LEAST_ROWS = 20
"""Fewer rows have no usual; the absolute limits hold alone."""

BYTES_PER_CHUNK = 32 << 20
SAMPLED_ROWS = 64


@dataclass(frozen=True)
class ImageChecks:
    """What was found and measured; rows in the order of `Catalog.scan`."""

    table: pa.Table
    """The findings; see `FINDINGS`."""
    measures: pa.Table
    """Of every row: the columns of `image_measures.SCHEMA`."""

    @property
    def hashes(self) -> pa.ChunkedArray:
        """What near duplicates are searched by, uint64: `steady_hashes`, which differ from the column
        `image_hash` in faint patterns; null where the image cannot be decoded.
        """
        return self.measures.column("steady_hash")

    def scores(self, flag: str) -> NDArray[np.float32]:
        """How strongly a flag speaks against every row, flagged or not, [N]; NaN: not measured.

        Args:
            flag: One of `CHECKS`, or `unreadable`.
        """
        if flag == "unreadable":
            return np.asarray(self.measures.column("fault").is_valid(), dtype=np.float32)
        return CHECKS[flag].score(self.measures).astype(np.float32)


def check_images(catalog: str | Path | Catalog, *, runner: Runner | None = None) -> ImageChecks:
    """Measure every image; adds the columns `image_hash` (uint64) and `image_flags` (list of string).

    Stopped or killed at any moment, the catalog is as before and the same call finishes the work; a finished
    call decodes nothing.

    Args:
        catalog: Its folder, or an open catalog.
        runner: Where the stage runs; None: threads of this process.

    Raises:
        DataError: The catalog has no column `image`.
        CatalogError: There is no catalog.
    """
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    if "image" not in opened.columns:
        raise DataError(f"{opened.path}: expected a column 'image', found none; ingest a source of images.")
    stage = ImageStage()
    source = opened.source(["image"], rows_per_chunk=_rows_per_chunk(opened))
    spool = opened.spool(stage, source)
    with opened.ledger() as ledger:
        (runner or ThreadRunner()).run(
            stage, source, spool, ledger=ledger, description="check images", total=source.rows
        )
    # The spool stays, unlike elsewhere: no column keeps the measures, and a second call reads them again.
    measures = pa.Table.from_batches(spool.batches(), schema=SCHEMA)
    checks = ImageChecks(findings(measures), measures)
    if not opened.is_current("image_hash", spool.provenance):
        _add_columns(opened, checks, spool.provenance)
    return checks


def findings(measures: pa.Table) -> pa.Table:
    """The findings of all checks on measured images, by flag and then by position."""
    tables = [_unreadable(measures)]
    for flag, check in CHECKS.items():
        scores = check.score(measures)
        found = np.flatnonzero(scores >= check.limit(measures, scores))  # NaN is below everything
        reasons = [check.reason(row) for row in measures.take(found).to_pylist()]
        tables.append(finding_table(found, flag, scores[found], reasons))
    return pa.concat_tables(tables)


def finding_table(
    positions: NDArray[np.int64], flag: str, scores: NDArray[np.floating], reasons: list[str]
) -> pa.Table:
    """Findings of one flag."""
    return pa.table([positions, [flag] * len(positions), scores.astype(np.float32), reasons], schema=FINDINGS)


def outlier_limit(scores: Values, absolute: float) -> float:
    """The absolute limit, or the end of what is usual among the scores if that lies further out.

    Scores below 1 are compared by the logarithm of what is missing to 1, as no spread reaches beyond it.
    """
    known = -np.log2(1 - scores[~np.isnan(scores)] + LEVEL)
    if len(known) < LEAST_ROWS:
        return absolute
    median = float(np.median(known))
    spread = TO_DEVIATIONS * float(np.median(median - known[known <= median]))
    end = 1 + LEVEL - 2.0 ** -(median + OUTLIER * spread)
    return max(absolute, float(np.nextafter(end, np.inf)))


@dataclass(frozen=True)
class _Check:
    """One flag: scores of all rows, the limit from which on they are flagged, and the phrase."""

    score: Callable[[pa.Table], Values]
    limit: Callable[[pa.Table, Values], float]
    reason: Callable[[Mapping[str, float]], str]


def _column(measures: pa.Table, name: str) -> Values:
    return np.asarray(measures.column(name).cast(pa.float64()).to_numpy(), np.float64)


def _longer_side(measures: pa.Table) -> Values:
    sides: Values = np.maximum(_column(measures, "width"), _column(measures, "height"))
    return sides


def _smallness(measures: pa.Table) -> Values:
    return 1 / _longer_side(measures)


def _smallness_limit(measures: pa.Table, scores: Values) -> float:
    """By the longer side; where small images are the usual, half of the usual."""
    sides = _longer_side(measures)
    known = sides[~np.isnan(sides)]
    usual = float(np.median(known)) if len(known) >= LEAST_ROWS else 2.0 * LEAST_SIDE
    least = max(min(LEAST_SIDE, usual / 2), usual / FAR_SMALLER)
    return float(np.nextafter(1 / least, np.inf))


def _lightness(measures: pa.Table) -> Values:
    """What three quarters of the pixels exceed; where paper is usual, what 95% of what lies on it do."""
    return _column(measures, "drawn_lightness" if _paper_is_usual(measures) else "lightness")


def _paper_is_usual(measures: pa.Table) -> bool:
    paper = measures.column("on_paper").drop_null()
    return bool(len(paper) and np.mean(np.asarray(paper)) > PAPER_SHARE)


def _brightness(measures: pa.Table) -> Values:
    """Lightness, or burnt highlights at the scale of lightness, whichever speaks more against the image.

    Where paper is usual white is what things are drawn with: frame-filling emoji are up to a quarter white.
    """
    if _paper_is_usual(measures):
        return _lightness(measures)
    share = _column(measures, "burnt")
    clipped = np.where(
        share < BURNT, LIGHTNESS * share / BURNT, LIGHTNESS + (1 - LIGHTNESS) * (share - BURNT) / (1 - BURNT)
    )
    worse: Values = np.maximum(_lightness(measures), clipped)
    return worse


def _brightness_reason(row: Mapping[str, float]) -> str:
    if row["burnt"] >= BURNT and row["lightness"] < LIGHTNESS:
        return f"burnt out: {100 * row['burnt']:.0f}% of it is white without any detail"
    return f"hardly anything in it is darker than {100 * LIGHTNESS:.0f}% of white"


def _stretch(measures: pa.Table) -> Values:
    """1 minus shorter by longer side."""
    width, height = _column(measures, "width"), _column(measures, "height")
    return 1 - np.minimum(width, height) / np.maximum(width, height)


def _stretch_limit(measures: pa.Table, scores: Values) -> float:
    return outlier_limit(scores, 1 - 1 / ASPECT)


CHECKS: Mapping[str, _Check] = {
    "tiny": _Check(
        _smallness,
        _smallness_limit,
        lambda row: f"{row['width']} x {row['height']} pixels, too few to see by",
    ),
    "blurred": _Check(
        lambda measures: _column(measures, "blur"),
        lambda _, scores: outlier_limit(scores, BLUR),
        lambda row: f"no sharp edge: blur {row['blur']:.2f} of 1, at least {BLUR} is soft",
    ),
    "dark": _Check(
        lambda measures: _column(measures, "darkness"),
        lambda _, scores: outlier_limit(scores, DARKNESS),
        lambda row: f"99% of it is darker than {100 * (1 - row['darkness']):.0f}% of full brightness",
    ),
    "bright": _Check(
        _brightness,
        lambda _, scores: outlier_limit(scores, LIGHTNESS),
        _brightness_reason,
    ),
    "blank": _Check(
        lambda measures: 1 - _column(measures, "contrast"),
        lambda _, scores: 1 - CONTRAST,
        lambda row: f"one surface: its parts differ by {255 * row['contrast']:.0f} of 255 levels",
    ),
    "odd-aspect": _Check(
        _stretch,
        _stretch_limit,
        lambda row: (
            f"{row['width']} x {row['height']} pixels: one side is "
            f"{max(row['width'], row['height']) / min(row['width'], row['height']):.1f} times the other"
        ),
    ),
}
"""Flag -> how it is decided; `unreadable` needs no score."""


def _unreadable(measures: pa.Table) -> pa.Table:
    faults = measures.column("fault")
    found = np.flatnonzero(np.asarray(faults.is_valid()))
    return finding_table(found, "unreadable", np.ones(len(found)), faults.take(found).to_pylist())


def _add_columns(catalog: Catalog, checks: ImageChecks, provenance: Mapping[str, str]) -> None:
    schema = pa.schema(
        [
            pa.field("image_hash", pa.uint64(), metadata=provenance),
            pa.field("image_flags", pa.list_(pa.string()), metadata=provenance),
        ]
    )
    flags = checks.table.column("flag").to_pylist()
    counts = {flag: flags.count(flag) for flag in ("unreadable", *CHECKS)}
    commit = Commit(verb="audit", config={"checks": "images"}, counts=counts)
    catalog.add_columns(schema, _flag_batches(checks, schema), commit=commit)


def _flag_batches(
    checks: ImageChecks, schema: pa.Schema, *, rows_per_batch: int = 65_536
) -> Iterator[pa.RecordBatch]:
    flags: dict[int, list[str]] = {}
    for position, flag in zip(
        *(checks.table.column(n).to_pylist() for n in ("position", "flag")), strict=True
    ):
        flags.setdefault(position, []).append(flag)
    for start in range(0, len(checks.measures), rows_per_batch):
        hashes = checks.measures.column("image_hash").slice(start, rows_per_batch).combine_chunks()
        lists = [flags.get(position, []) for position in range(start, start + len(hashes))]
        yield pa.record_batch([hashes, pa.array(lists, pa.list_(pa.string()))], schema=schema)


def _rows_per_chunk(catalog: Catalog) -> int:
    """As many rows as hold `BYTES_PER_CHUNK` of images, by some of them; the same on every call."""
    rows = catalog.count_rows()
    if not rows:
        return 1
    some = np.unique(np.linspace(0, rows - 1, SAMPLED_ROWS).astype(np.int64))
    size = catalog.take(some, ["image"]).nbytes / len(some)
    return int(np.clip(BYTES_PER_CHUNK / max(size, 1), 16, 1024))
