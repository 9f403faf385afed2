"""Transfer Init: does it matter where a probe begins, when labels are few?

    python benchmarks/transfer_init.py --model run/model --data cat/ --label category

A classifier over the frozen features of a model that was trained on words begins from random rows and from
the rows of the words that the labels' names mean (CatLIP, section 4.2), and is then fitted in four ways:

    not at all          the rows as they are: no label is seen
    converged           L-BFGS to the minimum of cross-entropy + L2 penalty; convex, so the start cannot
                        matter, and the script says how far the two answers are apart
    fixed steps         AdamW for so many epochs at a rate, as given by --steps EPOCHS:RATE; the default are
                        the paper's 30 epochs at 3e-5, and a longer and faster run
    pulled to the start L-BFGS, but the penalty is the distance from the start, not from zero

All see the same draws of 1, 2, 5, 10 labels a class; C of the L-BFGS probes is chosen by cross-validation
inside them (with one label a class it is 0.1 for both starts). Printed: accuracy on the test rows, mean over
the draws; the difference between the starts with its 95% interval, for which the test groups are drawn again,
and in brackets the lowest and highest draw.

What it leaves out: other models and seeds of training, and fine-tuning of the encoder.
"""

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from synsight import files
from synsight.data.catalog import Catalog
from synsight.evaluation.questions import Question, drawn_rows
from synsight.evaluation.rows import Splits, read_splits
from synsight.metrics import Scores, paired_difference, score_interval
from synsight.metrics.start_probe import (
    Start,
    fit_few_from_start,
    fit_fixed_steps,
    random_start,
)
from synsight.models import catalog_features, load
from synsight.models.transfer_init import TransferInit, transfer_init

RANDOM, TRANSFER = "random", "Transfer Init"
UNTOUCHED = "not at all"
Probe = Callable[..., Start]
"""(features, labels, groups, start=..., seed=...) -> a classifier."""


def probes(steps: list[str]) -> dict[str, Probe]:
    """The ways to fit, by what the table calls them."""

    def fixed(epochs: int, rate: float) -> Probe:
        def fit(features: Any, labels: Any, groups: Any, *, start: Start, seed: int) -> Start:
            return fit_fixed_steps(
                features, labels, start=start, epochs=epochs, rate=rate, final_rate=rate / 30, seed=seed
            )

        return fit

    def l_bfgs(pull: bool) -> Probe:
        def fit(features: Any, labels: Any, groups: Any, *, start: Start, seed: int) -> Start:
            return fit_few_from_start(features, labels, groups, start=start, pull=pull)

        return fit

    found: dict[str, Probe] = {UNTOUCHED: lambda *rows, start, seed: start, "converged": l_bfgs(False)}
    for one in steps:
        epochs, rate = one.split(":")
        found[f"{epochs} epochs at {rate}"] = fixed(int(epochs), float(rate))
    return {**found, "pulled to the start": l_bfgs(True)}


def main() -> None:
    arguments = _arguments()
    model, catalog = load(arguments.model), Catalog.open(arguments.data)
    splits = read_splits(catalog, arguments.label)
    init = transfer_init(model, splits.class_names, least_similarity=arguments.least_similarity)
    where = f"`{splits.label}` IS NOT NULL"
    positions, features = catalog_features(model, catalog, where=where)
    train, test = (features[np.searchsorted(positions, one.positions)] for one in (splits.train, splits.test))
    ways = probes(arguments.steps.split(","))
    lines = _heading(arguments, splits, init)
    records = []
    for n_labels in map(int, arguments.labels.split(",")):
        scores: dict[tuple[str, str], list[Scores]] = {}
        apart = []
        for draw in range(arguments.draws):
            answers = _one_draw(splits, train, test, init, ways, n_labels, seed=draw)
            for key, (hits, rows, _) in answers.items():
                groups = splits.test.group_codes[rows]
                scores.setdefault(key, []).append(Scores(hits, np.zeros(len(hits), np.int64), groups))
            pair = [answers["converged", start][2] for start in (RANDOM, TRANSFER)]
            apart.append(float(np.abs(pair[0] - pair[1]).max()))
        for way in ways if not records else [way for way in ways if way != UNTOUCHED]:
            record = _record(way, n_labels, scores[way, RANDOM], scores[way, TRANSFER])
            records.append(record)
            lines.append(_line(record))
        print(f"{n_labels} labels: the converged answers differ by at most {max(apart):.1e}", flush=True)
        records.append({"labels": n_labels, "probe": "converged", "answers_apart": max(apart)})
    page = "\n".join(lines)
    print(page)
    if arguments.out is not None:
        files.write_text(arguments.out, page + "\n")
        files.write_json(arguments.out.with_suffix(".json"), records)


def _one_draw(
    splits: Splits,
    train: np.ndarray,
    test: np.ndarray,
    init: TransferInit,
    ways: dict[str, Probe],
    n_labels: int,
    *,
    seed: int,
) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(way, start) -> hits, which test rows were asked about, probabilities."""
    draw = drawn_rows(splits, Question("fewshot", n_labels, seed))
    assert draw is not None
    asked = np.isin(splits.test.labels, draw.classes)
    known = train[draw.rows], splits.train.labels[draw.rows], splits.train.group_codes[draw.rows]
    starts = {RANDOM: random_start(*init.weight.shape, seed=seed), TRANSFER: init}
    found = {}
    for way, fit in ways.items():
        for name, start in starts.items():
            probabilities = fit(*known, start=start, seed=seed).probabilities(test[asked])
            left_out = np.setdiff1d(np.arange(splits.num_classes), draw.classes)
            probabilities[:, left_out] = 0  # what no label was drawn of is not in question
            hits = probabilities.argmax(axis=1) == splits.test.labels[asked]
            found[way, name] = hits, asked, probabilities
    return found


def _record(way: str, n_labels: int, random: list[Scores], transfer: list[Scores]) -> dict[str, Any]:
    both = {"random": score_interval(random), "transfer": score_interval(transfer)}
    gain = paired_difference(transfer, random)
    each = [
        float(np.mean(one.hits) - np.mean(other.hits)) for one, other in zip(transfer, random, strict=True)
    ]
    return {
        "labels": 0 if way == UNTOUCHED else n_labels,
        "probe": way,
        **{f"{name}_{end}": value for name, one in both.items() for end, value in vars(one).items()},
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "gain_of_draws": each,
    }


def _line(one: dict[str, Any]) -> str:
    cells = [
        f"{one[f'{name}_value']:.3f} [{one[f'{name}_low']:.3f}, {one[f'{name}_high']:.3f}]"
        for name in ("random", "transfer")
    ]
    gain = f"{one['gain']:+.3f} [{one['gain_low']:+.3f}, {one['gain_high']:+.3f}]"
    spread = f"({min(one['gain_of_draws']):+.3f} to {max(one['gain_of_draws']):+.3f})"
    return f"| {one['labels']} | {one['probe']} | {cells[0]} | {cells[1]} | {gain} {spread} |"


def _heading(arguments: argparse.Namespace, splits: Splits, init: TransferInit) -> list[str]:
    known = [found for found in init.matched if found]
    exact = sum(all(similarity == 1 for _, similarity in found) for found in known)
    most = np.bincount(splits.test.labels).max() / len(splits.test)
    lines = [
        f"# Where a probe begins: {arguments.model} on `{arguments.label}` of {Path(arguments.data).name}",
        "",
        f"{len(known)} of {len(init.matched)} labels have a row ({exact} by their own synsets), least path "
        f"similarity {arguments.least_similarity:g}. Chance {1 / splits.num_classes:.3f}, most frequent test "
        f"class {most:.3f}. {len(splits.test)} test rows, {arguments.draws} draws. {platform.machine()}, "
        f"numpy {np.__version__}.",
        "",
        "| label | words its row is made of |",
        "|---|---|",
    ]
    for name, found in zip(splits.class_names, init.matched, strict=True):
        words = ", ".join(f"{word} {similarity:.2g}" for word, similarity in found[:6])
        lines.append(f"| {name} | {words or 'none: random'}{', ...' * (len(found) > 6)} |")
    head = [
        "| labels a class | fitted | random rows | Transfer Init | gain (draws) |",
        "|--:|---|--:|--:|--:|",
    ]
    return [*lines, "", *head]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a model folder with a head over words")
    parser.add_argument("--data", required=True, help="a catalog's folder")
    parser.add_argument("--label", required=True)
    parser.add_argument("--labels", default="1,2,5,10", help="labels a class, with commas between")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--steps", default="30:3e-5,300:1e-3", help="EPOCHS:RATE, with commas between")
    parser.add_argument("--least-similarity", type=float, default=0.5)
    parser.add_argument("--out", type=Path, help="a Markdown file; the records are written beside it as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
