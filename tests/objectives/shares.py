"""Many processes acted out in one: each has its share of the rows and gathers the shares of all."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def random_rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def mean_over_processes(loss: Callable[..., Tensor], rows: Sequence[Tensor], *, processes: int) -> Tensor:
    """Mean of `loss(*own rows, gather=..., rank=...)`; a gather finds whose unit rows it was given."""
    size = len(rows[0]) // processes
    losses = []
    for rank in range(processes):
        own = slice(rank * size, (rank + 1) * size)

        def gather(unit: Tensor, own: slice = own) -> Tensor:
            wholes = (F.normalize(one, dim=1) for one in rows)
            return next(whole for whole in wholes if torch.equal(whole[own], unit))

        losses.append(loss(*(one[own] for one in rows), gather=gather, rank=rank))
    return torch.stack(losses).mean()


def values_and_gradients(loss: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """The loss and its gradient with respect to each leaf that wants one."""
    copies = [leaf.detach().clone().requires_grad_(leaf.requires_grad) for leaf in leaves]
    value = loss(*copies)
    value.backward()
    return [value.detach(), *(copy.grad for copy in copies if copy.requires_grad)]
