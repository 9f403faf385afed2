"""Several labels a row: the one-vs-rest probe against scikit-learn's LogisticRegression, one label at a time.

Features are those of an untrained ResNet-10-t on the emoji sample with its most frequent keywords as labels,
and synthetic ones whose labels are random half-spaces, seen with noise. Both go from strong to weak penalty
with warm starts. Printed: processor time of scikit-learn over ours, within turns, by how much each objective
(summed over the labels) is above the lower one, the worst of the path, and the mean average precision on the
training rows beside the labels' mean share, which is that of random scores.

    OMP_NUM_THREADS=1 python benchmarks/one_vs_rest.py --turns 2

What it leaves out: sparse features, the choice of the penalty, and test rows: both find one optimum.
"""

import argparse
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from turns import machine, ratio, take_turns

from synsight.data.catalog import Catalog
from synsight.data.samples import sample
from synsight.metrics.average_precision import mean_average_precision
from synsight.metrics.one_vs_rest import one_vs_rest_path
from synsight.models import catalog_features, load

GRID = (1e-4, 1e-3, 1e-2, 1e-1)
SIZES = ((2_000, 256, 20), (1_000, 512, 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--keywords", type=int, default=40, help="most frequent ones of the emoji sample")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine("synsight", "scikit-learn", "numpy", threads=1))
    cases = {"emoji, keywords": sampled(asked.keywords)}
    cases |= {f"synthetic, {size[0]:,} rows": example(*size) for size in SIZES}
    for name, (features, truth) in cases.items():
        compare(name, features, truth, turns=asked.turns)


def compare(name: str, features: np.ndarray, truth: np.ndarray, *, turns: int) -> None:
    """One line of time, one of how well."""
    found: dict[str, list[float]] = {}
    scores: list[np.ndarray] = []

    def ours() -> None:
        path = list(one_vs_rest_path(features, truth, grid=GRID))
        found["ours"] = [objective(one.weight, one.bias, one.c, features, truth) for one in path]
        scores[:] = [path[-1].probabilities(features)]

    def theirs() -> None:
        total = np.zeros(len(GRID))
        for label in truth.T:
            regression = LogisticRegression(max_iter=10_000, warm_start=True)
            for place, c in enumerate(GRID):
                regression.set_params(C=c).fit(features, label)
                total[place] += objective(
                    regression.coef_, regression.intercept_, c, features, label[:, None]
                )
        found["theirs"] = total.tolist()

    seconds = take_turns({"theirs": theirs, "ours": ours}, turns=turns, warm_up=0)
    pairs = list(zip(found["ours"], found["theirs"], strict=True))
    above = [max(pair[side] / min(pair) - 1 for pair in pairs) for side in (0, 1)]
    shape = f"{features.shape[0]:,} x {features.shape[1]}, {truth.shape[1]} labels"
    print(f"{name}: {shape}: {ratio(seconds['theirs'], seconds['ours'])} times faster")
    print(f"  above the lower objective: ours {above[0]:.1e}, scikit-learn {above[1]:.1e}")
    fits = mean_average_precision(scores[0], truth)
    print(
        f"  training rows, C = {GRID[-1]:g}: mAP {fits:.3f}; random scores {truth.mean():.3f}",
        flush=True,
    )


def sampled(keywords: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features [N, D] and truth [N, labels]."""
    with tempfile.TemporaryDirectory() as folder:
        sample("emoji", out=Path(folder) / "cat")
        catalog = Catalog.open(Path(folder) / "cat")
        model = load("random:resnet10t", image_size=48, seed=0)
        positions, features = catalog_features(model, catalog, where="split = 'train'", progress=False)
        lists = catalog.take(positions, ["keywords"])["keywords"].to_pylist()
    counted = Counter(one for some in lists for one in set(some or []))
    labels = [one for one, _ in counted.most_common(keywords)]
    truth = np.array([[one in (some or []) for one in labels] for some in lists])
    return standardised(features), truth


def example(rows: int, dimension: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with a spectrum that falls as 1/rank; a label is true of a tenth of the rows."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(dimension, dimension)) / np.arange(1, dimension + 1)[:, None]
    features = standardised(rng.normal(size=(rows, dimension)) @ mix)
    seen = features @ rng.normal(size=(dimension, labels)) / np.sqrt(dimension)
    scores = seen + rng.normal(size=seen.shape) * seen.std()
    return features, scores > np.quantile(scores, 0.9, axis=0)


def standardised(features: np.ndarray) -> np.ndarray:
    deviation = features.std(axis=0)
    return ((features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)


def objective(
    weight: np.ndarray, bias: np.ndarray, c: float, features: np.ndarray, truth: np.ndarray
) -> float:
    """Log loss, summed, with the L2 penalty."""
    signed = np.where(truth, -1, 1) * (features.astype(np.float64) @ weight.T + bias)
    return float(np.logaddexp(0, signed).sum() + (weight**2).sum() / (2 * c))


if __name__ == "__main__":
    main()
