"""The map of a contrastive projector, and its training over batches of frozen embeddings.

N rows, B batch, D dimensions over all blocks, E dimensions of the projection.
"""

import copy
import math
from collections.abc import Callable, Collection, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from synsight.adaptation.balanced_batches import balanced_batches, shuffled_batches
from synsight.adaptation.base import LabelledRows
from synsight.adaptation.projector_settings import ProjectorSettings
from synsight.errors import TrainingError
from synsight.models.head_layers import Blocks, Layer, Linear, Relu, Sequence_, Sum
from synsight.objectives import (
    pairwise_bce,
    same_class,
    semi_hard_negatives,
    shared_labels,
    supervised_contrastive,
)
from synsight.seeding import derive_seed, generator

NOISE = 0.1
"""Share of the columns that a noisy copy of a row is without."""


class Bottleneck(nn.Module):
    """relu(x A' + a) B' + b, begun as torch begins its linear layers."""

    def __init__(self, width: int, hidden: int, outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        self.first, self.first_bias = _begun(hidden, width, rng), _begun_bias(hidden, width, rng)
        self.second, self.second_bias = _begun(outputs, hidden, rng), _begun_bias(outputs, hidden, rng)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [B, outputs]."""
        return F.linear(F.linear(x, self.first, self.first_bias).relu(), self.second, self.second_bias)

    def layers(self) -> list[Layer]:
        """The same map as layers of a head."""
        return [Linear.of(self.first, self.first_bias), Relu(), Linear.of(self.second, self.second_bias)]


class Residual(nn.Module):
    """x + x A' B' with B begun at zero."""

    def __init__(self, width: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__()
        self.first = _begun(hidden, width, rng)
        self.second = nn.Parameter(torch.zeros(width, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [B, width]."""
        return x + self.added(x)

    def added(self, x: Tensor) -> Tensor:
        """[B, width], what the map adds."""
        return F.linear(F.linear(x, self.first), self.second)

    def layers(self) -> list[Layer]:
        """The same map as layers of a head."""
        return [Sum(Sequence_(), Sequence_(Linear.of(self.first), Linear.of(self.second)))]


class Projector(nn.Module):
    """One map for all columns, or one a block."""

    def __init__(self, settings: ProjectorSettings, widths: Sequence[int], rng: torch.Generator) -> None:
        super().__init__()
        self.widths = list(widths) if settings.per_block else [sum(widths)]
        self.maps = nn.ModuleList(_map(settings, width, rng) for width in self.widths)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, E]."""
        return torch.cat([one(part) for one, part in zip(self.maps, self.blocks(x), strict=True)], dim=1)

    def blocks(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each map sees of [B, D]."""
        return torch.split(x, self.widths, dim=1)

    def layers(self) -> list[Layer]:
        """The same map as layers of a head."""
        each = [cast(Bottleneck | Residual, one).layers() for one in self.maps]
        if len(each) == 1:
            return each[0]
        return [Blocks(self.widths, *(Sequence_(*layers) for layers in each))]


def train_projector(
    train: LabelledRows,
    settings: ProjectorSettings,
    *,
    widths: Sequence[int],
    seed: int,
    unlabelled: NDArray[np.float32] | None = None,
    stops: Collection[int] = (),
    dtype: torch.dtype = torch.float32,
) -> list[Projector]:
    """Train on prepared rows.

    Args:
        train: The rows.
        settings: What is trained, and how.
        widths: Columns of each block.
        seed: Of the first weights, the batches and the noise; no global random state is touched.
        unlabelled: [M, D] prepared rows of the target domain, for `consistency`.
        stops: Epochs after which a copy is kept; none: after the last.
        dtype: Precision.

    Returns:
        One projector a stop, in order of the epochs.

    Raises:
        TrainingError: The loss became NaN or infinite.
    """
    rng = torch.Generator().manual_seed(derive_seed("projector", seed))
    projector = Projector(settings, widths, rng).to(dtype)
    optimiser = torch.optim.Adam(projector.parameters(), lr=settings.learning_rate)
    step = _steps(projector, optimiser, train, settings, unlabelled, rng)
    orders = generator("batches", seed)
    kept, wanted = [], sorted(stops) or [settings.epochs]
    for epoch in range(wanted[-1] + 1):
        if epoch in wanted:
            kept.append(copy.deepcopy(projector).eval().requires_grad_(False))
        if epoch < wanted[-1]:
            for rows in epoch_batches(train, settings, orders):
                step(rows)
    return kept


def epoch_batches(
    train: LabelledRows, settings: ProjectorSettings, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Batches of one epoch; one of a single row, which has no pair, is left out."""
    if settings.balanced:
        found = balanced_batches(train.truth, size=settings.batch_size, rng=rng)
    else:
        found = shuffled_batches(len(train.truth), size=settings.batch_size, rng=rng)
    return [rows for rows in found if len(rows) > 1]


def projection_loss(
    projector: Projector, x: Tensor, likeness: Tensor, weights: Tensor | None, settings: ProjectorSettings
) -> Tensor:
    """The contrastive loss of a batch [B, D] with likeness [B, B], and the pull of residual maps to the
    identity: the mean squared length of what they add, as a share of their input's. Summed over the maps.
    """
    losses = []
    for one, part in zip(projector.maps, projector.blocks(x), strict=True):
        if isinstance(one, Residual):
            added = one.added(part)
            z = part + added
            if settings.identity:
                losses.append(settings.identity * _share(added, part))
        else:
            z = one(part)
        losses.append(_contrast(z, likeness, weights, settings))
    return torch.stack(losses).sum()


def _contrast(z: Tensor, likeness: Tensor, weights: Tensor | None, settings: ProjectorSettings) -> Tensor:
    negatives = semi_hard_negatives(z, likeness) if settings.negatives == "semi-hard" else None
    if settings.loss == "supcon":
        return supervised_contrastive(
            z, likeness, temperature=settings.temperature, weights=weights, negatives=negatives
        )
    return pairwise_bce(
        z,
        likeness,
        temperature=settings.temperature,
        normalise=settings.normalise,
        weights=weights,
        negatives=negatives,
    )


def _share(added: Tensor, x: Tensor) -> Tensor:
    """Squared length of what was added by that of what it was added to, over all rows."""
    return added.square().sum() / x.square().sum().clamp_min(torch.finfo(x.dtype).tiny)


def _steps(
    projector: Projector,
    optimiser: torch.optim.Optimizer,
    train: LabelledRows,
    settings: ProjectorSettings,
    unlabelled: NDArray[np.float32] | None,
    rng: torch.Generator,
) -> Callable[[NDArray[np.int64]], None]:
    """A function that trains one step on the rows at the given places."""
    dtype = next(projector.parameters()).dtype
    features = torch.from_numpy(train.features).to(dtype)
    truth = torch.from_numpy(train.truth)
    labels = None if train.labels is None else torch.from_numpy(train.labels)
    weights = torch.from_numpy(train.weights).to(dtype) if train.weighted else None
    others = None if unlabelled is None else torch.from_numpy(unlabelled).to(dtype)

    def step(places: NDArray[np.int64]) -> None:
        rows = torch.from_numpy(places)
        x = features[rows]
        likeness = (
            shared_labels(truth[rows], settings.likeness) if labels is None else same_class(labels[rows])
        )
        loss = projection_loss(projector, x, likeness, None if weights is None else weights[rows], settings)
        if others is not None and settings.consistency:
            drawn = others[torch.randint(len(others), (len(x),), generator=rng)]
            loss = loss + settings.consistency * _inconsistency(projector, drawn, rng)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                "the projector's loss became NaN or infinite; lower learning_rate, or prepare the features "
                "by 'standardise' or 'unit'."
            )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def _inconsistency(projector: Projector, x: Tensor, rng: torch.Generator) -> Tensor:
    """Mean of 1 - cosine between the projections of two copies of each row, each without some columns."""
    first, second = (
        projector(x * (torch.rand(x.shape, generator=rng, dtype=x.dtype) >= NOISE) / (1 - NOISE))
        for _ in range(2)
    )
    return 1 - F.cosine_similarity(first, second, dim=1).mean()


def _map(settings: ProjectorSettings, width: int, rng: torch.Generator) -> Bottleneck | Residual:
    hidden = max(1, min(width // 2, settings.hidden))
    if settings.shape == "residual":
        return Residual(width, hidden, rng)
    return Bottleneck(width, hidden, settings.outputs, rng)


def _begun(outputs: int, inputs: int, rng: torch.Generator) -> nn.Parameter:
    return nn.Parameter(_uniform((outputs, inputs), inputs, rng))


def _begun_bias(outputs: int, inputs: int, rng: torch.Generator) -> nn.Parameter:
    return nn.Parameter(_uniform((outputs,), inputs, rng))


def _uniform(shape: tuple[int, ...], inputs: int, rng: torch.Generator) -> Tensor:
    """Between -1 / sqrt(inputs) and that, from a generator of its own: nn.Linear would draw from the global
    one.
    """
    return (2 * torch.rand(shape, generator=rng) - 1) / math.sqrt(inputs)
