"""Are the calibrated scores of words what they say?

A model's words on catalogs whose captions were put into words: curves are fitted on the val rows and asked
about the test rows, none of whose groups they saw. Of the five words seen most in each image, and of the
first alone:

    error    mean distance between scores and the share that stands in a caption (ECE, 15 bins), with its
             95% interval over groups
    Brier    mean squared distance of the scores from 0 and 1, less that of the model's own scores; its 95%
             interval over groups
    found    share that stands in a caption

    own         the model's own scores
    line        Platt scaling: one line in the logit, over all pairs of image and word
    word lines  a line for each word, drawn to the pooled one by a Gaussian prior
    curve       what `explain` does: centred isotonic regression over all pairs

Run it on catalogs of the model's kind and on others:

    synsight sample emoji --out cat/ && synsight words cat/ --text-columns caption,keywords
    synsight pretrain catlip --data cat/ --out run/
    python benchmarks/word_calibration.py run/model cat/

What it leaves out: whether the thing is in the image. Captions leave things out.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from turns import machine

from synsight.data.catalog import Catalog
from synsight.explanation.calibration import NAMED, fit_calibration
from synsight.explanation.reference import word_rows
from synsight.metrics.calibration import Confidences, calibration_interval
from synsight.models import load
from synsight.models.features import catalog_features
from synsight.models.saved import Model
from synsight.seeding import generator

Curve = Callable[[np.ndarray], np.ndarray]
PRIOR = 0.25, 1.0
"""Deviations of a word's slope and offset from the pooled ones, for logits of deviation 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("catalogs", nargs="+")
    options = parser.parse_args()
    model = load(options.model)
    print(machine("synsight", "torch", "scikit-learn", threads=torch.get_num_threads()))
    for path in options.catalogs:
        catalog = Catalog.open(path)
        fitted, asked = (rows_of(model, catalog, split) for split in ("val", "test"))
        print(f"\n{catalog.name}: fitted on {len(fitted[0])} images, asked about {len(asked[0])}")
        report(curves(*fitted[:2]), *asked)


def rows_of(model: Model, catalog: Catalog, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(logits, present, groups) of the words that the catalog has, too."""
    where = f"split = '{split}'"
    found = word_rows(catalog, model.vocabulary, where)
    if found is None or not len(found[0]):
        raise SystemExit(f"{catalog.path}: expected words and {split} rows; run `synsight words` first.")
    positions, present, known = found
    _, features = catalog_features(model, catalog, where=where, progress=False)
    logits = model.word_logits(torch.from_numpy(features)).double().numpy()
    named = catalog.take(positions, ["group"])["group"].to_pylist()
    alone = [one if one is not None else position for one, position in zip(named, positions, strict=True)]
    groups = np.unique([str(one) for one in alone], return_inverse=True)[1]
    return logits[:, known], present[:, known], groups


def curves(logits: np.ndarray, present: np.ndarray) -> dict[str, Curve]:
    slope, offset = line(logits.reshape(-1, 1), present.reshape(-1, 1), centre=(1.0, 0.0), spread=(1e3, 1e3))
    scale = logits.std()
    slopes, offsets = line(logits / scale, present, centre=(slope[0] * scale, offset[0]), spread=PRIOR)
    return {
        "own": expit,
        "line": lambda z: expit(slope * z + offset),
        "word lines": lambda z: expit(np.maximum(slopes, 0) * z / scale + offsets),
        "curve": fit_calibration(logits, present).probabilities,
    }


def line(
    z: np.ndarray, present: np.ndarray, *, centre: tuple[float, float], spread: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """(slopes, offsets) [columns] of penalised logistic regressions, one a column."""
    columns = z.shape[1]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, offsets = values.reshape(2, columns)
        x = slopes * z + offsets
        error = expit(x) - present
        apart = [(slopes - centre[0]) / spread[0], (offsets - centre[1]) / spread[1]]
        value = (np.logaddexp(0, x) - present * x).sum() + sum((one**2).sum() for one in apart) / 2
        gradient = [(error * z).sum(0) + apart[0] / spread[0], error.sum(0) + apart[1] / spread[1]]
        return value, np.concatenate(gradient)

    start = np.repeat(centre, columns)
    slopes, offsets = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(2, columns)
    return slopes, offsets


def report(found: dict[str, Curve], logits: np.ndarray, present: np.ndarray, groups: np.ndarray) -> None:
    for count in (NAMED, 1):
        print(f"  the first {count}" if count > 1 else "  the first")
        squares = {}
        for name, curve in found.items():
            scores = curve(logits)
            named = np.lexsort((-logits, -scores), axis=1)[:, :count]
            said, hits = (np.take_along_axis(one, named, axis=1) for one in (scores, present))
            squares[name] = ((said - hits) ** 2).mean(axis=1)
            each = np.repeat(groups, count)
            error = calibration_interval(Confidences(said.ravel(), hits.ravel(), each))
            print(
                f"    {name:10s} error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})"
                f"   Brier {difference(squares[name] - squares['own'], groups)}   found {hits.mean():.3f}"
            )


def difference(values: np.ndarray, groups: np.ndarray, *, resamples: int = 2000) -> str:
    """Mean with its percentile interval over groups."""
    sums, rows = np.bincount(groups, values), np.bincount(groups)
    drawn = generator(0, "interval").integers(len(rows), size=(resamples, len(rows)))
    low, high = np.quantile(sums[drawn].sum(1) / rows[drawn].sum(1), (0.025, 0.975))
    return f"{values.mean():+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
