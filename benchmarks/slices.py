"""How often does `slices` find something where there is nothing, and does it find what there is?

Simulated answers, so that the truth is known: images in groups of three that are alike (as drawings of one
concept), 500 words that groups share. Nothing planted: how many looks find any slice, any pair, against plain
Fisher tests without correction and with correction but as if images were independent. One word of 60 to 90
images planted: how often it is found, and how far the measured and the shrunk accuracy lie from the truth.

    python benchmarks/slices.py [--looks 200]
"""

import argparse
import platform

import numpy as np
from scipy.sparse import csr_array

from synsight.deployment.slice_search import corrected, paired_slices, single_slices
from synsight.metrics.rate_tests import more_often

GROUPS, ROWS_PER_GROUP, WORDS = 400, 3, 500
LEVEL = 0.05


def drawn(seed: int, planted: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, csr_array]:
    """Hits, chances, labels, groups, members; word 0 lowers the chance of a hit by `planted`."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(GROUPS), ROWS_PER_GROUP)
    shares = rng.uniform(0.02, 0.3, WORDS)
    shares[0] = 0.07
    words = rng.random((GROUPS, WORDS)) < shares
    chance = np.clip(rng.beta(6, 2, GROUPS) - planted * words[:, 0], 0.02, 1)[groups]
    members = words[groups].astype(np.float64)
    kept = members.sum(axis=0) >= 20
    kept[0] = True
    labels = rng.integers(0, 5, GROUPS)[groups]
    return rng.random(len(groups)) < chance, chance, labels, groups, csr_array(members[:, kept])


def nothing_planted(looks: int) -> None:
    counts = {"no correction": 0, "corrected, images as independent": 0, "slices": 0, "pairs": 0}
    for seed in range(looks):
        hits, _, labels, groups, members = drawn(seed, 0.0)
        alone = more_often(~hits, members, np.arange(len(hits)))
        counts["no correction"] += bool((alone.p_values <= LEVEL).any())
        counts["corrected, images as independent"] += bool((corrected(alone.p_values) <= LEVEL).any())
        counts["slices"] += bool((single_slices(hits, labels, groups, members).q_values <= LEVEL).any())
        pairs = paired_slices(hits, groups, members, np.full(members.shape[1], -1), min_rows=20, seed=seed)
        counts["pairs"] += bool((pairs.q_values <= LEVEL).any())
    print(f"nothing planted, {looks} looks at about {WORDS} words: looks that find something")
    for name, count in counts.items():
        print(f"  {name:34s} {count / looks:6.1%}")


def one_planted(looks: int) -> None:
    print(f"one word planted, {looks} looks each: found; measured and shrunk accuracy less the true one")
    for planted in (0.1, 0.2, 0.3, 0.4):
        found, measured, shrunk = 0, [], []
        for seed in range(looks):
            hits, chance, labels, groups, members = drawn(10_000 + seed, planted)
            singles = single_slices(hits, labels, groups, members)
            worst = int(singles.tests.p_values.argmin())
            found += bool(singles.q_values[0] <= LEVEL)
            inside = members[:, [worst]].toarray().ravel() > 0
            truth = chance[inside].mean()
            measured.append(1 - singles.tests.rates[worst] - truth)
            shrunk.append(singles.shrunk[worst] - truth)
        print(
            f"  {planted:.0%} lower: {found / looks:6.1%}   worst slice: measured {np.mean(measured):+.3f}, "
            f"shrunk {np.mean(shrunk):+.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--looks", type=int, default=200)
    given = parser.parse_args()
    print(f"numpy {np.__version__}, python {platform.python_version()}")
    nothing_planted(given.looks)
    one_planted(given.looks)
