"""A matrix of similarities in tiles: where each lies, what it leaves out, and the buffers all of them share.

Logits are kept in base 2, since exp2 is several times faster than exp on a CPU.

In this file and those that build on it: T side of a tile, V views of an image, P pairs to ignore.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from synsight.errors import ConfigError

LN2 = math.log(2)

Precision = Literal["float32", "bfloat16"]
"""Of the products of a tile; sums are float32 either way. float64 rows stay float64 under "float32"."""


@dataclass(frozen=True, eq=False)
class IgnoredPairs:
    """Pairs of one tile that at least one of their two images ignores."""

    row: Tensor
    """[P] int64, counted from the tile's first row."""
    column: Tensor
    """[P] int64, counted from the tile's first column."""
    row_keeps: Tensor
    """[P] 0 or 1: the row's image does not ignore the column's."""
    column_keeps: Tensor
    """[P] 0 or 1: the column's image does not ignore the row's."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A rectangle of the matrix whose rows and columns are images."""

    rows: slice
    columns: slice
    own: int
    """Diagonal of the tile on which an image meets itself; outside of most tiles."""
    mirror: bool
    """The tile lies on the diagonal of a symmetric matrix: its columns are its rows."""
    ignored: IgnoredPairs | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """B x N images, in tiles of T x T."""

    rows: int
    columns: int
    size: int
    own: int = 0
    """Column of the image of row 0."""
    symmetric: bool = False
    """Columns are the rows: only tiles on and above the diagonal are visited."""
    ignored: Mapping[tuple[int, int], IgnoredPairs] = field(default_factory=dict)
    """By the tile's place, counted in tiles."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"tile must be at least 1; got {self.size!r}.")

    def bands(self) -> Iterator[tuple[slice, Iterator[Tile]]]:
        """Each band of T rows with the tiles in it."""
        for start in range(0, self.rows, self.size):
            rows = slice(start, min(start + self.size, self.rows))
            yield rows, self._tiles(rows)

    def _tiles(self, rows: slice) -> Iterator[Tile]:
        for start in range(rows.start if self.symmetric else 0, self.columns, self.size):
            yield Tile(
                rows=rows,
                columns=slice(start, min(start + self.size, self.columns)),
                own=rows.start + self.own - start,
                mirror=self.symmetric and start == rows.start,
                ignored=self.ignored.get((rows.start // self.size, start // self.size)),
            )


def pairs_by_tile(
    pairs: tuple[Tensor, Tensor], *, size: int, columns: int, symmetric: bool
) -> dict[tuple[int, int], IgnoredPairs]:
    """Sort pairs (row, column) into tiles; of a symmetric matrix, mirrored ones as well."""
    row, column = pairs
    of_row = torch.ones_like(row, dtype=torch.bool)
    if symmetric:
        row, column = torch.cat([row, column]), torch.cat([column, row])
        of_row = torch.cat([of_row, ~of_row])
        above = row // size <= column // size
        row, column, of_row = row[above], column[above], of_row[above]
    places, place_of = torch.unique(row * columns + column, return_inverse=True)
    row, column = places // columns, places % columns
    keeps = torch.ones(2, len(places), device=row.device)
    keeps[0, place_of[of_row]] = 0
    keeps[1, place_of[~of_row]] = 0
    across = -(-columns // size)
    tile = row // size * across + column // size
    order = torch.argsort(tile)
    tiles, counts = torch.unique_consecutive(tile[order], return_counts=True)
    members = torch.split(order, counts.tolist())
    return {
        divmod(number, across): IgnoredPairs(row[of] % size, column[of] % size, keeps[0, of], keeps[1, of])
        for number, of in zip(tiles.tolist(), members, strict=True)
    }


class Workspace:
    """Two buffers of one tile, reused by all, and matrix products in the precision asked for."""

    def __init__(self, grid: Grid, like: Tensor, precision: Precision) -> None:
        if precision not in ("float32", "bfloat16"):
            raise ConfigError(f"precision must be 'float32' or 'bfloat16'; got {precision!r}.")
        side = min(grid.size, grid.rows), min(grid.size, grid.columns)
        self._values = like.new_empty(side[0] * side[1])
        self._spare: Tensor | None = None
        low = precision == "bfloat16"
        self._low = torch.empty_like(self._values, dtype=torch.bfloat16) if low else None

    def cast(self, rows: Tensor) -> Tensor:
        """Rows as the products want them."""
        return rows if self._low is None else rows.bfloat16()

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """`left` [T, D] times `right` [T, D] transposed, in a buffer [T, T] that the next call overwrites."""
        shape = len(left), len(right)
        values = _part(self._values, shape)
        if self._low is None:
            return torch.mm(left, right.T, out=values)
        return values.copy_(torch.mm(left, right.T, out=_part(self._low, shape)))

    def weigh(self, values: Tensor, of_rows: Tensor, of_columns: Tensor) -> Tensor:
        """Multiply value (i, j) in place with of_rows[i] + of_columns[j]."""
        weights = self.spare(values.shape)
        torch.add(of_rows[:, None], of_columns, out=weights)
        return values.mul_(weights)

    def spare(self, shape: tuple[int, ...]) -> Tensor:
        """The second buffer, in part."""
        if self._spare is None:
            self._spare = torch.empty_like(self._values)
        return _part(self._spare, shape)

    def factor(self, values: Tensor) -> Tensor:
        """Values [T, T] as a factor for `add_product`; overwritten by the next call."""
        return values if self._low is None else _part(self._low, values.shape).copy_(values)

    def add_product(self, total: Tensor, left: Tensor, right: Tensor, *, times: float = 1.0) -> None:
        """Add times * (left @ right) to total [T, D] in place."""
        if self._low is None:
            total.addmm_(left, right, alpha=times)
        else:
            total.add_(torch.mm(left, right), alpha=times)


@dataclass(frozen=True, eq=False)
class Block:
    """Logits between one view of a tile's rows and one view of its columns."""

    tile: Tile
    anchor_view: int
    candidate_view: int
    left: Tensor
    """The scaled rows, [T, D], as the product took them."""
    right: Tensor
    """The columns, [T, D], as the product took them."""
    values: Tensor
    """[T, T], in base 2; a buffer that the next block overwrites."""

    @property
    def is_symmetric(self) -> bool:
        """Rows are the columns: each pair stands here twice."""
        return self.tile.mirror and self.anchor_view == self.candidate_view


def logits_by_block(
    grid: Grid, work: Workspace, anchors: Sequence[Tensor], candidates: Sequence[Tensor], scale: float
) -> Iterator[Block]:
    """Logits in base 2, block by block; of a symmetric grid those on and above the diagonal."""
    cast = [work.cast(view) for view in candidates]
    for rows, tiles in grid.bands():
        scaled = [work.cast(view[rows] * (scale / LN2)) for view in anchors]
        for tile in tiles:
            for a, left in enumerate(scaled):
                for b in range(a if tile.mirror else 0, len(cast)):
                    right = cast[b][tile.columns]
                    yield Block(tile, a, b, left, right, work.product(left, right))


def as_float(value: float | Tensor) -> float:
    """The number that a tensor holds, without its graph."""
    return value.item() if isinstance(value, Tensor) else value


def _part(buffer: Tensor, shape: tuple[int, ...]) -> Tensor:
    return buffer[: shape[0] * shape[1]].view(shape)
