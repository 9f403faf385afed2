"""Runs that have gone wrong, told early and in words that say what to try."""

import math

from synsight.errors import TrainingError
from synsight.training.state import Progress

CHANCE_BAND = 0.02
"""A loss this near to chance, relatively, has learnt nothing."""
CHANCE_PATIENCE = 0.25
"""Share of the run after the warm-up that a method may stay at chance."""
COLLAPSED_SPREAD = 0.01
"""Spread of unit features (1: evenly over the sphere) below which they are one point for all purposes."""
COLLAPSED_ROWS = 3


def check_finite(value: float, what: str, *, step: int, lr: float, precision: str) -> None:
    """Stop at a loss or a gradient that is no number.

    Raises:
        TrainingError: The value is NaN or infinite.
    """
    if not math.isfinite(value):
        also = ", or --precision fp32" if precision == "bf16" else ""
        raise TrainingError(
            f"the {what} became {value} at step {step} (learning rate {lr:.3g}); start again with a "
            f"learning rate three to ten times lower (--optim.lr), a longer --schedule.warmup{also}."
        )


def watch_chance(
    progress: Progress, loss: float, *, chance: float | None, warmup_steps: int, total_steps: int
) -> None:
    """Count steps in a row whose loss is that of a method which has learnt nothing; stop when they are many.

    Raises:
        TrainingError: The loss has stayed at chance for a quarter of the run after the warm-up.
    """
    if chance is None or progress.step <= warmup_steps:
        return
    at_chance = abs(loss - chance) <= CHANCE_BAND * chance
    progress.at_chance_steps = progress.at_chance_steps + 1 if at_chance else 0
    if progress.at_chance_steps >= max(CHANCE_PATIENCE * total_steps, 20):
        raise TrainingError(
            f"the loss has stayed at {loss:.3f}, the value of guessing among the batch (ln(2B - 1) = "
            f"{chance:.3f}), for {progress.at_chance_steps} steps after the warm-up, so nothing is being "
            "learnt; try a learning rate ten times lower or higher (--optim.lr) or a lower "
            "--method.temperature, and look whether the images are all alike."
        )


def watch_collapse(progress: Progress, spread: float, *, warmup_steps: int) -> None:
    """Count rows of metrics in a row whose features are all the same, and stop at the third.

    Args:
        progress: Holds the count.
        spread: `metrics.unit_feature_spread` of a batch.
        warmup_steps: Nothing is said before these are over.

    Raises:
        TrainingError: The features have collapsed to a point.
    """
    if progress.step <= warmup_steps:
        return
    progress.collapsed_rows = progress.collapsed_rows + 1 if spread < COLLAPSED_SPREAD else 0
    if progress.collapsed_rows >= COLLAPSED_ROWS:
        raise TrainingError(
            f"the features of all images have become the same (spread {spread:.4f} at step {progress.step}, "
            "where 1 is even and 0 is a point); try a learning rate three to ten times lower (--optim.lr), "
            "a longer --schedule.warmup, or less --optim.weight-decay."
        )
