"""Does the memory of an evaluation grow with the number of images only by the features it must hold?

    python benchmarks/evaluate_memory.py [--rows 5000 20000 50000] [--tasks embed features knn fewshot linear]

Synthetic rows (16 x 16 PNGs of noise, ten classes, 70/10/20) and an encoder with the 2,048 outputs of a
ResNet-50 that costs next to nothing. Every step runs in a process of its own, whose peak resident memory is
printed; the last lines say how many bytes a row it grew by between the two largest numbers of rows, since
buffers of a fixed size still fill below. The features of a row are 8,192 bytes in memory (float32) and 4,096
in the catalog (float16). `embed` computes and keeps them, `features` reads those of the labelled rows, the
others ask their question of these.
Left out: an encoder's own activations, which are those of one batch.
"""

import argparse
import io
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from synsight.data.catalog import Catalog, Commit

WIDTH, SIDE, CLASSES = 2048, 16, 10
TASKS = ("embed", "features", "knn", "fewshot", "linear")


def write_catalog(path: Path, rows: int, *, at_once: int = 5000) -> None:
    """Made-up rows, the same on every run."""
    schema = pa.schema(
        [("id", pa.string()), ("image", pa.binary()), ("split", pa.string()), ("kind", pa.string())]
    )
    catalog = Catalog.create(path, schema, commit=Commit(verb="benchmark"))
    rng = np.random.default_rng(0)
    for start in range(0, rows, at_once):
        count = min(at_once, rows - start)
        numbers = range(start, start + count)
        splits = ["train" if n % 10 < 7 else "val" if n % 10 == 7 else "test" for n in numbers]
        kinds = [f"class {n // 10 % CLASSES}" for n in numbers]
        images = [_png(rng) for _ in numbers]
        batch = pa.record_batch([[f"row{n:07}" for n in numbers], images, splits, kinds], schema=schema)
        catalog.append(catalog.write_fragment(batch), commit=Commit(verb="benchmark"))


def _png(rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(out, "PNG", compress_level=0)
    return out.getvalue()


def run(task: str, path: str) -> None:
    """One step of an evaluation, as a process of its own."""
    import torch
    from torch import nn

    from synsight.evaluation.estimators import ESTIMATORS
    from synsight.evaluation.questions import Features, Question, ask
    from synsight.evaluation.rows import read_splits
    from synsight.models import Model, ModelConfig, embed, features_at

    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH), nn.ReLU())
    config = ModelConfig(
        encoder="resnet50",
        image_size=SIDE,
        embedding_dim=WIDTH,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    model, catalog = Model(encoder, config), Catalog.open(path)
    if task == "embed":
        embed(model, catalog, progress=False)
        return
    splits = read_splits(catalog, "kind")
    parts = [one.positions for one in (splits.train, splits.val, splits.test)]
    train, val, test = features_at(model, catalog, parts, progress=False)
    features = Features(train=train, val=val, test=test)
    if task != "features":
        question = Question(task, 10 if task == "fewshot" else None, 0)
        for _ in ask([question], features, splits, estimators=ESTIMATORS):
            pass


def peak_bytes(task: str, path: Path) -> int:
    """Peak resident memory of a step."""
    program = (
        f"from evaluate_memory import run; run({task!r}, {str(path)!r}); import resource; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    return int(done.stdout.split()[-1]) * 1024


def main() -> None:
    """Measure every step for every number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 20_000, 50_000])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    arguments = parser.parse_args()
    print(platform.platform(), "| python", platform.python_version(), end=" | ")
    print(*(f"{name} {version(name)}" for name in ("torch", "numpy", "pylance")), sep=", ")
    peaks: dict[str, dict[int, int]] = {task: {} for task in arguments.tasks}
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            catalog = Path(folder) / f"cat_{rows}"
            write_catalog(catalog, rows)
            for task in dict.fromkeys(("embed", *arguments.tasks)):
                peak = peak_bytes(task, catalog)
                peaks.setdefault(task, {})[rows] = peak
                print(f"{task:9} {rows:>8,} rows: {peak / 2**20:7,.0f} MB peak", flush=True)
    low, high = sorted(arguments.rows)[-2:] if len(arguments.rows) > 1 else (0, 0)
    for task, found in peaks.items():
        if low < high:
            print(f"{task:9} {(found[high] - found[low]) / (high - low):10,.0f} bytes a row more")


if __name__ == "__main__":
    main()
