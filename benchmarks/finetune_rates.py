"""Few labels: does it pay to hold some back and choose fine-tuning's learning rate on them?

    synsight sample emoji --out cat/
    synsight pretrain simclr --data cat/ --out run/ --encoder resnet10t --image-size 32 \\
        --batch-size 64 --steps 150
    OMP_NUM_THREADS=1 python benchmarks/finetune_rates.py --model run/model --data cat/ --label category

The same draws of labels and the same test rows for: a linear probe on frozen features, fine-tuning at the
recipe's rate, and at the one of several rates that held-back labels prefer. Printed as a table: accuracy,
mean over the draws; the paired difference to the recipe's rate with its 95% interval (test groups drawn
again, and from three draws on the draws, too); the rates that were chosen; seconds.

What it leaves out: other encoders, other recipes, and the seeds of the pretraining.
"""

import argparse
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from turns import machine

from synsight.evaluation import difference_results, evaluate, mean_over_draws, read_predictions
from synsight.finetuning import finetune
from synsight.records import Result

PROBE, OWN, CHOSEN = "linear probe, frozen", "the recipe's rate", "chosen of several rates"
TASK = "fewshot"


def main() -> None:
    asked = _arguments()
    print(machine("synsight", "torch", "numpy", threads=1), flush=True)
    print("| labels of a class | model | acc1 | minus the recipe's rate | chosen, as multiples | seconds |")
    print("|--:|---|--:|--:|---|--:|")
    for labels in asked.labels:
        with tempfile.TemporaryDirectory() as folder:
            for line in lines(asked, labels, Path(folder)):
                print(line, flush=True)


def lines(asked: argparse.Namespace, labels: int, folder: Path) -> list[str]:
    """The rows of one number of labels."""
    shared = {"data": asked.data, "label": asked.label, "draws": asked.draws, "progress": False}
    results = evaluate(
        [asked.model],
        out=folder / "probe",
        tasks=(TASK,),
        labels_per_class=(labels,),
        names={str(asked.model): PROBE},
        check_copies=False,
        **shared,
    )
    for name, rates in ((OWN, (1.0,)), (CHOSEN, tuple(asked.rates))):
        results += finetune(
            asked.model,
            out=folder / name,
            labels_per_class=labels,
            steps=asked.steps,
            rates=rates,
            name=name,
            workers=0,
            **shared,
        )
    results = [replace(one, task=TASK) for one in results if one.metric == "acc1"]
    tables = [read_predictions(folder / one) for one in ("probe", OWN, CHOSEN)]
    place = tables[0].schema.get_field_index("task")
    predictions = pa.concat_tables(
        [one.set_column(place, one.schema.field(place), pa.array([TASK] * len(one))) for one in tables]
    )
    means = mean_over_draws(results, predictions)
    return [line(one, labels, results, predictions) for one in means]


def line(mean: Result, labels: int, results: list[Result], predictions: pa.Table) -> str:
    """One row of the table."""
    mine = [one for one in results if one.model == mean.model]
    gain = ""
    if mean.model != OWN:
        found = difference_results(results, predictions, model=mean.model, against=OWN)
        one = next(one for one in found if one.metric == "acc1_difference")
        gain = f"{one.value:+.3f} [{one.ci_low:+.3f}, {one.ci_high:+.3f}]"
    chosen = Counter(
        f"{one.details['lr'] / own.details['lr']:.2g}"
        for one, own in zip(mine, (one for one in results if one.model == OWN), strict=True)
        if mean.model == CHOSEN
    )
    rates = ", ".join(f"{rate} x {count}" for rate, count in sorted(chosen.items()))
    return f"| {labels} | {mean.model} | {mean.value:.3f} | {gain} | {rates} | {mean.seconds:.0f} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.3, 1.0, 3.0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    return parser.parse_args()


if __name__ == "__main__":
    main()
