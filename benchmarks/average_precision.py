"""How long do intervals of mean average precision take, against scikit-learn called once a resample?

Scores of many labels a row with ties, some true in few rows. Both weigh the same rows in the same resamples,
and must agree; scikit-learn sorts anew each time, ours sorts once. Printed: processor time of scikit-learn
over ours, within turns.

    OMP_NUM_THREADS=1 python benchmarks/average_precision.py --turns 3

What it leaves out: the drawing of resamples, which is the same, and groups of more than one row.
"""

import argparse

import numpy as np
from sklearn.metrics import average_precision_score
from turns import machine, ratio, take_turns

from synsight.metrics.average_precision import average_precisions

SIZES = ((500, 20), (2_000, 100), (5_000, 200))
RESAMPLES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    print(machine("synsight", "scikit-learn", "numpy", threads=1))
    for rows, classes in SIZES:
        rng = np.random.default_rng(0)
        truth = rng.random((rows, classes)) < 0.03
        truth[0] = True
        scores = np.round(rng.random(truth.shape) + 0.3 * truth, 3)

        def ours(scores=scores, truth=truth, rows=rows):
            return average_precisions(scores, truth, np.arange(rows), resamples=RESAMPLES)

        def theirs(scores=scores, truth=truth, rows=rows):
            drawn = np.random.default_rng(0).multinomial(rows, np.full(rows, 1 / rows), RESAMPLES)
            return [
                average_precision_score(truth, scores, average=average, sample_weight=weights)
                for weights in (np.ones(rows), *drawn)
                for average in ("macro", "micro")
            ]

        whole, found = theirs()[:2], ours()
        np.testing.assert_allclose(whole, [found.macro.value, found.micro.value], rtol=1e-9)
        seconds = take_turns({"scikit-learn": theirs, "ours": ours}, turns=turns, warm_up=0)
        print(f"{rows:,} rows x {classes} labels: {ratio(seconds['scikit-learn'], seconds['ours'])} times")


if __name__ == "__main__":
    main()
