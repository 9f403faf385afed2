"""The linear probe against scikit-learn's LogisticRegression, over the same path of penalties.

Two kinds of features: those of an untrained ResNet-10-t on the emoji sample, and synthetic ones with a
spectrum that falls as 1/rank, along which classes differ clearly (so that a weak penalty has its optimum far
away). Both go from strong to weak penalty with warm starts. Printed: processor time of scikit-learn over
ours, within turns, and by how much each objective is above the lower one, the worst of the path.

    python benchmarks/linear_probe.py --turns 5

What it leaves out: sparse features, more rows than fit memory, and scikit-learn's other solvers.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from turns import machine, ratio, take_turns

from synsight.data.catalog import Catalog
from synsight.data.samples import sample
from synsight.metrics.softmax_regression import softmax_path
from synsight.models import catalog_features, load

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TOLERANCE = 1e-4
"""Of scikit-learn's gradient: its default. Ours has its own."""
SIZES = ((500, 512, 9), (1_000, 512, 99), (5_000, 512, 9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")
    print(machine("synsight", "scikit-learn", "numpy", threads=1))
    cases = {f"emoji, {label}": sampled(label) for label in ("category", "subcategory")}
    cases |= {
        f"synthetic, {rows:,} rows": example(rows, dimension, classes) for rows, dimension, classes in SIZES
    }
    for name, (features, labels) in cases.items():
        found: dict[str, list[float]] = {}

        def ours(features: np.ndarray = features, labels: np.ndarray = labels, found: dict = found) -> None:
            path = softmax_path(features, labels, grid=GRID)
            found["ours"] = [objective(one.weight, one.bias, one.c, features, labels) for one in path]

        def theirs(features: np.ndarray = features, labels: np.ndarray = labels, found: dict = found) -> None:
            regression = LogisticRegression(max_iter=10_000, tol=TOLERANCE, warm_start=True)
            found["theirs"] = []
            for c in GRID:
                regression.set_params(C=c).fit(features, labels)
                found["theirs"].append(
                    objective(regression.coef_, regression.intercept_, c, features, labels)
                )

        seconds = take_turns({"theirs": theirs, "ours": ours}, turns=turns, warm_up=1)
        pairs = list(zip(found["ours"], found["theirs"], strict=True))
        above = [max(pair[side] / min(pair) - 1 for pair in pairs) for side in (0, 1)]
        shape = f"{len(labels):,} x {features.shape[1]}, {len(np.unique(labels))} classes"
        print(f"{name}: {shape}: {ratio(seconds['theirs'], seconds['ours'])} times faster")
        print(f"  above the lower objective: ours {above[0]:.1e}, scikit-learn {above[1]:.1e}")


def sampled(label: str) -> tuple[np.ndarray, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        sample("emoji", out=Path(folder) / "cat")
        catalog = Catalog.open(Path(folder) / "cat")
        model = load("random:resnet10t", image_size=48, seed=0)
        positions, features = catalog_features(model, catalog, where="split = 'train'", progress=False)
        names = catalog.take(positions, [label])[label].to_pylist()
    scaled = (features - features.mean(axis=0)) / np.where(features.std(axis=0) > 0, features.std(axis=0), 1)
    return scaled.astype(np.float32), np.unique(np.array(names, dtype=str), return_inverse=True)[1]


def example(rows: int, dimension: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=rows)
    mix = rng.normal(size=(dimension, dimension)) / np.arange(1, dimension + 1)[:, None]
    hidden = 1.5 * rng.normal(size=(classes, dimension))[labels] + rng.normal(size=(rows, dimension))
    features = hidden @ mix
    standardised = (features - features.mean(axis=0)) / features.std(axis=0)
    return standardised.astype(np.float32), labels


def objective(
    weight: np.ndarray, bias: np.ndarray, c: float, features: np.ndarray, labels: np.ndarray
) -> float:
    logs = log_softmax(features.astype(np.float64) @ weight.T + bias, axis=1)
    return float(-logs[np.arange(len(labels)), labels].sum() + (weight**2).sum() / (2 * c))


if __name__ == "__main__":
    main()
