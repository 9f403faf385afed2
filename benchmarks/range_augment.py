"""What does RangeAugment bring on small images? CatLIP with and without it, same seeds, judged frozen.

    python benchmarks/range_augment.py --out ranges/ [--data emoji] [--label category] [--seeds 3]
        [--set image_size=48 epochs=9]

For each seed two runs by CatLIP's recipe that differ in `method.range_augment` alone, judged by k-NN and by
10 labels a class on the same test rows and draws. Printed: the scores of each seed, the errors that the
learned ranges reached, and the paired difference with a 95% interval that draws the test groups (concepts)
again. What is finished in the output folder is not repeated.

Left out: other encoders and sizes, long runs (the published ones are thousands of times as long), and
fine-tuning. Training seeds are in the mean, and not in the interval.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from turns import machine

from synsight import words
from synsight.data.catalog import Catalog
from synsight.data.samples import SAMPLES, sample
from synsight.evaluation import difference_results, evaluate, mean_over_draws, read_predictions, read_results
from synsight.recipes import pretrain
from synsight.records import Result

ON, OFF = "with RangeAugment", "without"


def catalog(name: str, out: Path) -> Path:
    """A catalog with words: a sample's is made, one of the user's is taken as it is."""
    path = out / name if name in SAMPLES else Path(name)
    if name in SAMPLES:
        sample(name, out=path)
    if "words_synset" not in Catalog.open(path).columns:
        words(path, text_columns=["caption", "keywords"] if name in SAMPLES else ["caption"])
    return path


def one_seed(folder: Path, data: Path, label: str, seed: int, changes: dict[str, str]) -> None:
    """Train both, judge both."""
    models = {}
    for name, is_on in ((ON, "true"), (OFF, "false")):
        run = pretrain(
            "catlip",
            data=data,
            out=folder / name.replace(" ", "_"),
            resume=True,
            **{"label": label, "seed": seed, **changes, "method.range_augment": is_on},
        )
        models[run.model] = name
        print(
            f"seed {seed}, {name}: {run.steps} steps, {run.seconds:.0f} s{last_error(folder, name)}",
            flush=True,
        )
    if not (folder / "judged" / "results.json").exists():
        evaluate(
            list(models),
            data=data,
            label=label,
            out=folder / "judged",
            tasks=("knn", "fewshot"),
            draws=3,
            seed=3 * seed,
            names=models,
            progress=False,
        )


def last_error(folder: Path, name: str) -> str:
    """What the learned ranges do to a pixel at the end of a run, where it has any."""
    lines = (folder / name.replace(" ", "_") / "metrics.jsonl").read_text().splitlines()
    found = [row["range_error"] for row in map(json.loads, lines) if "range_error" in row]
    return f", squared error {found[-1]:.1f} grey levels" if found else ""


def report(results: Sequence[Result], predictions: pa.Table) -> None:
    means = mean_over_draws(results, predictions)
    for one in means:
        if one.metric == "acc1":
            values = ", ".join(f"{value:.3f}" for value in one.details.get("values", [one.value]))
            print(f"{one.task:8} {one.model:18} {one.value:.3f} ({values})")
    for one in difference_results(results, predictions, model=ON, against=OFF):
        if one.metric == "acc1_difference":
            print(f"{one.task:8} with minus without {one.value:+.3f} [{one.ci_low:+.3f}, {one.ci_high:+.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", default="emoji", help="a catalog's folder, or the name of a sample")
    parser.add_argument("--label", default="category")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=["image_size=48", "epochs=9"], metavar="PATH=VALUE")
    chosen = parser.parse_args()
    print(machine("torch", "timm", threads=1))
    data = catalog(chosen.data, chosen.out)
    folders = [chosen.out / f"seed_{seed}" for seed in range(chosen.seeds)]
    changes = dict(change.split("=", 1) for change in chosen.set)
    for seed, folder in enumerate(folders):
        one_seed(folder, data, chosen.label, seed, changes)
    judged = [folder / "judged" for folder in folders]
    report(
        [one for folder in judged for one in read_results(folder)],
        pa.concat_tables([read_predictions(folder) for folder in judged]),
    )


if __name__ == "__main__":
    main()
