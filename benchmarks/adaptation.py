"""Few labels on frozen features: how long each estimator takes, and how right it is.

Ours, scikit-learn's logistic regression (C = 1, and C chosen by its own cross-validation) and discriminant
analysis, and pytorch-metric-learning's heads (two layers, 20 epochs of batches of 128, then k-NN) fit the
same rows in turns. Three kinds of features of 512 dimensions, 640 labels of 10 classes unless said otherwise:

    white     Gaussian classes, all directions alike
    falling   Gaussian classes whose spectrum falls as 1/rank, through a ReLU: like a network's features
    emoji     the sample's images through an untrained ResNet-10-t, or --data, --label and --model; as many
              labels of each class as the smallest kept class has, up to --labels

Printed: processor seconds of a fit (median, lowest and highest of the turns), how many times as long as our
tuned logistic regression (median of the ratios within a turn, with their range), accuracy on the test rows
with its 95% interval, and what `auto` took. Its two seconds are counted on the processor's clock too, so that
other programs do not change what it has time for.

    OMP_NUM_THREADS=1 python benchmarks/adaptation.py --turns 5

What it leaves out: several threads, GPUs, encoders that were trained on the data, and the time of predicting.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from turns import machine, ratio, take_turns

from synsight.adaptation import ESTIMATORS, trials
from synsight.data.catalog import Catalog
from synsight.data.samples import sample
from synsight.evaluation.rows import read_splits
from synsight.metrics import Scores, draw_per_class, score_interval
from synsight.metrics.linear_probe import FEW_C_GRID
from synsight.models import catalog_features, load

CLASSES, DIMENSION = 10, 512
EPOCHS, BATCH, WIDTHS = 20, 128, (256, 128)
Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Training rows and labels, test rows and labels, test groups."""


def main() -> None:
    arguments = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    trials.clock = time.process_time
    print(machine("synsight", "scikit-learn", "pytorch-metric-learning", "torch", "numpy", threads=1))
    for name in arguments.cases.split(","):
        case = emoji(arguments) if name == "emoji" else synthetic(name, arguments.labels)
        print(f"\n{name}: {case[0].shape[0]} labels, {len(np.unique(case[1]))} classes, {case[0].shape[1]}-d")
        compare(case, arguments.turns)


def compare(case: Case, turns: int) -> None:
    features, labels, asked, truth, groups = case
    fitted: dict[str, Any] = {}

    def run(name: str, make: Callable[[], Any]) -> None:
        fitted[name] = make().fit(features, labels)

    steps = {name: partial(run, name, make) for name, make in contestants().items()}
    seconds = take_turns(steps, turns=turns, warm_up=1)
    for name, times in seconds.items():
        hits = fitted[name].predict(asked) == truth
        reached = score_interval([Scores(hits, np.zeros(len(hits), np.int64), groups)])
        print(
            f"  {name:28} {statistics.median(times):6.3f} s [{min(times):.3f} to {max(times):.3f}]  "
            f"{ratio(times, seconds['logistic']):>25} x logistic  "
            f"{100 * reached.value:5.1f}% [{100 * reached.low:.1f} to {100 * reached.high:.1f}]"
        )
    print(f"  auto: {fitted['auto'].reason_}")


def contestants() -> dict[str, Callable[[], Any]]:
    ours: dict[str, Callable[[], Any]] = dict(ESTIMATORS)
    ours["lda, pooled"] = partial(ESTIMATORS["lda"], covariance="pooled")
    return {
        **ours,
        "sklearn LR, C = 1": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "sklearn LogisticRegressionCV": lambda: make_pipeline(
            StandardScaler(), LogisticRegressionCV(Cs=FEW_C_GRID, cv=5, max_iter=2000)
        ),
        "sklearn LDA, lsqr, auto": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "metric-learning, SupCon": partial(MetricHead, "supcon"),
        "metric-learning, triplet": partial(MetricHead, "triplet"),
        "metric-learning, proxy-anchor": partial(MetricHead, "proxy-anchor"),
    }


class MetricHead:
    """Two layers trained by a loss of pytorch-metric-learning, then k-NN on what they give."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "MetricHead":
        from pytorch_metric_learning import losses

        torch.manual_seed(0)
        self.scaler = StandardScaler().fit(features)
        rows = torch.from_numpy(self.scaler.transform(features).astype(np.float32))
        targets = torch.from_numpy(labels)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(rows.shape[1], WIDTHS[0]), torch.nn.ReLU(), torch.nn.Linear(*WIDTHS)
        )
        loss = {
            "supcon": losses.SupConLoss,
            "triplet": losses.TripletMarginLoss,
            "proxy-anchor": partial(losses.ProxyAnchorLoss, int(labels.max()) + 1, WIDTHS[1]),
        }[self.kind]()
        optimiser = torch.optim.Adam([*self.net.parameters(), *loss.parameters()], lr=1e-3)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(rows)).split(BATCH):
                optimiser.zero_grad()
                loss(self.net(rows[batch]), targets[batch]).backward()
                optimiser.step()
        self.neighbours = KNeighborsClassifier(n_neighbors=5, metric="cosine")
        self.neighbours.fit(self._embedded(features), labels)
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.neighbours.predict(self._embedded(features))

    def _embedded(self, features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.net(torch.from_numpy(self.scaler.transform(features).astype(np.float32))).numpy()


def synthetic(kind: str, per_class: int) -> Case:
    rng = np.random.default_rng(0)
    falling = kind == "falling"
    mix = rng.normal(size=(DIMENSION, DIMENSION)) / np.arange(1, DIMENSION + 1)[:, None] if falling else None
    centres = rng.normal(size=(CLASSES, DIMENSION)) * (0.6 if falling else 0.2)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(CLASSES * count) % CLASSES
        rows = centres[labels] + rng.normal(size=(len(labels), DIMENSION))
        rows = rows if mix is None else np.maximum(rows @ mix + 0.5, 0)
        return rows.astype(np.float32), labels

    train, test = draw(per_class), draw(200)
    return *train, *test, np.arange(len(test[1]))


def emoji(arguments: argparse.Namespace) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            sample("emoji", out=Path(folder) / "cat")
        catalog = Catalog.open(arguments.data or Path(folder) / "cat")
        splits = read_splits(catalog, arguments.label)
        model = load(arguments.model, image_size=arguments.image_size, seed=0)
        where = f"`{arguments.label}` IS NOT NULL"
        positions, features = catalog_features(model, catalog, where=where, progress=False)
    train, test = (features[np.searchsorted(positions, one.positions)] for one in (splits.train, splits.test))
    counts = np.bincount(splits.train.labels)
    large = np.sort(counts)[::-1][: arguments.classes].min()
    drawn = draw_per_class(splits.train.labels, per_class=int(min(arguments.labels, large)), seed=0)
    known = np.isin(splits.test.labels, drawn.classes)
    return (
        train[drawn.rows],
        splits.train.labels[drawn.rows],
        test[known],
        splits.test.labels[known],
        splits.test.group_codes[known],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cases", default="white,falling,emoji")
    parser.add_argument("--labels", type=int, default=64, help="of each class, at most")
    parser.add_argument("--classes", type=int, default=10, help="of the catalog, at most: the largest")
    parser.add_argument("--data", help="a catalog in place of the emoji sample")
    parser.add_argument("--label", default="category")
    parser.add_argument("--model", default="random:resnet10t")
    parser.add_argument("--image-size", type=int, default=48)
    return parser.parse_args()


if __name__ == "__main__":
    main()
