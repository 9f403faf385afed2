"""Settings that training for boxes and training for pixels share."""

from dataclasses import dataclass
from typing import Literal

from synsight.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """How an encoder is trained, or a head upon it, with AdamW, a linear rise and half a cosine."""

    image_size: int = 128
    """Side of the square that images are fitted into, pixels; a multiple of 32."""
    frozen: bool = False
    """Leave the encoder as it is, and train only what stands on it."""
    steps: int = 300
    batch_size: int = 8
    lr: float = 1e-3
    """At its highest."""
    encoder_lr: float = 0.3
    """That of an encoder that comes with weights, as a share of `lr`; such an encoder does not decay."""
    weight_decay: float = 0.05
    warmup: float = 0.1
    """Share of the steps in which the rate rises."""
    clip_norm: float = 5.0
    """Greatest length of a gradient."""
    flip: bool = True
    """Show half of the images mirrored."""
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpoint_minutes: float = 5.0
    """Between two checkpoints; one is also written when the run is stopped, and at its end."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.image_size < 64 or self.image_size % 32:
            raise ConfigError(f"image_size must be a multiple of 32, 64 or more; got {self.image_size!r}.")
        if self.steps < 1 or self.batch_size < 1 or not self.lr > 0 or not self.clip_norm > 0:
            raise ConfigError(
                f"steps, batch_size, lr and clip_norm must be > 0; got {self.steps!r}, {self.batch_size!r}, "
                f"{self.lr!r} and {self.clip_norm!r}."
            )
        if not 0 <= self.warmup < 1 or not self.encoder_lr > 0 or self.weight_decay < 0:
            raise ConfigError(
                f"warmup must be in [0, 1), encoder_lr > 0, weight_decay >= 0; got {self.warmup!r}, "
                f"{self.encoder_lr!r} and {self.weight_decay!r}."
            )
