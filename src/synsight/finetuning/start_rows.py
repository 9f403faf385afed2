"""What a fine-tuned network's classifier begins with: the converged probe, its labels' words, or chance.

C classes that are trained, D dimensions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.errors import UsageError
from synsight.evaluation.evidence import check_words
from synsight.evaluation.judged import Judged
from synsight.finetuning.supervised import Training
from synsight.metrics import LinearProbe, fit_few_labels
from synsight.models.transfer_init import transfer_init


@dataclass(frozen=True, eq=False)
class StartRows:
    """Rows of a linear head over features as the encoder gives them."""

    weight: NDArray[np.float64]
    """[C, D]"""
    bias: NDArray[np.float64]
    """[C]"""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What a reader needs to repeat them."""


def probe_rows(judged: Judged, training: Training, names: Sequence[str]) -> StartRows:
    """The linear probe on the frozen features of the very rows that are trained on (LP-FT).

    A head that fits the features already does not tear them apart in the first steps. C is chosen as in
    `fewshot`, by cross-validation inside few labels, and as in `linear`, on validation rows, for all labels.

    Reference: Kumar et al. 2022, https://arxiv.org/abs/2202.10054
    """
    splits, features, draw = judged.splits, judged.features, training.draw
    if draw is None and len(splits.val):
        probe = judged.linear_probe()
        chosen = "val"
    else:
        rows = slice(None) if draw is None else draw.rows
        probe = fit_few_labels(
            features.train[rows],
            training.rows.labels,
            training.rows.group_codes,
            num_classes=splits.num_classes,
        )
        chosen = "cross-validation"
    return rows_of(probe, {"head_C": probe.c, "head_C_chosen_on": chosen})


def rows_of(probe: LinearProbe, details: Mapping[str, Any] | None = None) -> StartRows:
    """A probe's rows for features that are not standardised."""
    weight = probe.regression.weight / probe.scale
    return StartRows(weight, probe.regression.bias - weight @ probe.mean, details or {})


def transfer_rows(judged: Judged, training: Training, names: Sequence[str]) -> StartRows:
    """Transfer Init: the rows of the pretraining words that the labels mean.

    Raises:
        UsageError: The model has no head over words, or no label means one of its words.
    """
    found = transfer_init(
        check_words(judged, "finetune from words"),
        names,
        language="ja" if judged.options.wording.locale == "ja" else "en",
        seed=judged.options.seed,
    )
    if not np.isfinite(found.bias).all():
        raise UsageError(
            f"{judged.name}: no label's name means a word of its vocabulary; use start_head probe."
        )
    return StartRows(found.weight, found.bias, {"head_words": sum(bool(one) for one in found.matched)})


def random_rows(judged: Judged, training: Training, names: Sequence[str]) -> None:
    """Nothing: the head's rows are small random numbers of the run's seed."""


START_HEADS: Mapping[str, Callable[[Judged, Training, Sequence[str]], StartRows | None]] = {
    "probe": probe_rows,
    "transfer": transfer_rows,
    "random": random_rows,
}
"""Name of a beginning -> what makes it, for the names of the classes in the order of the head."""
