"""What one of two gloo processes computes; started by test_distributed.py, prints nothing, writes one file.

Usage: python two_processes.py OUT, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set as torchrun does.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World, close_world, open_world
from synsight.methods import METHODS, Method
from synsight.methods.image_text import ImageText
from synsight.models.norms import across_processes
from synsight.training.settings import from_plain

D, C, E, ROWS = 6, 4, 5, 8
WORDS = [[0, 2], [1], [3], [0], [], [1, 3], [], []]
"""The first process's four rows all have a word, of the second's only one."""
LABELS = [0, 1, 2, 3, -1, 1, -1, -1]
PARTNERS = [5, 1, 3, 2, 4, 0, 6, 12]
"""Rows 0 and 5, and 2 and 3, show each other; row 7's partner is not in the batch."""
NEIGHBOURS = [[5, -1], [-1, -1], [3, 6], [2, -1], [-1, -1], [0, 1], [-1, -1], [12, -1]]
SMALL = {"projection_dim": 3, "predictor_dim": 2, "text": "embedding bag"}


class EmbeddingBag(nn.Module):
    """A text encoder of two lines."""

    embedding_dim = E
    pretrained = False

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, E)

    def forward(self, tokens: Tensor) -> Tensor:
        mean: Tensor = self.table(tokens).mean(dim=1)
        return mean


def joint_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        views=tuple(torch.randn(ROWS, 3, 2, 2, generator=generator) for _ in range(2)),
        positions=torch.arange(ROWS),
        labels=torch.tensor(LABELS),
        word_rows=torch.tensor([row for row, found in enumerate(WORDS) for _ in found]),
        word_classes=torch.tensor([one for found in WORDS for one in found]),
        tokens=torch.randint(0, 10, (ROWS, 3), generator=generator),
        caption_embeddings=torch.randn(ROWS, E, generator=generator),
        partners=torch.tensor(PARTNERS),
        neighbours=torch.tensor(NEIGHBOURS),
        local_views=(torch.randn(ROWS, 3, 2, 2, generator=generator),),
    )


def part_of(batch: Batch, world: World) -> Batch:
    """This process's rows."""
    size = ROWS // world.size
    start = world.rank * size
    assert batch.word_rows is not None and batch.word_classes is not None
    mine = (batch.word_rows >= start) & (batch.word_rows < start + size)
    return replace(
        batch.part(slice(start, start + size)),
        word_rows=batch.word_rows[mine] - start,
        word_classes=batch.word_classes[mine],
    )


def build(name: str, **changes: object) -> Method:
    """A method of a few weights."""
    torch.manual_seed(0)
    kind = METHODS[name]
    kinds = {one.__name__: one for one in _configs()}
    config_class = kinds[f"{kind.__name__}Config"]
    known = set(config_class.__dataclass_fields__)
    plain = {key: value for key, value in {**SMALL, **changes}.items() if key in known}
    config = from_plain(config_class, plain)
    needs = kind.needs(config)
    parts: dict[str, object] = {}
    if needs & {"words", "label"}:
        parts["num_classes"] = C
    if "tokens" in needs:
        parts["text_encoder"] = EmbeddingBag()
    if "caption_embedding" in needs and issubclass(kind, ImageText):
        parts["caption_dim"] = E
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, D))
    return kind(encoder, embedding_dim=D, config=config, **parts)  # type: ignore[call-arg]


def _configs() -> tuple[type, ...]:
    from typing import get_args

    from synsight.methods import MethodConfig

    return get_args(MethodConfig)


def methods() -> dict[str, Method]:
    """Every method, and the variants that compute something else."""
    return {
        **{name: build(name) for name in METHODS},
        "simclr/dcl": build("simclr", decoupled=True),
        "clip/frozen": build("clip", text="transformer", text_frozen=True),
    }


def loss_and_gradients(method: Method, batch: Batch, world: World) -> dict[str, Tensor]:
    """Loss and gradients, averaged over the processes as DDP averages them."""
    if world.size > 1:
        across_processes(method)
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
