"""Which current images the reference has nothing like, and when they came.

n reference rows, m current rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from synsight.deployment.watched_rows import WatchedRows
from synsight.metrics.drift import novelty
from synsight.metrics.intervals import Interval, score_interval
from synsight.metrics.scores import Scores
from synsight.reports.drift_records import Period

UNUSUAL = 0.95
"""An image is novel if it lies further out than this share of the reference images."""
MOST_PERIODS = 16
LEAST_ROWS = 5
"""A period of fewer images is left out: its share says nothing."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """How far each image lies from the reference."""

    reference: NDArray[np.float64]
    """[n] distances, each from the reference rows of other groups."""
    current: NDArray[np.float64]
    """[m]"""

    @property
    def limit(self) -> float:
        """Distance beyond which an image is novel."""
        known = self.reference[np.isfinite(self.reference)]
        return float(np.quantile(known, UNUSUAL)) if len(known) else float("inf")

    @property
    def ranks(self) -> NDArray[np.float64]:
        """[m] share of the reference images that lie less far out."""
        known = np.sort(self.reference[np.isfinite(self.reference)])
        return np.asarray(np.searchsorted(known, self.current) / max(1, len(known)))


def measure_novelty(
    reference: WatchedRows, current: WatchedRows, codes: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> Novelty:
    """Distances of both sides from the reference; own groups do not count on either."""

    def from_reference(rows: WatchedRows, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        return novelty(reference.features, rows.features, known_groups=codes[0], groups=groups)

    return Novelty(from_reference(reference, codes[0]), from_reference(current, codes[1]))


def most_novel(found: Novelty, groups: NDArray[np.int64], *, most: int) -> NDArray[np.int64]:
    """The rows furthest out, one of each group, furthest first; rows that are not novel are left out."""
    distances = np.where(np.isfinite(found.current), found.current, -np.inf)
    order = np.argsort(-distances, kind="stable")
    order = order[distances[order] > found.limit]
    _, first = np.unique(groups[order], return_index=True)
    return np.asarray(order[np.sort(first)][:most])


def novel_share(novel: NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """Share of novel images with its 95% interval over groups."""
    return score_interval([Scores(novel, np.zeros(len(novel), np.int64), groups)])


def periods(
    found: Novelty,
    reference: WatchedRows,
    current: WatchedRows,
    codes: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> list[Period]:
    """Share of novel images by the time they were captured; [] where no time is known."""
    moments = [*reference.moments, *current.moments]
    known = [one for one in moments if one is not None]
    if len(known) < LEAST_ROWS:
        return []
    name = _unit(known)
    rows = []
    for sample, distances, side, groups in (
        ("reference", found.reference, reference, codes[0]),
        ("current", found.current, current, codes[1]),
    ):
        names = np.array(["" if one is None else name(one) for one in side.moments])
        novel = np.nan_to_num(distances, nan=0.0) > found.limit
        for period in sorted(set(names.tolist()) - {""}):
            inside = names == period
            if inside.sum() < LEAST_ROWS:
                continue
            share = novel_share(novel[inside], groups[inside])
            rows.append(
                Period(
                    name=period,
                    sample="reference" if sample == "reference" else "current",
                    rows=int(inside.sum()),
                    novel=share.value,
                    low=share.low,
                    high=share.high,
                )
            )
    return rows


def _unit(moments: Sequence[datetime]) -> Callable[[datetime], str]:
    """The finest unit that makes no more than `MOST_PERIODS`."""
    units: list[Callable[[datetime], str]] = [
        lambda one: f"{one:%Y-%m-%d %H}:00",
        lambda one: f"{one:%Y-%m-%d}",
        lambda one: f"{one:%G}-W{one:%V}",
        lambda one: f"{one:%Y-%m}",
        lambda one: f"{one:%Y}-Q{(one.month + 2) // 3}",
    ]
    only_dates = all((one.hour, one.minute) == (0, 0) for one in moments)
    for unit in units[only_dates:]:
        if len({unit(one) for one in moments}) <= MOST_PERIODS:
            return unit
    return lambda one: f"{one:%Y}"
