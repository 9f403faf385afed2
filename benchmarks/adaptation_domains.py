"""A domain nobody has labelled: which estimator needs the fewest labels of it?

Two shifts. `vendor`: emoji of some vendors are labelled, those of another are new (same concepts, another
hand; test concepts are in no training row). `clipart`: drawings of openclipart are labelled, emoji are new;
the classes are those that both know. Of the new domain k labels of each class are known, the rest of its
training rows are seen without labels. All estimators get the same rows; the baseline is tuned logistic
regression. One more table for each encoder: what adapted spaces still tell of classes that they have not
learnt from.

The catalogs and the encoders `catlip`, `simclr` and `clip` are those that `benchmarks/methods.py` makes (its
--out is methods/): rows are called SOURCE/..., which names their domain, and no encoder has seen a test
image; all have seen training images of all vendors, without labels. Any other model can be named too.

    OMP_NUM_THREADS=1 python benchmarks/adaptation_domains.py --emoji methods/pool \\
        --clipart methods/clipart --out adapt/ --image-size 48 --text --models lite0=local-dir:lite0 \\
        catlip=methods/seen_images/runs/catlip-resnet10t-seed_0/model

Each answered question is kept in OUT/units, so that a stopped run goes on; OUT/page.md and OUT/figure.svg are
made of all that is there. `--text` adds blocks of the column `caption_embedding` (the shift `vendor`). A
caption that holds a word of its label's name would give the label away: such rows are left out there, for
every estimator, and counted. What it leaves out: full fine-tuning, LoRA, other seeds of the encoders.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from adaptation_page import page_of
from adaptation_shifts import LABEL, SHIFTS, features_of

from synsight import files
from synsight.adaptation import ESTIMATORS as MADE
from synsight.adaptation import ContrastiveProjector, trials
from synsight.adaptation.gated import GatedLogistic
from synsight.adaptation.retention import retention
from synsight.adaptation.words_head import WordsHead
from synsight.data.catalog import Catalog
from synsight.evaluation import mean_over_draws
from synsight.evaluation.estimators import Answer, Estimator
from synsight.evaluation.rows import read_splits
from synsight.evaluation.scoring import Origin, score
from synsight.evaluation.shots import few_of, gains, shots, target_only, tuned_logistic
from synsight.models import Model, load
from synsight.records import Result, as_json
from synsight.workflow.adapt_fit import fit_estimator, probabilities_of

SIZES = (0, 1, 4, 16, 64)
BASELINE = "logistic"
HELD_OUT = ("food-drink", "activities")
"""Classes that no space learns from when retention is measured; their sub-classes are asked for."""


@dataclass(frozen=True)
class Unit:
    """One number of labels of one shift with one encoder: what is kept when it is answered."""

    shift: str
    encoder: str
    size: int

    def path(self, out: Path) -> Path:
        return out / "units" / f"{self.shift}-{self.encoder}-{self.size}.json"


def main() -> None:
    arguments = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    trials.clock = time.process_time  # what else the machine does shall not change what `auto` has time for
    out: Path = arguments.out
    (out / "units").mkdir(parents=True, exist_ok=True)
    named = dict(one.split("=", 1) for one in arguments.models)
    for shift_name in filter(None, arguments.shifts.split(",")):
        for name, source in named.items():
            _answer(shift_name, name, source, arguments)
    if arguments.text:
        for name, source in named.items():
            _answer("text", name, source, arguments)
    page = page_of(
        out,
        source_labels=arguments.source_labels,
        draws=arguments.draws,
        held_out=HELD_OUT,
        baseline=BASELINE,
    )
    files.write_text(out / "page.md", page)
    print(page)


def _answer(shift_name: str, name: str, source: str, arguments: argparse.Namespace) -> None:
    """Ask what has not been answered yet of one shift and one encoder."""
    out: Path = arguments.out
    units = [Unit(shift_name, name, size) for size in SIZES]
    kept = out / "units" / f"retention-{name}.json"
    todo = [unit for unit in units if not unit.path(out).exists()]
    if not todo and (kept.exists() or shift_name != "vendor"):
        return
    model = load(source, image_size=None if Path(source).is_dir() else arguments.image_size)
    shift, widths, told = SHIFTS[shift_name](model, arguments)
    estimators = _estimators(model, widths)
    for unit in todo:
        began = time.process_time()
        answers = list(
            shots(
                shift,
                estimators,
                sizes=[unit.size],
                draws=arguments.draws,
                need_target=("logistic, new domain only",),
            )
        )
        origin = Origin(model=name, dataset=shift_name, catalog_version=0, class_names=shift.class_names)
        scored = [score(one, origin=origin, config_hash="") for one in answers]
        results = [one for some in scored for one in some.results if one.metric == "acc1"]
        predictions = pa.concat_tables([one.predictions for one in scored])
        found = [
            *mean_over_draws(results, predictions),
            *(
                one
                for one in gains(answers, against=BASELINE, origin=origin, config_hash="")
                if one.metric == "acc1_difference"
            ),
        ]
        files.write_json(unit.path(out), {"told": told, "results": [_short(one) for one in found]})
        print(f"{unit} {time.process_time() - began:.0f} s of processor time", flush=True)
    if shift_name == "vendor" and not kept.exists():
        files.write_json(kept, _retention(model, arguments))


def _short(one: Result) -> dict[str, Any]:
    """A record without what a page does not show."""
    plain = as_json(one)
    kept = ("draws", "values", "against", "p_value", "interval", "train_rows", "taken")
    return {**plain, "details": {key: plain["details"][key] for key in kept if key in plain["details"]}}


def _estimators(model: Model, widths: Sequence[int]) -> dict[str, Estimator]:
    """Name -> estimator, in the order of the table."""
    blocks = list(widths) if len(widths) > 1 else None
    found: dict[str, Estimator] = {
        BASELINE: tuned_logistic,
        "logistic, new domain only": target_only(tuned_logistic),
    }
    for name in ("knn", "prototypes", "lda", "lp++", "tip-adapter", "tip-adapter-f", "clip-adapter"):
        found[name] = _of(lambda seed, name=name: MADE[name](blocks=blocks, seed=seed))
    found["projector"] = _of(lambda seed: ContrastiveProjector(blocks=blocks, seed=seed))
    found["projector (paper)"] = _of(
        lambda seed: ContrastiveProjector(recipe="paper", blocks=blocks, seed=seed)
    )
    if model.word_head is not None and model.vocabulary is not None and blocks is None:
        head, names = model.word_head, model.vocabulary.names
        found["words, 8 a class"] = _of(lambda seed: WordsHead.of(head, names))
    if blocks is not None:
        found["gated"] = _of(lambda seed: GatedLogistic(blocks=blocks, seed=seed))
        found["logistic, image alone"] = _columns(tuned_logistic, slice(0, widths[0]))
        found["logistic, text alone"] = _columns(tuned_logistic, slice(widths[0], None))
    found["auto"] = _of(lambda seed: MADE["auto"](blocks=blocks, seed=seed))
    return found


def _of(make: Callable[[int], Any]) -> Estimator:
    """An estimator of scikit-learn's shape, as the protocol asks it."""

    def ask(problem: Any) -> Answer:
        fitted, _ = fit_estimator(make(problem.seed), problem)
        return Answer(probabilities_of(fitted, problem), {"taken": getattr(fitted, "method_", "")})

    return ask


def _columns(estimator: Estimator, columns: slice) -> Estimator:
    def ask(problem: Any) -> Answer:
        names = ("train_features", "val_features", "test_features", "unlabelled_features")
        return estimator(replace(problem, **{name: getattr(problem, name)[:, columns] for name in names}))

    return ask


def _retention(model: Model, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Episodes over sub-classes of classes that were held out, in the frozen and in the adapted space."""
    catalog = Catalog.open(arguments.emoji)
    splits = read_splits(catalog, LABEL)
    train, _, test = features_of(model, catalog, splits)
    away = np.isin(np.array(splits.class_names, object), HELD_OUT)
    learnt = ~away[splits.train.labels]
    asked = away[splits.test.labels]
    finer = catalog.take(splits.test.positions[asked], ["subcategory"])["subcategory"]
    names = np.array([f"sub {one}" for one in pc.fill_null(finer, "").to_pylist()])
    found = []
    for name, make in (
        ("projector", lambda seed: ContrastiveProjector(seed=seed, validated=False)),
        ("projector, chosen", lambda seed: ContrastiveProjector(seed=seed)),
        (
            "projector, no pull to the identity",
            lambda seed: ContrastiveProjector(seed=seed, validated=False, identity=0),
        ),
        ("projector (paper)", lambda seed: ContrastiveProjector(recipe="paper", seed=seed)),
        ("clip-adapter", lambda seed: MADE["clip-adapter"](seed=seed)),
    ):
        before, after = [], []
        for seed in range(arguments.draws):
            rows = few_of(splits.train.labels[learnt], per_class=arguments.source_labels, seed=seed)
            labels = np.array(splits.class_names)[splits.train.labels[learnt][rows]]
            fitted = make(seed).fit(
                train[learnt][rows], labels, groups=splits.train.group_codes[learnt][rows]
            )
            kept = retention(fitted, test[asked], names, episodes=200, seed=seed)
            before.append(kept.frozen.acc1)
            after.append(kept.adapted.acc1)
        found.append({"name": name, "before": before, "after": after})
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--emoji", type=Path, required=True, help="catalog of all vendors")
    parser.add_argument("--clipart", type=Path, help="catalog of openclipart, for the shift `clipart`")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=MODEL")
    parser.add_argument("--image-size", type=int, help="input side of models that are no folder")
    parser.add_argument("--old", default="emoji-google,emoji-twitter")
    parser.add_argument("--new", default="vemoji-fluent-emoji")
    parser.add_argument("--shifts", default="vendor,clipart", help="'': none")
    parser.add_argument("--text", action="store_true", help="also images beside caption vectors")
    parser.add_argument("--text-column", default="text", help="what the caption vectors are of")
    parser.add_argument("--source-labels", type=int, default=16, help="of each class of the old domain")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
