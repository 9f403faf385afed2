"""Few labels: does fine-tuning beat a linear probe on frozen features, and what should its head begin with?

    synsight sample emoji --out cat/
    synsight words cat/ --text-columns caption,keywords --min-count 2
    synsight pretrain catlip --data cat/ --out run/ --encoder resnet10t --image-size 48 --batch-size 64 \\
        --steps 200
    python benchmarks/finetune.py --model run/model --data cat/ --label category --draws 3

Every variant learns from the same drawn labels and answers the same test rows. Printed as a table: accuracy,
mean over the draws, and the paired difference to the frozen probe; 95% intervals draw the test groups again
(from three draws on the differences count the draws, too), and Holm's correction is over all variants.

What it leaves out: other trainings of the encoder, tuned learning rates, and all labels.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from turns import machine

from synsight.evaluation import (
    difference_results,
    evaluate,
    mean_over_draws,
    read_predictions,
    read_results,
)
from synsight.evaluation.verdicts import corrected
from synsight.finetuning import finetune
from synsight.records import Result

PROBE = "linear probe on frozen features"
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "`simclr`, head from the probe": {"recipe": "simclr"},
    "`simclr`, head by Transfer Init": {"recipe": "simclr", "start_head": "transfer"},
    "`simclr`, random head": {"recipe": "simclr", "start_head": "random"},
    "`simclr`, head from the probe, BatchNorm's statistics kept": {
        "recipe": "simclr",
        "method.norm_statistics": "kept",
    },
    "`catlip`, head from the probe": {"recipe": "catlip"},
}


def main() -> None:
    asked = _arguments()
    shared = {"data": asked.data, "label": asked.label, "draws": asked.draws, "seed": asked.seed}
    with tempfile.TemporaryDirectory() as folder:
        out = asked.out or Path(folder)
        evaluate(
            [asked.model],
            out=out / "probe",
            tasks=("fewshot",),
            labels_per_class=(asked.labels,),
            names={str(asked.model): PROBE},
            progress=False,
            **shared,
        )
        folders = [out / "probe"]
        for steps in asked.steps:
            for name, settings in VARIANTS.items():
                folders.append(out / f"{steps}_{len(folders)}")
                finetune(
                    asked.model,
                    out=folders[-1],
                    labels_per_class=asked.labels,
                    steps=steps,
                    name=f"{name} | {steps}",
                    progress=False,
                    **shared,
                    **settings,
                )
        results = [as_fewshot(one) for each in folders for one in read_results(each)]
        predictions = pa.concat_tables([read_predictions(each) for each in folders])
    place = predictions.schema.get_field_index("task")
    fewshot = pc.if_else(True, pa.scalar("fewshot"), predictions["task"])
    predictions = predictions.set_column(place, predictions.schema.field("task"), fewshot)
    print(machine("synsight", "torch", "numpy", threads=1))
    print("\n".join(table(mean_over_draws(results, predictions), results, predictions)))


def as_fewshot(one: Result) -> Result:
    """Fine-tuning and the probe are asked the same question."""
    return replace(one, task="fewshot")


def table(means: Sequence[Result], results: Sequence[Result], predictions: pa.Table) -> list[str]:
    """Markdown."""
    means = [one for one in means if one.metric == "acc1"]
    gains = [
        found
        for one in means
        if one.model != PROBE
        for found in difference_results(results, predictions, model=one.model, against=PROBE)
        if found.metric == "acc1_difference"
    ]
    known = {one.model: one for one in corrected(gains)}
    first = means[0]
    lines = [
        f"{first.n_labels} labels a class, {len({one.seed for one in results})} draws, {first.n_test} test "
        f"rows; the most frequent class has {first.baseline:.3f}",
        "",
        "| on the same labelled rows | steps | accuracy | minus the frozen probe | |",
        "|---|--:|--:|--:|---|",
    ]
    for one in means:
        gain = known.get(one.model)
        name = one.model if gain else f"{PROBE} |"
        cell = f"{one.value:.3f} ({one.ci_low:.3f} to {one.ci_high:.3f})"
        said = " | |"
        if gain is not None:
            said = (
                f"{gain.value:+.3f} ({gain.ci_low:+.3f} to {gain.ci_high:+.3f}) | {gain.details['found']} |"
            )
        lines.append(f"| {name} | {cell} | {said}")
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a MODEL folder with a head over words")
    parser.add_argument("--data", required=True, help="a catalog's folder")
    parser.add_argument("--label", required=True)
    parser.add_argument("--labels", type=int, default=10, help="of each class")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--steps", type=int, nargs="+", default=[60])
    parser.add_argument("--out", type=Path, help="keep the runs here; a stopped benchmark goes on")
    return parser.parse_args()


if __name__ == "__main__":
    main()
