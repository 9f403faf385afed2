"""How long does it take to find every caption's nearest other caption, against faiss at the same recall?

    python benchmarks/neighbours.py [--rows 100000] [--data clusters|glosses|VECTORS.npy] [--turns 3]

Variants, one thread each, in turns, by the process's own processor clock; building an index counts:

    lists       synsight, index="lists": k-means lists, with its exact search of 1,000 rows that states the
                recall
    exact       synsight, index="exact"
    faiss ivf   IndexIVFFlat, 4 sqrt(N) lists, the fewest probes that find what `lists` found
    faiss flat  IndexFlatIP; its time is computed from that of 1,000 queries, and so is that of `exact`

Recall is checked for all in the same way: of 2,000 other rows, how many found a row as near as the nearest,
which float64 tells. Data: unit vectors of 384 dimensions in clusters of Zipf's sizes; or WordNet's glosses
(Debian's wordnet-base) embedded by MiniLM, which is text, and takes minutes once; or a file.

Left out: GPUs, more threads, k > 1, HNSW (its build alone takes longer than `lists`).
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from turns import machine, ratio, take_turns

from synsight.language import nearest
from synsight.language.points import Best, Memory, Points, compare

Vectors = NDArray[np.float32]
DIMENSIONS = 384
CHECKED, TIMED = 2_000, 1_000
PROBES = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 80, 96, 128)
WORDNET = Path("/usr/share/wordnet")


def clusters(rows: int, *, noise: float) -> Vectors:
    """Rows around rows / 40 directions, of which the n-th has a share of 1 / n."""
    draw = np.random.default_rng(0)
    centres = unit(draw.standard_normal((rows // 40, DIMENSIONS), dtype=np.float32))
    shares = 1 / np.arange(1, len(centres) + 1)
    members = draw.choice(len(centres), rows, p=shares / shares.sum())
    spread = noise / np.sqrt(DIMENSIONS) * draw.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    return unit(centres[members] + spread)


def glosses(rows: int) -> Vectors:
    """Distinct glosses of WordNet, embedded by MiniLM."""
    from synsight.models.text import load_text_encoder

    texts = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="utf-8").splitlines():
            texts.append(line.partition(" | ")[2].split(";")[0].strip())
    texts = list(dict.fromkeys(text for text in texts if text))
    np.random.default_rng(0).shuffle(texts)
    return load_text_encoder("minilm").encode(texts[:rows], progress=True)


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def checked_rows(vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Some rows, and the cosine of each to its nearest other row."""
    rows = np.random.default_rng(1).choice(len(vectors), min(CHECKED, len(vectors)), replace=False)
    best = np.empty(len(rows))
    for start in range(0, len(rows), 100):
        part = rows[start : start + 100]
        cosines = vectors[part].astype(np.float64) @ vectors.T.astype(np.float64)
        cosines[np.arange(len(part)), part] = -2
        best[start : start + 100] = cosines.max(axis=1)
    return rows, best


def found_share(
    vectors: Vectors, rows: NDArray[np.int64], best: NDArray[np.float64], found: NDArray[np.int64]
) -> float:
    """Share of rows [R] whose neighbour found [R] is as near as the nearest."""
    cosines = np.einsum("rd,rd->r", vectors[rows].astype(np.float64), vectors[found].astype(np.float64))
    return float((cosines >= best - 1e-4).mean())


class Ivf:
    """faiss's inverted lists over all rows."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        lists = int(4 * np.sqrt(len(vectors)))
        self.quantiser = faiss.IndexFlatIP(vectors.shape[1])
        self.index = faiss.IndexIVFFlat(self.quantiser, vectors.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        self.index.train(vectors)
        self.index.add(vectors)

    def search(self, probes: int, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """The nearest other row of each."""
        rows = np.arange(len(self.vectors)) if rows is None else rows
        self.index.nprobe = probes
        _, found = self.index.search(self.vectors[rows], 2)
        return np.where(found[:, 0] == rows, found[:, 1], found[:, 0])


def exact_for(vectors: Vectors, rows: NDArray[np.int64]) -> Callable[[], object]:
    """synsight's exact search for some rows among all."""
    points = Points(vectors, spread=2**-15, seed=0)
    memory = Memory(points)

    def search() -> None:
        best = Best(len(vectors), 1, floor=-2)
        compare(points, best, rows, points.alive, memory=memory)

    return search


def flat_for(vectors: Vectors, rows: NDArray[np.int64]) -> Callable[[], object]:
    """faiss's exact search for some rows among all."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda: index.search(vectors[rows], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", default="clusters", help="clusters, glosses, or a file of vectors (.npy)")
    parser.add_argument("--noise", type=float, default=0.5, help="of clusters: 1 is as long as the centre")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    if options.data == "clusters":
        vectors = clusters(options.rows, noise=options.noise)
    elif options.data == "glosses":
        vectors = glosses(options.rows)
    else:
        vectors = unit(np.load(options.data)[: options.rows].astype(np.float32))
    vectors = unit(vectors.astype(np.float16).astype(np.float32))  # as a catalog keeps them
    rows = len(vectors)
    some = np.arange(min(TIMED, rows))
    with threadpool_limits(1):
        measure(vectors, some, options)


def measure(vectors: Vectors, some: NDArray[np.int64], options: argparse.Namespace) -> None:
    rows = len(vectors)
    checked, best = checked_rows(vectors)
    ours = nearest(vectors.astype(np.float16), k=1, index="lists")
    shares = {"exact": 1.0, "faiss flat": 1.0}
    shares["lists"] = found_share(vectors, checked, best, ours.indices[checked, 0])
    ivf = Ivf(vectors)
    for probes in PROBES:
        shares["faiss ivf"] = found_share(vectors, checked, best, ivf.search(probes, checked))
        if shares["faiss ivf"] >= shares["lists"]:
            break
    stored = vectors.astype(np.float16)
    seconds = take_turns(
        {
            "lists": lambda: nearest(stored, k=1, index="lists"),
            "faiss ivf": lambda: Ivf(vectors).search(probes),
            "exact": exact_for(stored, some),
            "faiss flat": flat_for(vectors, some),
        },
        turns=options.turns,
        warm_up=0,
    )
    for name in ("exact", "faiss flat"):
        seconds[name] = [one * rows / len(some) for one in seconds[name]]
    print(machine("numpy", "torch", "faiss-cpu", threads=1))
    print(f"{rows:,} rows x {vectors.shape[1]}, {options.data}")
    print(f"lists: {ours.probes:.1f} of {ours.lists} a row, recall stated {ours.recall:.3f}")
    print(f"faiss: {probes} of {ivf.index.nlist} lists a row")
    for name, values in seconds.items():
        against = ratio(values, seconds["lists"])
        print(
            f"{name:11s} {statistics.median(values):8.1f} s [{min(values):.1f} to {max(values):.1f}]  "
            f"recall {shares[name]:.3f}  time / lists {against}"
        )


if __name__ == "__main__":
    main()
