"""LoRA: the encoder learns too, but only by matrices of low rank, which are then merged into its weights.

The step between a new head and full fine-tuning. What comes out is a plain encoder with a plain head: it
needs no further package to be loaded, served or exported.

Reference: Hu et al. 2021, https://arxiv.org/abs/2106.09685; the head begins at the linear probe, as in LP-FT
(Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Departures: convolutions are adapted as linear maps
are; BatchNorm keeps its statistics, so that merging is exact.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.data.catalog import Catalog
from synsight.data.views import normalise
from synsight.errors import ConfigError, MissingDependency, ModelError, ShapeError
from synsight.metrics import fit_few_labels
from synsight.models import Model
from synsight.progress import progress_bar
from synsight.seeding import derive_seed, generator

ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """How low the rank is, and how long it learns."""

    rank: int = 8
    """Of the matrices that are added."""
    alpha: int = 16
    """What is added counts alpha / rank times."""
    lr: float = 1e-3
    """Of AdamW; falls to zero along a cosine."""
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 20
    least_steps: int = 100
    most_steps: int = 1000
    shift: float = 0.1
    """Images are moved by up to this share of their side, edges repeated; 0: not at all. They are not
    mirrored, since left and right may be what a label means."""

    def __post_init__(self) -> None:
        positive = (self.rank, self.alpha, self.lr, self.batch_size, self.epochs, self.least_steps)
        if min(positive) <= 0 or self.weight_decay < 0 or not 0 <= self.shift < 0.5:
            raise ConfigError(
                f"LoRA needs positive settings, weight_decay >= 0 and shift in [0, 0.5); got {self!r}."
            )

    def steps(self, rows: int) -> int:
        """Length of a training on so many rows."""
        epochs = self.epochs * math.ceil(rows / self.batch_size)
        return min(self.most_steps, max(self.least_steps, epochs))


@dataclass(frozen=True, eq=False)
class Adapted:
    """An encoder with what it learnt merged into its weights, and the classifier upon it."""

    encoder: nn.Module
    """Plain: of the same layers as before."""
    head: nn.Linear
    """[D] -> [C], classes in the order of their numbers."""
    steps: int
    trained_share: float
    """Weights that were learnt, as a share of the encoder's."""


def fit_lora(
    model: Model,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    groups: NDArray[np.int64] | None = None,
    settings: LoraSettings | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Adapted:
    """Fit low-rank changes of an encoder and a head to labelled images; the last weights are kept.

    Args:
        model: Its encoder is copied, not changed.
        pixels: [N, S, S, 3] as `model.pixels` prepares them.
        labels: [N] in 0 to C - 1; each class has a row.
        groups: [N] rows of one group are near-duplicates; used to choose the first head's C.
        settings: None: the defaults.
        seed: Of the matrices, the order of the rows and their shifts.
        progress: Show a bar.

    Raises:
        MissingDependency: peft is not installed.
        ModelError: The encoder has no layer that can be adapted.
        ShapeError: Other labels than images, or fewer than two classes.
    """
    settings = settings or LoraSettings()
    classes = int(labels.max(initial=-1)) + 1
    if len(labels) != len(pixels) or classes < 2 or len(np.unique(labels)) != classes:
        raise ShapeError(
            f"expected a label in 0 to C - 1 for each of {len(pixels)} images, each class with an image; got "
            f"{len(labels)} labels of {len(np.unique(labels))} classes; number the classes anew."
        )
    head = _probe_head(model, pixels, labels, groups, classes)
    wrapped = _with_matrices(model.encoder, settings, seed)
    learnt = [one for one in wrapped.parameters() if one.requires_grad]
    share = sum(one.numel() for one in learnt) / sum(one.numel() for one in model.encoder.parameters())
    head.to(model.device)
    steps = settings.steps(len(labels))
    optimiser = torch.optim.AdamW(
        [*learnt, *head.parameters()], lr=settings.lr, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    wrapped.eval()
    mean, std = model.config.mean, model.config.std
    with progress_bar("lora", total=steps, shown=progress) as bar:
        for rows, shown in _batches(pixels, settings, steps=steps, seed=seed):
            views = normalise(shown.to(model.device), mean=mean, std=std)
            truth = torch.from_numpy(labels[rows]).to(model.device)
            loss = F.cross_entropy(head(wrapped(views)), truth)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            bar.advance()
    encoder: nn.Module = wrapped.merge_and_unload().eval()
    for one in encoder.parameters():
        one.requires_grad_(True)
    return Adapted(encoder, head.eval(), steps, share)


def read_pixels(model: Model, catalog: Catalog, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images of some rows as `fit_lora` takes them: uint8 [N, S, S, 3]."""
    side = model.config.image_size
    pixels = np.empty((len(positions), side, side, 3), np.uint8)
    for start in range(0, len(positions), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        images = catalog.take(positions[part], ["image"])["image"].to_pylist()
        pixels[part] = model.pixels(images).permute(0, 2, 3, 1).numpy()
    return pixels


def _probe_head(
    model: Model,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    classes: int,
) -> nn.Linear:
    """The linear probe on the frozen features, for features that are not standardised."""
    features = model.embed(pixels)
    each = np.arange(len(labels)) if groups is None else groups
    probe = fit_few_labels(features, labels, each, num_classes=classes)
    weight = probe.regression.weight / probe.scale
    head = nn.Linear(features.shape[1], classes)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(probe.regression.bias - weight @ probe.mean))
    return head


def _with_matrices(encoder: nn.Module, settings: LoraSettings, seed: int) -> Any:
    """A copy of the encoder that learns by low-rank matrices alone."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingDependency("peft", extra="lora", purpose="LoRA on the encoder") from None
    # Subclasses pad or scale in their own way, which the added branch would not repeat.
    names = [
        name
        for name, part in encoder.named_modules()
        if type(part) is nn.Linear or (type(part) is nn.Conv2d and part.groups == 1)
    ]
    if not names:
        raise ModelError(
            "LoRA needs an encoder with linear layers or plain convolutions; found none; fine-tune it whole "
            "with `synsight evaluate --tasks finetune`."
        )
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=names, lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "lora"))
        return get_peft_model(copy.deepcopy(encoder), config)


def _batches(
    pixels: NDArray[np.uint8], settings: LoraSettings, *, steps: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Rows of each step, every row once before one comes again, and their images uint8 [B, 3, S, S]."""
    rng = generator(seed, "lora batches")
    size = min(settings.batch_size, len(pixels))
    most = round(settings.shift * pixels.shape[1])
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        if len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(len(pixels))])
        rows, waiting = waiting[:size], waiting[size:]
        shown = [_shifted(pixels[row], *rng.integers(-most, most + 1, 2)) for row in rows]
        yield rows, torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)


def _shifted(image: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    side = len(image)
    rows = np.clip(np.arange(side) - down, 0, side - 1)
    columns = np.clip(np.arange(side) - right, 0, side - 1)
    return image[rows][:, columns]
