"""Do captions pay? CatLIP against SimCLR, an untrained encoder and training from scratch on the same labels.

For each seed one CatLIP and one SimCLR run by the recipes' defaults, networks trained from scratch on all
labels and on a few of each class for as many steps as CatLIP, and every encoder judged frozen on the same
test rows and the same draws. Printed: means over the seeds, and paired differences with 95% intervals that
draw the test groups (concepts) again. What is finished in the output folder is not repeated.

    python benchmarks/transfer.py --data emoji --label category --text-columns caption,keywords \\
        --set image_size=48 --out transfer/

What it leaves out: other encoders, other image sizes, tuning of any of the recipes on this label, and the
spread over training seeds in the intervals (the values of the seeds stand beside the mean).
"""

import argparse
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch

import synsight
from synsight import files, words
from synsight.data.catalog import Catalog
from synsight.data.samples import SAMPLES, sample
from synsight.evaluation import (
    difference_results,
    evaluate,
    mean_over_draws,
    read_predictions,
    read_results,
)
from synsight.finetuning import supervised_baseline
from synsight.recipes import pretrain
from synsight.records import Result, RunSummary, as_json
from synsight.reports.summary import result_table

CATLIP, SIMCLR, RANDOM, SCRATCH = "CatLIP", "SimCLR", "random encoder", "supervised from scratch"


def main() -> None:
    arguments = _arguments()
    out: Path = arguments.out
    data = _catalog(arguments.data, out, arguments.text_columns.split(","))
    changes = dict(change.split("=", 1) for change in arguments.set)
    runs = {}
    for seed in range(arguments.seeds):
        runs[seed] = _one_seed(arguments, data, out / f"seed_{seed}", seed, changes)
    folders = [
        out / f"seed_{seed}" / name for seed in runs for name in ("frozen", "all_labels", "few_labels")
    ]
    results = [one for folder in folders for one in read_results(folder)]
    predictions = pa.concat_tables([read_predictions(folder) for folder in folders])
    means = mean_over_draws(results, predictions)
    gains = [
        one
        for against in (SCRATCH, RANDOM, SIMCLR)
        for one in difference_results(results, predictions, model=CATLIP, against=against)
        if one.metric == "acc1_difference"
    ]
    page = _page(arguments, data, means, gains, runs)
    files.write_text(out / "transfer.md", page)
    files.write_json(out / "transfer.json", [as_json(one) for one in (*means, *gains)])
    print(page)


def _one_seed(
    arguments: argparse.Namespace, data: Path, folder: Path, seed: int, changes: dict[str, str]
) -> dict[str, RunSummary]:
    runs = {
        recipe: pretrain(
            recipe,
            data=data,
            out=folder / recipe,
            resume=True,
            **{"label": arguments.label, "seed": seed, **changes},
        )
        for recipe in ("catlip", "simclr")
    }
    encoder, size = (runs["catlip"].settings[name] for name in ("encoder", "image_size"))
    untrained = f"random:{encoder}"
    # The draws of two seeds share no seed, so each training seed is judged on labels of its own.
    first_draw = seed * arguments.draws
    if not (folder / "frozen" / "results.json").exists():
        evaluate(
            [runs["catlip"].model, runs["simclr"].model, untrained],
            data=data,
            label=arguments.label,
            out=folder / "frozen",
            labels_per_class=[arguments.labels_per_class],
            draws=arguments.draws,
            seed=first_draw,
            image_size=size,
            names={runs["catlip"].model: CATLIP, runs["simclr"].model: SIMCLR, untrained: RANDOM},
        )
    kept = {key: value for key, value in changes.items() if key not in ("epochs", "steps")}
    for name, labels in (("all_labels", None), ("few_labels", arguments.labels_per_class)):
        supervised_baseline(
            data,
            label=arguments.label,
            out=folder / name,
            steps=runs["catlip"].steps,
            labels_per_class=labels,
            draws=arguments.draws,
            seed=first_draw,
            name=SCRATCH,
            **kept,
        )
    return runs


def _catalog(name: str, out: Path, text_columns: Sequence[str]) -> Path:
    path = out / name if name in SAMPLES else Path(name)
    if name in SAMPLES:
        sample(name, out=path)
    if "words_synset" not in Catalog.open(path).columns:
        words(path, text_columns=text_columns)
    return path


def _page(
    arguments: argparse.Namespace,
    data: Path,
    means: Sequence[Result],
    gains: Sequence[Result],
    runs: dict[int, dict[str, RunSummary]],
) -> str:
    table = result_table(means)
    lines = [
        f"# Transfer to `{arguments.label}` of {data.name}",
        "",
        "| model | " + " | ".join(column.title for column in table.columns) + " |",
        "|---|" + "---|" * len(table.columns),
        "| chance / most frequent | "
        + " | ".join("" if one is None else f"{one:.3f}" for one in table.chance)
        + " |",
    ]
    lines += [
        f"| {row.model} | " + " | ".join(_cell(cell) for cell in row.cells) + " |" for row in table.rows
    ]
    test = {one.n_test for one in means}
    lines += [
        "",
        f"Accuracy (acc1), mean of {len(runs)} training seeds (few labels: {arguments.draws} draws each); in "
        "brackets 95% intervals that draw the test groups again, then lowest and highest single value. Test "
        f"rows: {', '.join(str(one) for one in sorted(test))}.",
        "",
        "## Paired differences",
        "",
        *(f"- {_gain(one)}" for one in gains),
        "",
        "## Made by",
        "",
        *(f"- {recipe}: {_times(runs, recipe)}" for recipe in ("catlip", "simclr")),
        f"- {os.cpu_count()} x {platform.processor() or platform.machine()}, torch {torch.__version__}, "
        f"synsight {getattr(synsight, '__version__', 'unknown')}, commit {_commit()}",
        f"- changed settings: {', '.join(arguments.set) or 'none'}",
        "",
    ]
    return "\n".join(lines)


def _gain(one: Result) -> str:
    labels = "all labels" if one.n_labels is None else f"{one.n_labels} labels a class"
    return (
        f"{one.model} minus {one.details['against']}, {one.task}, {labels}: {one.value:+.3f} "
        f"[{one.ci_low:+.3f}, {one.ci_high:+.3f}]"
    )


def _cell(cell: Result | None) -> str:
    if cell is None:
        return ""
    values = cell.details.get("values", [cell.value])
    return (
        f"{cell.value:.3f} [{cell.ci_low:.3f}, {cell.ci_high:.3f}] ({min(values):.3f} to {max(values):.3f})"
    )


def _times(runs: dict[int, dict[str, RunSummary]], recipe: str) -> str:
    some = [one[recipe] for one in runs.values()]
    return (
        f"{some[0].steps} steps, {', '.join(f'{one.seconds:.0f}' for one in some)} s; kept step "
        f"{', '.join(str(one.best_step) for one in some)}"
    )


def _commit() -> str:
    try:
        folder = Path(__file__).parent
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=folder
        )
        return found.stdout.strip() or "unknown"
    except OSError:
        return "unknown"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="emoji", help="a catalog's folder, or the name of a sample")
    parser.add_argument("--label", default="category")
    parser.add_argument(
        "--text-columns", default="caption", help="columns to find words in, with commas between"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--labels-per-class", type=int, default=10)
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="PATH=VALUE",
        help="settings of all runs, as image_size=32 epochs=2",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
