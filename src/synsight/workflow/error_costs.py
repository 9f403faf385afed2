"""What errors cost: a price for each confusion, and how often each model makes it.

The prices are a table `truth,predicted,cost`, where `*` stands for every class. A row with both names goes
before one with the truth alone, that before one with the prediction alone, that before `*,*`. A pair that no
row names costs the mean of the rows' costs, and the page says so. Right answers cost nothing unless a row
with both names says otherwise.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError, UsageError, near_names
from synsight.evaluation.resampling import Drawn
from synsight.reports.decision_records import ErrorPair, Estimate
from synsight.workflow.amounts import Amount, read_amount, sure
from synsight.workflow.compare_curves import Curves, Point
from synsight.workflow.rounding import estimate, rounded

ANY = "*"
COLUMNS = ("truth", "predicted", "cost")
MOST_PAIRS = 30
"""Pairs that a page lists; all are in the sums."""

PAIRS_AT_ONCE = 64
"""Bounds the memory: one number for each draw, test row and pair."""


@dataclass(frozen=True)
class ErrorCosts:
    """Prices of confusions."""

    prices: Mapping[tuple[str, str], Amount]
    """(truth, predicted) -> price; `*` is every class."""
    source: str
    """File, or the number as given."""

    def price(self, truth: str, predicted: str) -> Amount:
        """Of answering `predicted` where `truth` is right."""
        if truth == predicted:
            return self.prices.get((truth, predicted), sure(0))
        for key in ((truth, predicted), (truth, ANY), (ANY, predicted), (ANY, ANY)):
            if key in self.prices:
                return self.prices[key]
        return sure(self.default)

    @property
    def default(self) -> float:
        """Price of a pair that no row names."""
        known = [one.centre for (truth, predicted), one in self.prices.items() if truth != predicted]
        return float(np.mean(known)) if known else 0.0

    def is_named(self, truth: str, predicted: str) -> bool:
        """Whether a row says what the pair costs."""
        keys = ((truth, predicted), (truth, ANY), (ANY, predicted), (ANY, ANY))
        return truth == predicted or any(key in self.prices for key in keys)


def read_error_costs(given: str | float | Path, *, classes: Sequence[str]) -> ErrorCosts:
    """A CSV file's prices, or one price for every error.

    Args:
        given: A path, or an amount as "2" or "1..3".
        classes: That the test images or the models' answers show.

    Raises:
        UsageError: Neither a file nor an amount.
        DataError: The file cannot be read, lacks a column, names an unknown class or prices a pair twice.
    """
    path = Path(str(given))
    if not path.is_file():
        if path.suffix.lower() == ".csv":
            raise DataError(f"{path}: expected a table truth,predicted,cost, found nothing; check the path.")
        return ErrorCosts({(ANY, ANY): read_amount(str(given), name="--error-costs")}, str(given))
    prices: dict[tuple[str, str], Amount] = {}
    for line, row in _rows(path, COLUMNS):
        truth, predicted = row["truth"], row["predicted"]
        for name in (truth, predicted):
            if name != ANY and name not in classes:
                raise DataError(
                    f"{path}, line {line}: no test image or answer is {name!r}; {near_names(name, classes)}"
                )
        if (truth, predicted) in prices:
            raise DataError(f"{path}, line {line}: {truth!r} as {predicted!r} has a price already; keep one.")
        prices[truth, predicted] = read_amount(row["cost"], name=f"{path}, line {line}, cost")
    if not prices:
        raise DataError(f"{path}: expected rows truth,predicted,cost, found none; add one.")
    return ErrorCosts(prices, str(given))


def read_class_mix(given: str | Path, *, truths: NDArray[np.object_]) -> dict[str, float]:
    """Share of each class among the images of production, from "crack=0.01,dent=0.02" or a CSV `class,share`.

    Classes that are not named share what is left as they do among the test images.

    Args:
        given: Text or path.
        truths: [N] classes of the test images.

    Raises:
        UsageError: No such text, an unknown class, or shares above 1.
        DataError: The file cannot be read.
    """
    names, counts = np.unique(truths.astype(str), return_counts=True)
    in_test = dict(zip(names.tolist(), (counts / counts.sum()).tolist(), strict=True))
    if Path(str(given)).is_file():
        pairs = [(row["class"], row["share"]) for _, row in _rows(Path(str(given)), ("class", "share"))]
    else:
        parts = [part for part in str(given).split(",") if part.strip()]
        pairs = [(name.strip(), share.strip()) for name, _, share in (one.rpartition("=") for one in parts)]
    shares: dict[str, float] = {}
    for name, share in pairs:
        if name not in in_test:
            raise UsageError(
                f"--class-mix: no test image is of a class {name!r}; {near_names(name, in_test)}"
            )
        amount = read_amount(share, name=f"--class-mix, {name}")
        if not amount.is_sure:
            raise UsageError(f"--class-mix, {name}: expected one share as 0.01; got {share!r}.")
        shares[name] = amount.centre
    left, others = 1 - sum(shares.values()), sum(in_test[name] for name in in_test.keys() - shares.keys())
    if left < -1e-6 or (others == 0 and abs(left) > 1e-3):
        raise UsageError(
            f"--class-mix: expected shares that sum to 1, or less with classes left; the sum is {1 - left:g}."
        )
    if others == 0:
        return {name: share / (1 - left) for name, share in shares.items()}
    return {name: shares.get(name, max(0.0, left) * share / others) for name, share in in_test.items()}


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a table in UTF-8, but {error}; save it as CSV UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: expected the columns {','.join(columns)}, found no {missing[0]!r}; add it.")
    return [
        (reader.line_num, {name: (row[name] or "").strip() for name in columns})
        for row in reader
        if any(row[name] for name in columns)
    ]


@dataclass(frozen=True, eq=False)
class Confusions:
    """How often the two models of a case make each error, among all images of production."""

    pairs: Sequence[tuple[str, str]]
    """P (truth, predicted) that one of them makes and that cost something."""
    baseline: Drawn
    """[R + 1, P] shares of all images."""
    candidate: Drawn


def confusions(
    curves: Curves, baseline: Point, candidate: Point, *, costs: ErrorCosts, mix: Mapping[str, float]
) -> Confusions:
    """Rates of the errors of both models, the same test groups in each resample.

    A rate is the share of the pair among the test images of its class, times the class's share `mix`. In a
    resample without an image of a class the measured rate stands in.
    """
    made = {
        (str(truth), str(predicted))
        for point in (baseline, candidate)
        for row in point.predicted
        for truth, predicted in set(zip(curves.truths.tolist(), row.tolist(), strict=True))
    }
    pairs = sorted(pair for pair in made if costs.price(*pair).high > 0 and mix.get(pair[0], 0.0) > 0)
    truths = curves.truths.astype(str)
    names = np.unique(truths)
    members = (truths[:, None] == names).astype(np.float64)
    rows = curves.resampling.sums(members)  # [R + 1, C]
    if not pairs:
        nothing = np.zeros((len(rows), 0))
        return Confusions(pairs, nothing, nothing)
    blocks = [pairs[start : start + PAIRS_AT_ONCE] for start in range(0, len(pairs), PAIRS_AT_ONCE)]
    rates = [_rates(curves, (baseline, candidate), block, names, rows, mix) for block in blocks]
    sides = [np.concatenate(side, axis=1) for side in zip(*rates, strict=True)]
    return Confusions(pairs, *sides)


def _rates(
    curves: Curves,
    points: tuple[Point, Point],
    pairs: Sequence[tuple[str, str]],
    names: NDArray[np.str_],
    rows: Drawn,
    mix: Mapping[str, float],
) -> list[Drawn]:
    """Of both models, [R + 1, P] each."""
    truths, resampling = curves.truths.astype(str), curves.resampling
    total = rows.sum(axis=1)
    made = [_made(point, truths, pairs) for point in points]
    shares = [resampling.sums(one.mean(axis=0)) / total[:, None] for one in made]
    rates = [np.zeros_like(shares[0]) for _ in points]
    for place, (truth, _) in enumerate(pairs):
        # Other classes' images count for nothing: the mean over rows is the rate times the class's share.
        of_class = rows[:, np.flatnonzero(names == truth)[0]] / total
        moved = _over_draws(curves, points, (made[0][..., place], made[1][..., place]))
        for side in range(len(points)):
            share = shares[side][:, place] + moved[side]
            measured = np.full_like(share, share[0] / of_class[0])
            rate = np.divide(share, of_class, out=measured, where=of_class > 0)
            rates[side][:, place] = np.clip(rate, 0, 1) * mix[truth]
    return rates


def _made(point: Point, truths: NDArray[np.str_], pairs: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
    """[S, N, P] whether a draw's model makes the error on a row."""
    predicted = point.predicted.astype(str)
    return np.stack([(predicted == answer) & (truths == truth) for truth, answer in pairs], axis=-1)


def _over_draws(
    curves: Curves, points: tuple[Point, Point], made: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> tuple[Drawn, Drawn]:
    """What other draws of labels would change in the shares of both models.

    Models that learnt from the same draws share their luck. So half the sum and half the difference are
    looked at: what draw and row do together is then taken out of the difference by its own measure, not by
    that of the luck, which is far larger and cancels.
    """
    resampling, even = curves.resampling, np.full(len(curves.truths), 1 / len(curves.truths))
    first, second = points
    if first.seeds != second.seeds:
        alone = [
            resampling.over_draws(some, seeds=point.seeds, weights=even)
            for some, point in zip(made, points, strict=True)
        ]
        return alone[0], alone[1]
    ours, theirs = (one.astype(np.float64) for one in made)
    both = resampling.over_draws((ours + theirs) / 2, seeds=first.seeds, weights=even)
    apart = resampling.over_draws((ours - theirs) / 2, seeds=first.seeds, weights=even)
    return both + apart, both - apart


def drawn_prices(costs: ErrorCosts, pairs: Sequence[tuple[str, str]], *, resamples: int) -> Drawn:
    """[R + 1, P] price of each pair; pairs priced by one row of the table move together."""
    prices = np.zeros((resamples + 1, len(pairs)))
    for place, pair in enumerate(pairs):
        amount = costs.price(*pair)
        prices[:, place] = amount.drawn(resamples, name=f"error_costs {amount.text}")
    return prices


def error_pairs(found: Confusions, costs: ErrorCosts, *, prices: Drawn, images: Drawn) -> list[ErrorPair]:
    """The errors that cost most, in money a year."""
    records = [
        ErrorPair(
            truth=truth,
            predicted=predicted,
            cost=_price(costs.price(truth, predicted)),
            baseline_rate=rounded(float(found.baseline[0, place])),
            candidate_rate=rounded(float(found.candidate[0, place])),
            baseline_per_year=estimate(found.baseline[:, place] * prices[:, place] * images),
            candidate_per_year=estimate(found.candidate[:, place] * prices[:, place] * images),
        )
        for place, (truth, predicted) in enumerate(found.pairs)
    ]
    records.sort(key=lambda one: (-max(_most(one)), one.truth, one.predicted))
    return records[:MOST_PAIRS]


def _most(one: ErrorPair) -> tuple[float, float]:
    return one.baseline_per_year.value or 0.0, one.candidate_per_year.value or 0.0


def _price(amount: Amount) -> Estimate:
    return Estimate(value=rounded(amount.centre), low=rounded(amount.low), high=rounded(amount.high))


@dataclass(frozen=True)
class Unseen:
    """An error that costs and that nobody made in the test, which does not say that it never happens."""

    truth: str
    groups: int
    """Of test images of the class."""
    most_rate: float
    """Upper 95% end of the rate of any error on the class."""


def never_missed(curves: Curves, point: Point, *, costs: ErrorCosts) -> list[Unseen]:
    """Classes whose errors cost and on which the model made none.

    A resampled rate of zero stays zero; with n independent groups up to 1 - 0.05^(1/n) goes unseen.

    Reference: Hanley and Lippman-Hand 1983, If nothing goes wrong, is everything all right? (rule of three).
    """
    found = []
    classes = sorted({str(one) for one in curves.truths} | {str(one) for one in point.predicted.ravel()})
    for truth in sorted(set(curves.truths.astype(str).tolist())):
        own = curves.truths.astype(str) == truth
        costly = any(costs.price(truth, other).high > 0 for other in classes if other != truth)
        if costly and point.hits[:, own].all():
            groups = len(np.unique(curves.groups[own]))
            found.append(Unseen(truth, groups, rounded(1 - 0.05 ** (1 / groups))))
    return found
