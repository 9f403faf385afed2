"""Exact gradients of a large batch from an encoder that only holds a part of it (GradCache)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from synsight.errors import ConfigError, ShapeError

P = TypeVar("P")
R = TypeVar("R")
RandomState = tuple[Tensor, Tensor | None]
"""Of the CPU, and of the current GPU where there is one."""


def backward_in_parts(
    parts: Sequence[P],
    *,
    represent: Callable[[P], Mapping[str, Tensor]],
    compare: Callable[[Mapping[str, Tensor]], R],
    loss_of: Callable[[R], Tensor],
    around: Callable[[int], AbstractContextManager[object]] = lambda index: nullcontext(),
    modules: nn.Module | None = None,
    only_compared: Iterable[nn.Parameter] = (),
) -> R:
    """Add to every `.grad` what one backward pass over all parts at once would have added.

    A contrastive loss needs the rows of all images, but not their activations. So all parts are first
    represented without gradient; the loss of the joined rows gives the gradient of each row; then each part
    is represented again, with gradient, and its rows' gradients are sent back through the encoder. The loss
    is computed once, and so is the gradient of what `compare` itself holds: its logit scale gets its true
    gradient (repeating the loss for each part would count it as often as there are parts). The price is one
    more forward pass; a single part is done in one.

    Args:
        parts: What the batch is cut into, at least one.
        represent: Part -> named rows, each [b, ...]; every part gives the same names. It is called twice a
            part, in the same order and from the same random state, so dropout and token dropping repeat.
        compare: Named rows of all parts, joined in order along the first dimension -> anything that holds the
            loss. It may gather across processes.
        loss_of: The scalar in what `compare` returned (scaled, when gradients are to be).
        around: Part's place -> a context for its second pass: `no_sync` of data parallel training for all
            parts but the last.
        modules: Its buffers (running statistics) are put back after the first pass, so that every part is
            counted once. A batch norm sees the statistics of its part, not of the whole batch; with one in
            the encoder the gradient is that of parts, as in plain accumulation.
        only_compared: Parameters that `compare` uses and `represent` does not. The last part's pass goes by
            them with a zero gradient; DistributedDataParallel, which averages what is complete by then, would
            otherwise wait for them.

    Returns:
        What `compare` returned; its graph is used up.

    Raises:
        ConfigError: No parts.
        ShapeError: A part gives other names than the first.

    Reference: Gao et al. 2021, section 3.2, https://arxiv.org/abs/2101.06983
    """
    if not parts:
        raise ConfigError("gradients in parts need at least one part; got none.")
    if len(parts) == 1:
        with around(0):
            result = compare(represent(parts[0]))
            loss_of(result).backward()  # type: ignore[no-untyped-call]
        return result

    states, represented = [], []
    with torch.no_grad(), _unchanged_buffers(modules):
        for part in parts:
            states.append(_random_state())
            represented.append(dict(represent(part)))
    torch.clear_autocast_cache()  # where older versions of torch keep weights cast without a graph
    leaves = _joined(represented)
    sizes = [{name: len(rows) for name, rows in one.items()} for one in represented]
    del represented

    result = compare(leaves)
    loss_of(result).backward()  # type: ignore[no-untyped-call]

    after = _random_state()
    gradients = _cut({name: leaf.grad for name, leaf in leaves.items()}, sizes)
    for index, (part, state, wanted) in enumerate(zip(parts, states, gradients, strict=True)):
        with around(index):
            _set_random_state(state)
            rows = represent(part)
            used = [name for name in wanted if rows[name].requires_grad]
            ends: list[Tensor] = [rows[name] for name in used]
            slopes = [wanted[name] for name in used]
            if index == len(parts) - 1:
                unused = list(only_compared)
                ends += unused
                slopes += [torch.zeros_like(one) for one in unused]
            if ends:
                torch.autograd.backward(ends, slopes)
    _set_random_state(after)
    return result


def _joined(represented: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Rows of all parts by name, as leaves that collect a gradient."""
    names = list(represented[0])
    for place, rows in enumerate(represented):
        if set(rows) != set(names):
            raise ShapeError(
                f"every part must give the same rows; part 0 gave {names}, part {place} {list(rows)}."
            )
    joined = {name: torch.cat([rows[name] for rows in represented]) for name in names}
    return {name: rows.requires_grad_(rows.is_floating_point()) for name, rows in joined.items()}


def _cut(
    gradients: Mapping[str, Tensor | None], sizes: Sequence[Mapping[str, int]]
) -> Iterator[dict[str, Tensor]]:
    """The rows of each part; names that the loss did not use are left out."""
    start = dict.fromkeys(gradients, 0)
    for part in sizes:
        yield {
            name: gradient[start[name] : start[name] + part[name]]
            for name, gradient in gradients.items()
            if gradient is not None
        }
        start = {name: start[name] + part[name] for name in start}


@contextmanager
def _unchanged_buffers(modules: nn.Module | None) -> Iterator[None]:
    kept = [] if modules is None else [(buffer, buffer.clone()) for buffer in modules.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)


def _random_state() -> RandomState:
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.get_rng_state(), torch.cuda.get_rng_state() if on_gpu else None


def _set_random_state(state: RandomState) -> None:
    on_cpu, on_gpu = state
    torch.set_rng_state(on_cpu)
    if on_gpu is not None:
        torch.cuda.set_rng_state(on_gpu)
