"""What one of two gloo processes computes; started by test_distributed.py, prints nothing, writes one file.

Usage: python two_processes.py OUT, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set as torchrun does.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World, close_world, open_world
from synsight.methods import CatLIP, CatLIPConfig, Method, SimCLR, SimCLRConfig, Supervised, SupervisedConfig

D, C, ROWS = 6, 4, 8
WORDS = [[0, 2], [1], [3], [0], [], [1, 3], [], []]
"""The first process's four rows all have a word, of the second's only one."""
LABELS = [0, 1, 2, 3, -1, 1, -1, -1]


def joint_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        views=tuple(torch.randn(ROWS, 3, 2, 2, generator=generator) for _ in range(2)),
        positions=torch.arange(ROWS),
        labels=torch.tensor(LABELS),
        word_rows=torch.tensor([row for row, found in enumerate(WORDS) for _ in found]),
        word_classes=torch.tensor([one for found in WORDS for one in found]),
    )


def part_of(batch: Batch, world: World) -> Batch:
    """This process's rows."""
    size = ROWS // world.size
    start = world.rank * size
    assert batch.labels is not None and batch.word_rows is not None and batch.word_classes is not None
    mine = (batch.word_rows >= start) & (batch.word_rows < start + size)
    return Batch(
        views=tuple(view[start : start + size] for view in batch.views),
        positions=batch.positions[start : start + size],
        labels=batch.labels[start : start + size],
        word_rows=batch.word_rows[mine] - start,
        word_classes=batch.word_classes[mine],
    )


def methods() -> dict[str, Method]:
    """Without batch statistics, which no two processes share."""

    def encoder() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, D))

    simclr = SimCLR(encoder(), embedding_dim=D, config=SimCLRConfig(projection_dim=3))
    simclr.projection_head = nn.Linear(D, 3)  # type: ignore[assignment]
    return {
        "simclr": simclr,
        "catlip": CatLIP(encoder(), embedding_dim=D, config=CatLIPConfig(), num_classes=C),
        "supervised": Supervised(encoder(), embedding_dim=D, config=SupervisedConfig(), num_classes=C),
    }


def loss_and_gradients(method: Method, batch: Batch, world: World) -> dict[str, Tensor]:
    """Loss and gradients, averaged over the processes as DDP averages them."""
    loss = method.loss(batch, world).loss
    loss.backward()
    found = {"loss": loss.detach(), **{name: weight.grad for name, weight in method.named_parameters()}}
    return {name: world.sum(value) / world.size for name, value in found.items() if value is not None}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    world = open_world()
    found: dict[str, Tensor] = {}
    for name, method in methods().items():
        values = loss_and_gradients(method, part_of(joint_batch(), world), world)
        found |= {f"{name}/{key}": value for key, value in values.items()}
    rows = torch.full((2, 3), float(world.rank + 1), requires_grad=True)
    gathered = world.gather(rows)
    # Process r asks for r + 1 times row g of all: each row's gradient is the sum over the processes.
    (gathered * (world.rank + 1) * torch.arange(1.0, 5.0)[:, None]).sum().backward()
    assert rows.grad is not None
    found |= {"gathered": gathered.detach(), "gathered/gradient": rows.grad}
    found["sum"] = world.sum(torch.tensor([1.0, world.rank]))
    save_file(found, out / f"rank{world.rank}.safetensors")
    close_world(world)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
