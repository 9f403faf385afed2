"""Does a student that learns from a teacher beat one that is trained as the teacher was, for the same time?

One student by `distill`, then one of the same architecture by the teacher's recipe (`catlip`), on the same
catalog, batches and image size, each for its number of steps; choose these so that the processor times agree,
which are printed. Both are compared with the teacher on the validation images.

    python benchmarks/distillation.py TEACHER --data cat/ --label category [--student mobilenetv3_small_100]
        [--image-size 32] [--steps 100] [--direct-steps 170] [--batch-size 64] [--seed 0]

The catalog needs words (`synsight words`). Left out: more than one seed in one call, several threads.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from turns import machine

from synsight.data.catalog import Catalog
from synsight.finetuning import student_comparison
from synsight.finetuning.student_comparison import Compared, Cost
from synsight.models import load
from synsight.recipes import RECIPES
from synsight.recipes.distill import distill
from synsight.training import RunConfig, override, train


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(1)
    student_comparison.MOST_NEIGHBOURS = arguments.neighbours
    same: dict[str, Any] = {
        "data": arguments.data,
        "label": arguments.label,
        "encoder": arguments.student,
        "image_size": arguments.image_size,
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        "workers": 0,
        "monitor.every_steps": 10**6,  # both keep their last weights
    }
    teacher = str(Path(arguments.teacher).resolve())
    runs = {
        "distilled": override(distill(teacher), {**same, "steps": arguments.steps}),
        "by itself": override(RECIPES["catlip"](), {**same, "steps": arguments.direct_steps}),
    }
    print(machine("torch", "timm", threads=1))
    costs = "parameters | MB | ms an image | k-NN on val"
    print(f"| | steps | processor s | {costs} | nearest kept | same top answer |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number, (name, config) in enumerate(runs.items()):
        seconds, found = one(config, arguments)
        if not number:
            print(f"| teacher | – | – | {cells(found.teacher)} | – | – |")
        same_top = "–" if found.agreement is None else f"{found.agreement:.3f}"
        kept = f"{found.neighbours_kept:.3f} | {same_top}"
        print(f"| {name} | {config.steps} | {seconds:.0f} | {cells(found.student)} | {kept} |", flush=True)


def one(config: RunConfig, arguments: argparse.Namespace) -> tuple[float, Compared]:
    """Processor seconds of a run, and its model beside the teacher."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        summary = train(config, out=Path(folder) / "run")
        seconds = time.process_time() - began
        return seconds, student_comparison.compared(
            load(arguments.teacher),
            load(summary.model),
            Catalog.open(arguments.data),
            label=arguments.label,
            seed=arguments.seed,
            progress=False,
        )


def cells(cost: Cost) -> str:
    knn = "–" if cost.knn_acc1 is None else f"{cost.knn_acc1:.3f} [{cost.knn_low:.3f}, {cost.knn_high:.3f}]"
    return f"{cost.parameters:,} | {cost.size_bytes / 1e6:.1f} | {cost.milliseconds:.1f} | {knn}"


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("--data", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--student", default="mobilenetv3_small_100")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--direct-steps", type=int, default=170)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--neighbours", type=int, default=1000, help="training images that vote")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
