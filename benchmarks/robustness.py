"""What is left of an accuracy when the test images are dirty, dim or small?

    synsight sample emoji --out cat/
    synsight words cat/ --text-columns caption,keywords --min-count 2
    synsight pretrain catlip --data cat/ --out run/ --encoder resnet10t --image-size 48 --batch-size 64 \\
        --steps 200
    python benchmarks/robustness.py run/model random:resnet10t --data cat/ --label category --rows 300

For each model a linear probe on clean training images answers the same drawn test rows as they are, with each
corruption (mean over the severities 1, 3 and 5), and at a half, a quarter and an eighth of their resolution.
Printed as a table: accuracy, and the share of the clean accuracy that is lost, with 95% intervals that draw
the test groups again. Chance and the most frequent class stand in its head.

What it leaves out: other trainings of the same encoder (give several folders), and real cameras.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from turns import machine

from synsight import evaluate
from synsight.evaluation import Options, Robustness
from synsight.records import Result

ACCURACY, DROP = "acc1", "acc1_relative_drop"
CLEAN = ("corruptions:clean", "resolution:clean")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="MODEL folders or names; random:NAME is untrained")
    parser.add_argument("--data", required=True, help="a catalog's folder")
    parser.add_argument("--label", required=True)
    parser.add_argument("--rows", type=int, default=1000, help="most test rows that are asked about")
    parser.add_argument("--image-size", type=int, default=48, help="of models that are no folder, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the rows, of noise and of untrained weights")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = evaluate(
            asked.models,
            data=asked.data,
            label=asked.label,
            out=Path(folder) / "ev",
            tasks=("corruptions", "resolution"),
            seed=asked.seed,
            image_size=asked.image_size,
            check_copies=False,
            options=Options(robustness=Robustness(rows=asked.rows), seed=asked.seed),
            progress=False,
        )
    print(machine("synsight", "torch", "numpy", "pillow", threads=1))
    print("\n".join(table(results, asked.models)))


def table(results: Sequence[Result], models: Sequence[str]) -> list[str]:
    """Markdown, the corruptions from the one that costs the first model most."""
    known = {(one.model, one.task, one.metric): one for one in results}
    first = models[0]
    tasks = [one.task for one in results if one.model == first and one.metric == DROP]
    tasks.sort(key=lambda task: (":" in task, task.startswith("resolution"), -known[first, task, DROP].value))
    clean = known[first, CLEAN[0], ACCURACY]
    lines = [
        f"{clean.n_test} test rows; the most frequent class has {clean.baseline:.3f}",
        "",
        "| test images | " + " | ".join(f"{model} | of it is lost" for model in models) + " |",
        "|---|" + "---|---|" * len(models),
    ]
    for task in (CLEAN[0], *tasks):
        cells = []
        for model in models:
            one, drop = known[model, task, ACCURACY], known.get((model, task, DROP))
            cells += [_interval(one), "" if drop is None else _percent(drop)]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return lines


def _interval(one: Result) -> str:
    return f"{one.value:.3f} ({one.ci_low:.3f} to {one.ci_high:.3f})"


def _percent(one: Result) -> str:
    assert one.ci_low is not None and one.ci_high is not None
    return f"{100 * one.value:.0f}% ({100 * one.ci_low:.0f} to {100 * one.ci_high:.0f})"


if __name__ == "__main__":
    main()
