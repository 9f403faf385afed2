"""Do 95% of the intervals hold the truth, and do 5% of the tests find a difference where there is none?

Simulated experiments whose truth is known: rows in groups of 1 to `size` rows, hits of a group correlated as
a beta-binomial with the given intra-group correlation, the true accuracy drawn anew for each experiment from
the range in the table's head (a single accuracy would show the jumps of a discrete count, not the rule).

    python benchmarks/coverage.py --experiments 2000               shares, all of the stated range
    python benchmarks/coverage.py --what classes,pairs,seeds       recall by class; differences; seeds
    python benchmarks/coverage.py --what precision --experiments 200    mean average precision of many labels
    python benchmarks/coverage.py --what calibration --experiments 300  expected calibration error

What it leaves out: groups whose size depends on how hard they are, and dependence between groups.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from turns import machine

from synsight.metrics import Scores, paired_difference, score_interval
from synsight.metrics.average_precision import average_precisions, mean_average_precision
from synsight.metrics.calibration import Confidences, calibration_interval

RANGES = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.99))
GROUPS = (15, 30, 60, 120, 250, 500)
KINDS = ((1, 0.0), (3, 0.0), (3, 0.4), (3, 0.8), (8, 0.0), (8, 0.2), (8, 0.4), (8, 0.8))
"""Rows of the largest group, correlation within groups."""
RESAMPLES = 500


@dataclass(frozen=True)
class Experiment:
    """Simulated answers and what they were simulated from."""

    scores: list[Scores]
    truth: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=1000, help="in each cell")
    parser.add_argument(
        "--what", default="shares", help="of shares, classes, pairs, seeds, precision, calibration; commas"
    )
    parser.add_argument("--groups", default=",".join(map(str, GROUPS)))
    chosen = parser.parse_args()
    print(machine("synsight", "numpy", "scipy", threads=1))
    groups = [int(one) for one in chosen.groups.split(",")]
    tables = {"shares": share_table, "classes": class_table, "pairs": pair_table, "seeds": seed_table}
    tables |= {"precision": precision_table, "calibration": calibration_table}
    for what in chosen.what.split(","):
        tables[what](chosen.experiments, groups)


def share_table(experiments: int, groups: list[int]) -> None:
    """Coverage in per cent by groups, sizes, correlation and accuracy."""
    head = "".join(f"{f'{low} to {high}':>14}" for low, high in RANGES)
    print(f"{'groups':>6} {'size':>6} {'corr.':>6}{head}{'all':>8}")
    for num_groups in groups:
        for size, correlation in KINDS:
            row = [
                coverage(
                    shares(
                        experiments, num_groups, size, correlation, accuracy, seed=num_groups + 1000 * size
                    )
                )
                for accuracy in RANGES
            ]
            cells = "".join(f"{100 * one:14.1f}" for one in row)
            sizes = "1" if size == 1 else f"1 to {size}"
            print(f"{num_groups:6} {sizes:>6} {correlation:6.1f}{cells}{100 * np.mean(row):8.1f}", flush=True)


def class_table(experiments: int, groups: list[int]) -> None:
    """Coverage of the mean recall of ten classes, each group of one class."""
    print("mean recall of ten classes")
    for num_groups in groups:
        for size, correlation in ((1, 0.0), (8, 0.0), (8, 0.4)):
            row = [
                coverage(recalls(experiments, num_groups, size, correlation, accuracy, seed=num_groups))
                for accuracy in RANGES[1:]
            ]
            cells = "".join(f"{100 * one:10.1f}" for one in row)
            print(f"{num_groups:6} {size:6} {correlation:6.1f}{cells}{100 * np.mean(row):8.1f}", flush=True)


def pair_table(experiments: int, groups: list[int]) -> None:
    """Coverage of paired differences, and how often none is called one."""
    print("  groups   size  likeness  accuracies    differ  coverage  p < 0.05")
    for num_groups in groups:
        for size, likeness in ((1, 0.5), (1, 0.9), (8, 0.5), (8, 0.9)):
            for accuracies in ((0.7, 0.7), (0.9, 0.9), (0.8, 0.7), (0.95, 0.9)):
                found = judged_pairs(experiments, num_groups, size, likeness, accuracies, seed=num_groups)
                print(
                    f"{num_groups:8} {size:6} {likeness:9} {accuracies[0]:7} {accuracies[1]:5} "
                    f"{found.differing:8.0f} {100 * found.coverage:9.1f} {100 * found.called:9.1f}",
                    flush=True,
                )


def seed_table(experiments: int, groups: list[int]) -> None:
    """Coverage of differences between training recipes of which some seeds were run."""
    print("  groups  seeds  deviation of seeds  coverage  p < 0.05")
    for num_groups in groups:
        for seeds in (3, 5, 10):
            for deviation in (0.0, 0.01, 0.03):
                found = judged_seeds(experiments, num_groups, seeds, deviation, seed=num_groups)
                print(
                    f"{num_groups:8} {seeds:6} {deviation:19} {100 * found.coverage:9.1f} "
                    f"{100 * found.called:9.1f}",
                    flush=True,
                )


def precision_table(experiments: int, _: list[int]) -> None:
    """Mean average precision without groups; the truth is the mean over other test sets of the size."""
    print("mean average precision: share of intervals that hold what other test sets of the size give")
    for rows, labels, share in ((300, 20, 0.05), (1000, 20, 0.02), (150, 10, 0.2), (1000, 10, 0.2)):
        others = [mean_average_precision(*ranked(seed, rows, labels, share)) for seed in range(300)]
        held = 0
        for number in range(experiments):
            drawn = ranked(1000 + number, rows, labels, share)
            found = average_precisions(*drawn, np.arange(rows), resamples=200, seed=number).macro
            held += found.low <= float(np.mean(others)) <= found.high
        print(f"  {rows:5} rows, {labels} labels, {share:.0%} of rows each: {held / experiments:.3f}")


def calibration_table(experiments: int, _: list[int]) -> None:
    """ECE of answers that are surer than they are right by the same amount everywhere: the true error."""
    errors = (0.0, 0.05, 0.1, 0.2)
    print("expected calibration error: share of intervals that hold the true error")
    print(f"{'rows':>6} {'a group':>8} {'corr.':>6}" + "".join(f"{one:10}" for one in errors))
    for rows in (60, 200, 1000):
        for size, correlation in ((1, 0.0), (4, 0.4)):
            shares = []
            for error in errors:
                held = 0
                for number in range(experiments):
                    found = calibration_interval(
                        sure_answers(rows, size, correlation, error, seed=number), resamples=400, seed=number
                    )
                    held += found.low <= error <= found.high
                shares.append(held / experiments)
            cells = "".join(f"{100 * one:10.1f}" for one in shares)
            print(f"{rows:6} {size:8} {correlation:6.1f}{cells}", flush=True)


def sure_answers(rows: int, size: int, correlation: float, error: float, *, seed: int) -> Confidences:
    """Confidences of 0.4 to 1, each too high by `error`; rows of a group are right or wrong together."""
    rng = np.random.default_rng([seed, rows, size])
    groups = np.arange(rows) // size
    confidences = rng.uniform(0.4, 1, rows)
    return Confidences(confidences, norm.cdf(_hard(rng, groups, correlation)) < confidences - error, groups)


def ranked(seed: int, rows: int, labels: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores [rows, labels] that are 1.2 deviations higher where a label is true, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, labels)) < share
    return truth * 1.2 + rng.normal(size=truth.shape), truth


def coverage(experiments: Iterator[Experiment]) -> float:
    """Share of the experiments whose interval holds the truth."""
    held = []
    for number, one in enumerate(experiments):
        found = score_interval(one.scores, resamples=RESAMPLES, seed=number)
        held.append(found.low <= one.truth <= found.high)
    return float(np.mean(held))


def shares(
    experiments: int,
    num_groups: int,
    size: int,
    correlation: float,
    accuracy: tuple[float, float],
    *,
    seed: int,
) -> Iterator[Experiment]:
    """Experiments about one share."""
    rng = np.random.default_rng(seed)
    for _ in range(experiments):
        truth = rng.uniform(*accuracy)
        groups = np.repeat(np.arange(num_groups), rng.integers(1, size + 1, num_groups))
        levels = _levels(rng, np.full(num_groups, truth), correlation)
        hits = rng.random(len(groups)) < levels[groups]
        yield Experiment([Scores(hits, np.zeros(len(groups), dtype=int), groups)], truth)


def recalls(
    experiments: int,
    num_groups: int,
    size: int,
    correlation: float,
    accuracy: tuple[float, float],
    *,
    seed: int,
    classes: int = 10,
) -> Iterator[Experiment]:
    """Experiments about the mean recall of classes that differ in how hard they are."""
    rng = np.random.default_rng(seed)
    for _ in range(experiments):
        hard = norm.cdf(norm.ppf(rng.uniform(*accuracy)) + rng.normal(0, 0.4, classes))
        kinds = np.arange(num_groups) % classes
        groups = np.repeat(np.arange(num_groups), rng.integers(1, size + 1, num_groups))
        hits = rng.random(len(groups)) < _levels(rng, hard[kinds], correlation)[groups]
        yield Experiment([Scores(hits, kinds[groups], groups)], float(hard[np.unique(kinds)].mean()))


@dataclass(frozen=True)
class Judged:
    """What came of many comparisons."""

    coverage: float
    called: float
    """Share with a p-value below 0.05."""
    differing: float
    """Groups in which the sides differ, the median."""


def judged_pairs(
    experiments: int,
    num_groups: int,
    size: int,
    likeness: float,
    accuracies: tuple[float, float],
    *,
    seed: int,
    correlation: float = 0.3,
) -> Judged:
    """Two models on the same rows; `likeness` is the correlation of what is hard for them."""
    rng = np.random.default_rng(seed)
    held, called, differing = [], [], []
    truth = accuracies[0] - accuracies[1]
    for number in range(experiments):
        groups = np.repeat(np.arange(num_groups), rng.integers(1, size + 1, num_groups))
        hard = _hard(rng, groups, correlation)
        sides = [
            np.sqrt(likeness) * hard + np.sqrt(1 - likeness) * _hard(rng, groups, correlation)
            < norm.ppf(accuracy)
            for accuracy in accuracies
        ]
        first, second = (Scores(hits, np.zeros(len(groups), dtype=int), groups) for hits in sides)
        found = paired_difference([first], [second], resamples=RESAMPLES, seed=number)
        held.append(found.low <= truth <= found.high)
        called.append(found.p_value < 0.05)
        apart = np.bincount(groups, sides[0].astype(float) - sides[1])
        differing.append(np.count_nonzero(np.abs(apart) > 1e-9))
    return Judged(float(np.mean(held)), float(np.mean(called)), float(np.median(differing)))


def judged_seeds(
    experiments: int, num_groups: int, seeds: int, deviation: float, *, seed: int, gain: float = 0.0
) -> Judged:
    """Two recipes, each trained with some seeds, whose true accuracies vary from seed to seed."""
    rng = np.random.default_rng(seed)
    held, called = [], []
    for number in range(experiments):
        groups = np.repeat(np.arange(num_groups), rng.integers(1, 4, num_groups))
        hard = _hard(rng, groups, 0.3)
        sides = []
        for mean in (0.75 + gain, 0.75):
            accuracies = np.clip(rng.normal(mean, deviation, seeds), 0.01, 0.99)
            answers = [
                np.sqrt(0.7) * hard + np.sqrt(0.3) * _hard(rng, groups, 0.3) < norm.ppf(accuracy)
                for accuracy in accuracies
            ]
            sides.append([Scores(hits, np.zeros(len(groups), dtype=int), groups) for hits in answers])
        found = paired_difference(
            *sides, first_seeds=range(seeds), second_seeds=range(seeds), resamples=RESAMPLES, seed=number
        )
        held.append(found.low <= gain <= found.high)
        called.append(found.p_value < 0.05)
    return Judged(float(np.mean(held)), float(np.mean(called)), num_groups)


def _levels(rng: np.random.Generator, means: np.ndarray, correlation: float) -> np.ndarray:
    """True share of hits of each group."""
    if correlation == 0:
        return means
    weight = (1 - correlation) / correlation
    return rng.beta(means * weight, (1 - means) * weight)


def _hard(rng: np.random.Generator, groups: np.ndarray, correlation: float) -> np.ndarray:
    """How hard each row is, standard normal, alike within groups."""
    shared = rng.normal(size=groups.max() + 1)[groups]
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=len(groups))


if __name__ == "__main__":
    main()
