"""RangeAugment: brightness, contrast and noise whose strength is learned along with the network."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synsight.data.training_data import IMAGENET_MEAN, IMAGENET_STD

GREYS = 255.0
PSNR = (40.0, 20.0)
"""Similarity of augmented and original image that is aimed at, from the first step to the last, in dB."""
ALPHA = 100.0
"""Weight of the penalty, before it is divided by the largest squared error there is, 255^2."""
APPLIED = 0.5
"""Share of the images that an operation is applied to."""

BRIGHTNESS, CONTRAST, NOISE = range(3)
_START = ((0.97, 1.03), (0.97, 1.03), (0.0, 0.01))
_LEAST = ((0.1, 1.0), (0.1, 1.0), (0.0, 0.0))
_MOST = ((1.0, 10.0), (1.0, 10.0), (0.0, 1.0))


class RangeAugment(nn.Module):
    """Changes normalised images by magnitudes drawn from ranges that have a gradient.

    Three operations in random order, each on a random half of the images: brightness multiplies pixels,
    contrast their distance from the channel's mean, noise adds Gaussian noise of a deviation (pixels in [0,
    1]). A magnitude is uniform between a low and a high end, low + u (high - low), so both ends learn: from
    the loss of the method, and from a penalty that holds the squared error between augmented and original
    image at a target, which grows over the run (PSNR 40 to 20 dB).

    Attributes:
        ranges: Low and high end of brightness, contrast and noise, [3, 2]. What changes nothing (1, 1, 0)
            always lies between the ends.
        steps_seen: Steps taken, a scalar; in the checkpoint.
        total_steps: Length of the run; 0: unknown, the target stays where it begins.

    Args:
        mean: Of the normalisation, one number a channel.
        std: Of the normalisation.

    Reference: Mehta et al. 2022 (RangeAugment), https://arxiv.org/abs/2212.10553, with the settings of
    CatLIP's released code, whose curriculum is a cosine in the squared error. Departures: there the ends pass
    through a sigmoid, by which training begins with factors of 0.60 to 8.4 and noise up to 0.52; here they
    are clamped after each step (`clamp`) and begin close to no change, where the target is. Each image is
    drawn by itself; there half of each batch.
    """

    steps_seen: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, *, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.ranges = nn.Parameter(torch.tensor(_START))
        self.total_steps = 0
        self.register_buffer("steps_seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Augment normalised images [B, 3, H, W].

        Returns:
            Images like them, and for each the mean squared error it got in grey levels (0 to 255^2), [B, 1].
        """
        pixels = views * self.std + self.mean
        changed = pixels
        for operation in torch.randperm(3).tolist():
            changed = self._changed(changed, operation)
        changed = changed.clamp(0, 1)
        error = ((changed - pixels) * GREYS).square().mean(dim=(1, 2, 3))
        return (changed - self.mean) / self.std, error[:, None]

    def penalty(self, errors: Tensor) -> Tensor:
        """How far the squared errors [B, 1] are from the target: smooth L1, mean over the images."""
        target = torch.full_like(errors, self.target_error)
        return ALPHA / GREYS**2 * F.smooth_l1_loss(errors, target)

    @property
    def target_error(self) -> float:
        """Mean squared error that is aimed at now, in grey levels."""
        done = min(int(self.steps_seen) / self.total_steps, 1.0) if self.total_steps else 0.0
        first, last = (GREYS**2 / 10 ** (decibel / 10) for decibel in PSNR)
        return last + (first - last) * (1 + math.cos(math.pi * done)) / 2

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring the ends back into their bounds, and count a step."""
        self.ranges.clamp_(self.ranges.new_tensor(_LEAST), self.ranges.new_tensor(_MOST))
        self.steps_seen += 1

    def no_weight_decay(self) -> set[str]:
        """Names of the weights that an optimiser must not draw to zero, as timm's models tell them."""
        return {"ranges"}

    def _changed(self, pixels: Tensor, operation: int) -> Tensor:
        low, high = self.ranges[operation].unbind()
        draws = torch.rand(2, len(pixels), 1, 1, 1, device=pixels.device, dtype=pixels.dtype)
        magnitude = low + draws[0] * (high - low)
        if operation == BRIGHTNESS:
            changed = pixels * magnitude
        elif operation == CONTRAST:
            middle = pixels.mean(dim=(2, 3), keepdim=True)
            changed = middle + (pixels - middle) * magnitude
        else:
            changed = pixels + torch.randn_like(pixels) * magnitude
        return torch.where(draws[1] < APPLIED, changed, pixels)
