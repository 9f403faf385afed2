"""How many captions a second does a core embed: our encoder against sentence-transformers, same weights?

    python benchmarks/sentences.py [--model minilm] [--data captions.parquet ...] [--captions 2048]

Variants, alternated in one process on one thread, timed by the process's own processor clock:

    peer        SentenceTransformer.encode in float32, batch 64 (it sorts captions by length, too)
    peer bf16   the same under bfloat16 autocast
    ours fp32   synsight's encoder, float32: batches of almost equal length
    ours        synsight's encoder as `load_text_encoder` gives it (bfloat16 weights where computed)

Captions are distinct, so that encoding each distinct one once (which ours does) wins nothing. Agreement is
the cosine with the peer in float32, and how often the nearest other caption is the same. Left out: loading,
GPUs, several threads, models other than the one named.
"""

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer

import synsight.data
from synsight.models.text import load_text_encoder
from synsight.models.text.loading import model_folder

BATCH = 64
Encode = Callable[[Sequence[str]], np.ndarray]


def read_captions(paths: Sequence[Path], column: str, most: int) -> list[str]:
    """Distinct captions in random order."""
    read = [text for path in paths for text in pq.read_table(path, columns=[column])[column].to_pylist()]
    captions = list(dict.fromkeys(text for text in read if text and text.strip()))
    random.Random(0).shuffle(captions)
    return captions[:most]


def variants(model: str) -> tuple[dict[str, Encode], SentenceTransformer]:
    peer = SentenceTransformer(str(model_folder(model)), device="cpu", model_kwargs={"use_safetensors": True})

    def plain(captions: Sequence[str]) -> np.ndarray:
        return peer.encode(list(captions), batch_size=BATCH, normalize_embeddings=True)

    def autocast(captions: Sequence[str]) -> np.ndarray:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return peer.encode(list(captions), batch_size=BATCH, normalize_embeddings=True)

    exact = load_text_encoder(model, device="cpu", precision="fp32")
    usual = load_text_encoder(model, device="cpu")
    named = {"peer": plain, "peer bf16": autocast, "ours fp32": exact.encode, "ours": usual.encode}
    return named, peer


def measure(named: dict[str, Encode], captions: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Captions a second of each variant in each round; the order is turned round every other time."""
    rates: dict[str, list[float]] = {name: [] for name in named}
    for round_ in range(rounds + 1):
        part = captions if round_ else captions[:BATCH]  # the first round warms up
        for name, encode in list(named.items())[:: 1 if round_ % 2 else -1]:
            start = time.process_time()
            encode(part)
            if round_:
                rates[name].append(len(part) / (time.process_time() - start))
    return rates


def nearest(embeddings: np.ndarray) -> np.ndarray:
    similarities = embeddings @ embeddings.T
    np.fill_diagonal(similarities, -np.inf)
    return similarities.argmax(axis=1)


def report(named: dict[str, Encode], captions: Sequence[str], rounds: int) -> None:
    expected = named["peer"](captions)
    rates = measure(named, captions, rounds)
    print(f"{'':10} {'captions/s':>10}   against the peer   cosine mean (min)   same nearest caption")
    for name, encode in named.items():
        embeddings = encode(captions)
        cosines = (embeddings * expected).sum(axis=1)
        same = (nearest(embeddings) == nearest(expected)).mean()
        ratios = [value / base for value, base in zip(rates[name], rates["peer"], strict=True)]
        print(
            f"{name:10} {statistics.median(rates[name]):>10,.0f}   "
            f"{statistics.median(ratios):4.2f}x [{min(ratios):.2f}-{max(ratios):.2f}]   "
            f"{cosines.mean():.5f} ({cosines.min():.5f})   {same:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="minilm", help="a sentence-transformers model, as for synsight")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="Parquet files")
    parser.add_argument("--column", default="caption")
    parser.add_argument("--captions", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    paths = arguments.data or sorted(Path(synsight.data.__file__).parent.rglob("*.parquet"))
    captions = read_captions(paths, arguments.column, arguments.captions)
    named, peer = variants(arguments.model)
    lengths = [len(ids) for ids in peer.tokenizer(captions)["input_ids"]]
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("synsight", "torch", "transformers", "sentence-transformers")
    )
    print(
        f"{platform.processor() or platform.machine()}, one thread of {os.cpu_count()}, load "
        f"{os.getloadavg()[0]:.1f}; {versions}"
    )
    print(
        f"{arguments.model}: {len(captions):,} distinct captions of {statistics.mean(lengths):.1f} tokens "
        f"(longest {max(lengths)}); {arguments.rounds} rounds"
    )
    report(named, captions, arguments.rounds)


if __name__ == "__main__":
    main()
