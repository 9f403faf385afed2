"""Classes without training labels: by the words that a model sees, and by five images of each.

    synsight sample emoji --out cat/
    synsight words cat/ --text-columns caption,keywords --min-count 2
    synsight pretrain catlip --data cat/ --out run/ --encoder resnet10t --image-size 48 --batch-size 64 \\
        --steps 200
    python benchmarks/class_names.py run/model random:resnet10t --data cat/ --label category

Each model that predicts words is asked by named evidence (class name -> its words -> their scores), and every
model by 5-way 5-shot episodes over the test rows. Printed: accuracy and mean recall with their 95% intervals,
which draw the test groups again, beside chance or the most frequent class.

What it leaves out: other trainings of the same encoder (give several folders).
"""

import argparse
import tempfile
from pathlib import Path

from turns import machine

from synsight import evaluate
from synsight.evaluation import Options, Wording


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="MODEL folders or names; random:NAME is untrained")
    parser.add_argument("--data", required=True, help="a catalog's folder")
    parser.add_argument("--label", required=True)
    parser.add_argument("--class-names", type=Path, help="a JSON file, label to name or names")
    parser.add_argument("--image-size", type=int, default=48, help="of models that are no folder, pixels")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = evaluate(
            asked.models,
            data=asked.data,
            label=asked.label,
            out=Path(folder) / "ev",
            tasks=("evidence", "episodes"),
            seed=asked.seed,
            image_size=asked.image_size,
            check_copies=False,
            options=Options(
                wording=Wording(class_names=asked.class_names), episodes=asked.episodes, seed=asked.seed
            ),
            progress=False,
        )
    print(machine("synsight", "torch", "numpy", threads=1))
    print("\n| model | task | metric | value | without looking | test rows |\n|---|---|---|--:|--:|--:|")
    for one in results:
        if one.baseline is not None:
            value = f"{one.value:.3f} ({one.ci_low:.3f} to {one.ci_high:.3f})"
            print(
                f"| {one.model} | {one.task} | {one.metric} | {value} | {one.baseline:.3f} | {one.n_test} |"
            )
    for one in results:
        if one.task == "evidence" and one.metric == "acc1":
            print(f"\n{one.model}: no word for {one.details['classes_without_word'] or 'no class'}")


if __name__ == "__main__":
    main()
