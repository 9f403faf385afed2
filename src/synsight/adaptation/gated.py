"""Several embeddings weighed anew for every row: each answers by itself, and a gate says whom to believe.

N rows, D dimensions over all blocks, M blocks, C classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from torch import Tensor

from synsight.adaptation.base import ClassWeight, FeatureEstimator, LabelledRows, Missing
from synsight.adaptation.logistic import LogisticRegression
from synsight.adaptation.preparation import Preparation
from synsight.adaptation.tuning import LEAST_CHANCE
from synsight.errors import ConfigError
from synsight.metrics.linear_probe import FOLDS
from synsight.models.head_layers import Gated, Layer, Linear, Scale

MOST_STEPS = 100
"""Of L-BFGS."""


class GatedLogistic(FeatureEstimator):
    """Tuned logistic regression on each block, pooled with shares that depend on the row.

    score(x) = scale * sum_i softmax(x G' + g)_i f_i(x_i): a logarithmic pool of the blocks' opinions (Heskes
    1998) whose weights a linear gate gives, as in a mixture of experts (Jacobs et al. 1991). The gate and the
    scale are fitted to what each block's regression says of rows that its folds have not seen, so that a
    block that only remembers its training rows earns no trust. Where nothing can be held out, all blocks
    count alike.

    Args:
        ridge: Strength of the L2 penalty on the gate's weights, beside the mean loss; the larger, the more
            alike the shares of all rows.
        folds: Most folds.
        blocks, prepare, missing, class_weight, seed: See `FeatureEstimator`; the seed is that of the folds.

    Attributes:
        coefs_, intercepts_: For each block [C, width] and [C].
        gate_, gate_bias_: [M, D] and [M].
        pool_scale_: By which the pooled scores are multiplied.
    """

    def __init__(
        self,
        *,
        ridge: float = 0.1,
        folds: int = FOLDS,
        blocks: Sequence[int] | None = None,
        prepare: Preparation | Sequence[Preparation] = "standardise",
        missing: Missing = "error",
        class_weight: ClassWeight = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            blocks=blocks, prepare=prepare, missing=missing, class_weight=class_weight, seed=seed
        )
        self.ridge = ridge
        self.folds = folds

    def shares(self, X: ArrayLike) -> NDArray[np.float64]:
        """How much each block is believed of each row, [N, M], rows of sum 1."""
        rows = torch.from_numpy(self._prepared(X).astype(np.float64))
        gate, bias = torch.from_numpy(self.gate_), torch.from_numpy(self.gate_bias_)
        found: NDArray[np.float64] = (rows @ gate.T + bias).softmax(dim=1).numpy()
        return found

    def _fit(self, train: LabelledRows) -> None:
        if not self.ridge > 0:
            raise ConfigError(f"ridge must be > 0; got {self.ridge!r}.")
        ends = np.cumsum(self.widths_)
        parts = [slice(end - width, end) for width, end in zip(self.widths_, ends, strict=True)]
        fitted = [self._of_block(train, part) for part in parts]
        self.coefs_ = [one.coef_ for one in fitted]
        self.intercepts_ = [one.intercept_ for one in fitted]
        self.gate_ = np.zeros((len(parts), train.features.shape[1]))
        self.gate_bias_ = np.zeros(len(parts))
        self.pool_scale_ = 1.0
        said = [one.out_of_fold_ for one in fitted]
        if len(parts) > 1 and all(one is not None for one in said):
            self._fit_gate(train, np.stack(said))

    def _of_block(self, train: LabelledRows, part: slice) -> Any:
        labels: ArrayLike = train.truth.astype(np.int64) if train.labels is None else train.labels
        regression = LogisticRegression(prepare="none", folds=self.folds, seed=self.seed)
        weights = train.weights if train.weighted else None
        return regression.fit(train.features[:, part], labels, weights, groups=train.groups)

    def _fit_gate(self, train: LabelledRows, log_chances: NDArray[np.float64]) -> None:
        """Fit gate and scale to opinions on held-out rows, logarithms of probabilities [M, N, C]."""
        kept = np.flatnonzero(np.isfinite(log_chances).all(axis=(0, 2)))
        opinions = np.maximum(log_chances[:, kept], np.log(LEAST_CHANCE))
        if train.labels is None:
            opinions = logit(np.clip(np.exp(opinions), LEAST_CHANCE, 1 - LEAST_CHANCE))
        rows = train.take(kept)
        said, shown = torch.from_numpy(opinions), torch.from_numpy(rows.features.astype(np.float64))
        weights = torch.from_numpy(rows.weights / rows.weights.sum())
        truth = torch.from_numpy(rows.truth.astype(np.float64))
        gate = torch.zeros(self.gate_.shape, dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(len(opinions), dtype=torch.float64, requires_grad=True)
        scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([gate, bias, scale], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            shares = (shown @ gate.T + bias).softmax(dim=1)  # [N, M]
            scores = scale.exp() * torch.einsum("nm,mnc->nc", shares, said)
            if train.labels is None:
                each = F.binary_cross_entropy_with_logits(scores, truth, reduction="none").mean(dim=1)
            else:
                each = -(truth * scores.log_softmax(dim=1)).sum(dim=1)
            total: Tensor = weights @ each + self.ridge * gate.square().sum() / 2
            total.backward()  # type: ignore[no-untyped-call]
            return total

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        self.gate_, self.gate_bias_ = gate.detach().numpy(), bias.detach().numpy()
        self.pool_scale_ = float(scale.detach().exp())

    def _score_layers(self) -> list[Layer]:
        gate = Linear.of(torch.from_numpy(self.gate_), torch.from_numpy(self.gate_bias_))
        blocks = [
            Linear.of(torch.from_numpy(weight), torch.from_numpy(bias))
            for weight, bias in zip(self.coefs_, self.intercepts_, strict=True)
        ]
        return [Gated(self.widths_, gate, *blocks), Scale(self.pool_scale_)]
