"""Which rows make which batch: a pure function of a few integers, without any reading.

A run that stops and goes on therefore needs to remember one number, and skips nothing.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from synsight.errors import ConfigError
from synsight.seeding import generator


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The order in which `rows` rows are seen.

    A step takes `batch_size` rows over all processes together, and each process a contiguous share of them:
    the batch of a step is the same for any number of processes.
    """

    rows: int
    """Rows of one epoch, >= 1."""
    batch_size: int
    """Rows of one step, over all processes together."""
    seed: int = 0
    rank: int = 0
    world: int = 1
    """Processes that train together."""
    shuffle: bool = True
    """A new order each epoch; False: 0, 1, 2, ..."""
    image_sizes: tuple[int, ...] = ()
    """Sides in pixels that batches have in turn; () one side for all. A batch at twice the side has a quarter
    of the rows, so that every step costs and holds about as much."""
    image_size: int = 0
    """Side at which a batch has `batch_size` rows, when there are `image_sizes`."""
    keep_last: bool = False
    """Keep the last, smaller batch of an epoch. Training drops it (other rows fall to it each epoch)."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.batch_size < 1:
            raise ConfigError(
                f"a plan expects at least one row and batch_size >= 1; got {self.rows} rows and "
                f"batch_size {self.batch_size}; check the data and the filter."
            )
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"rank must be in 0..{self.world - 1}; got {self.rank}.")
        if not self.keep_last and self.batch_size > self.rows:
            raise ConfigError(
                f"batch_size {self.batch_size} is larger than the {self.rows} rows to train on, "
                "so no whole batch "
                f"exists; set batch_size to at most {self.rows}."
            )
        if not self.keep_last and self.batch_size % self.world:
            raise ConfigError(
                f"batch_size {self.batch_size} must be a multiple of the {self.world} processes, "
                "which share it equally."
            )
        if self.image_sizes and (self.keep_last or self.image_size < 1):
            raise ConfigError("a plan with image_sizes needs an image_size, and drops the last rows.")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the rows."""
        if self.image_sizes:
            return len(self._layout)
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + bool(rest and self.keep_last)

    def size_at(self, epoch: int, step: int) -> int | None:
        """Side in pixels of a batch; None: the plan does not say."""
        return _epoch_of_sizes(self, epoch)[step][0] if self.image_sizes else None

    @cached_property
    def _layout(self) -> tuple[tuple[int, int], ...]:
        """(side, rows) of each batch of an epoch, before the epoch's order."""
        sides = itertools.cycle(self.image_sizes)
        layout: list[tuple[int, int]] = []
        left = self.rows
        while True:
            side = next(sides)
            share = self.batch_size * (self.image_size / side) ** 2 / self.world
            size = self.world * max(1, int(share))
            if size > left:
                return tuple(layout) or ((side, left // self.world * self.world),)
            layout.append((side, size))
            left -= size

    def locate(self, global_step: int) -> tuple[int, int]:
        """Epoch and step inside it of a step counted from the start of the run."""
        return divmod(global_step, self.steps_per_epoch)

    def indices(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Rows of this process's share of a batch, each in 0..rows-1.

        Memory: the order of one epoch, 8 bytes a row, is kept between calls.
        """
        if not 0 <= step < self.steps_per_epoch:
            raise ConfigError(f"step must be in 0..{self.steps_per_epoch - 1}; got {step}.")
        start, size = self._span(epoch, step)
        mine = slice(start + size * self.rank // self.world, start + size * (self.rank + 1) // self.world)
        if not self.shuffle:
            return np.arange(mine.start, mine.stop, dtype=np.int64)
        return _order(self.rows, self.seed, epoch)[mine]

    def _span(self, epoch: int, step: int) -> tuple[int, int]:
        if self.image_sizes:
            _, size, start = _epoch_of_sizes(self, epoch)[step]
            return start, size
        start = step * self.batch_size
        return start, min(self.batch_size, self.rows - start)

    def batches(
        self, *, start_epoch: int = 0, start_step: int = 0, epochs: int | None = None
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(epoch, rows) of one batch after the other, from any place on; without end when `epochs` is
        None.
        """
        epoch, step = start_epoch, start_step
        while epochs is None or epoch < epochs:
            for current in range(step, self.steps_per_epoch):
                yield epoch, self.indices(epoch, current)
            epoch, step = epoch + 1, 0


@lru_cache(maxsize=2)
def _order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = generator(seed, "plan", epoch).permutation(rows)
    order.flags.writeable = False  # the cached array is handed out in slices
    return order


@lru_cache(maxsize=2)
def _epoch_of_sizes(plan: Plan, epoch: int) -> list[tuple[int, int, int]]:
    """(side, rows, first row) of each batch of an epoch, in the epoch's order."""
    layout = plan._layout
    order = generator(plan.seed, "sizes", epoch).permutation(len(layout))
    chosen = [layout[place] for place in order]
    starts = itertools.accumulate((size for _, size in chosen), initial=0)
    return [(side, size, start) for (side, size), start in zip(chosen, starts, strict=False)]
