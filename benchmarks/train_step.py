"""How fast is a training step: SimCLR's against lightly's modules, and CatLIP's against CLIP's?

`--question simclr`: both train the same timm encoder from the same weights on the same views with the same
SGD: ours as the training loop runs it (both views in one pass, channels-last, in float32 and in bfloat16
autocast), lightly's as its examples do (one pass a view, SimCLRProjectionHead, NTXentLoss, float32).

`--question catlip`: the same ViT learns from captions by each method, as the training loop runs it, AdamW,
bfloat16 where the processor computes in it: CLIP with the paper's text tower (12 layers of 512, 77 tokens),
with a small one, and with caption embeddings made beforehand; CatLIP and SuperClass; and CatLIP with the
levers (part of the tokens, smaller pictures).

The variants take turns; a figure is the median over the turns of CPU seconds (all threads together), a ratio
the median of the ratios within a turn with its range. Left out: decoding and augmentation, the learning-rate
schedule, GPUs.

    python benchmarks/train_step.py --encoder resnet18 --image-size 64 --batch-size 64
    python benchmarks/train_step.py --question catlip --encoder vit_small_patch16_224 --image-size 112 \
        --batch-size 32
"""

import argparse
import statistics
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn
from turns import Step, machine, ratio, take_turns

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods import (
    CLIP,
    CatLIP,
    CatLIPConfig,
    CLIPConfig,
    Method,
    SimCLR,
    SimCLRConfig,
    SuperClass,
    SuperClassConfig,
)
from synsight.models import build_backbone, embedding_dim
from synsight.models.text import build_text_tower
from synsight.objectives import nt_xent
from synsight.training.attention import attention_kernel
from synsight.training.levers import LeversConfig, apply_levers, drop_tokens

TEMPERATURE = 0.1
WORDS_PER_IMAGE = 3
CAPTION_TOKENS = 12
CAPTION_DIM = 384


def step_of(method: Method, batch: Batch, optimiser: torch.optim.Optimizer, *, bf16: bool) -> Step:
    """One step of a method as the training loop takes it."""
    method.to(memory_format=torch.channels_last).train()
    batch = batch.to("cpu", channels_last=True)

    def kernel() -> AbstractContextManager[None]:
        side, precision = batch.views[0].shape[-1], "bf16" if bf16 else "fp32"
        return attention_kernel(method.encoder, side=side, device=torch.device("cpu"), precision=precision)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with kernel():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss = method.loss(batch, World()).loss
            loss.backward()
        optimiser.step()
        assert loss.item() == loss.item(), "the loss is no number"

    return step


def our_simclr(arguments: argparse.Namespace, views: tuple[Tensor, Tensor], *, bf16: bool) -> Step:
    encoder = fresh_encoder(arguments)
    config = SimCLRConfig(temperature=TEMPERATURE)
    method = SimCLR(encoder, embedding_dim=embedding_dim(encoder), config=config)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
    return step_of(method, Batch(views=views, positions=torch.arange(len(views[0]))), optimiser, bf16=bf16)


def lightly_simclr(arguments: argparse.Namespace, views: tuple[Tensor, Tensor]) -> Step:
    encoder = fresh_encoder(arguments)
    width = embedding_dim(encoder)
    network = nn.Sequential(encoder, SimCLRProjectionHead(width, width, 128)).train()
    criterion = NTXentLoss(temperature=TEMPERATURE)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = criterion(network(views[0]), network(views[1]))
        loss.backward()
        optimiser.step()
        assert loss.item() == loss.item(), "the loss is no number"

    return step


def fresh_encoder(arguments: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone(arguments.encoder, image_size=arguments.image_size, stem=arguments.stem)


def check_agreement() -> None:
    """The two losses are one number on the same projections; the heads differ in a batch norm and a bias."""
    z0, z1 = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0)).unbind()
    ours, theirs = nt_xent(z0, z1, temperature=TEMPERATURE), NTXentLoss(temperature=TEMPERATURE)(z0, z1)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def simclr_steps(arguments: argparse.Namespace, *, bf16: bool) -> dict[str, Step]:
    check_agreement()
    shape = (2, arguments.batch_size, 3, arguments.image_size, arguments.image_size)
    first, second = torch.randn(shape, generator=torch.Generator().manual_seed(0)).unbind()
    steps = {
        "lightly, float32": lightly_simclr(arguments, (first, second)),
        "synsight, float32": our_simclr(arguments, (first, second), bf16=False),
    }
    if bf16:
        steps["synsight, bfloat16"] = our_simclr(arguments, (first, second), bf16=True)
    return steps


def caption_batch(arguments: argparse.Namespace, *, classes: int, context_length: int) -> Batch:
    rows, generator = arguments.batch_size, torch.Generator().manual_seed(0)
    side = arguments.image_size
    tokens = torch.zeros(rows, context_length, dtype=torch.int64)
    tokens[:, 0] = 49406
    tokens[:, 1:CAPTION_TOKENS] = torch.randint(1, 40_000, (rows, CAPTION_TOKENS - 1), generator=generator)
    # The paper's tower runs over all 77 positions, so the last is taken up.
    tokens[:, CAPTION_TOKENS if context_length < 77 else -1] = 49407
    return Batch(
        views=(torch.randn(rows, 3, side, side, generator=generator),),
        positions=torch.arange(rows),
        word_rows=torch.arange(rows).repeat_interleave(WORDS_PER_IMAGE),
        word_classes=torch.randint(0, classes, (rows * WORDS_PER_IMAGE,), generator=generator),
        tokens=tokens,
        caption_embeddings=torch.randn(rows, CAPTION_DIM, generator=generator),
    )


def catlip_steps(arguments: argparse.Namespace, *, bf16: bool) -> dict[str, Step]:
    def learner(method: Method, batch: Batch) -> Step:
        optimiser = torch.optim.AdamW(method.parameters(), lr=1e-4)
        return step_of(method, batch, optimiser, bf16=bf16)

    def clip(text: str | None, context_length: int) -> Step:
        encoder = fresh_encoder(arguments)
        towers = {"caption_dim": CAPTION_DIM} if text is None else {"text_encoder": build_text_tower(text)}
        config = CLIPConfig(projection_dim=512)
        method = CLIP(encoder, embedding_dim=embedding_dim(encoder), config=config, **towers)
        return learner(method, caption_batch(arguments, classes=2, context_length=context_length))

    def catlip(classes: int, *, keep: float = 1.0, side: int | None = None, kind: str = "catlip") -> Step:
        encoder = fresh_encoder(arguments)
        levers = LeversConfig(token_keep=keep)
        sizes = frozenset({arguments.image_size, side or arguments.image_size})
        apply_levers(encoder, levers, sizes=sizes, name=arguments.encoder)
        drop_tokens(encoder, step=0, total_steps=100, levers=levers)
        width = embedding_dim(encoder)
        method: Method
        if kind == "catlip":
            method = CatLIP(encoder, embedding_dim=width, config=CatLIPConfig(), num_classes=classes)
        else:
            method = SuperClass(encoder, embedding_dim=width, config=SuperClassConfig(), num_classes=classes)
        batch = caption_batch(arguments, classes=classes, context_length=32)
        if side is not None:
            batch = replace(batch, views=(batch.views[0][..., :side, :side].contiguous(),))
        return learner(method, batch)

    small = arguments.image_size // 32 * 16
    return {
        "CLIP, 12 x 512 text, 77 tokens": clip("clip-transformer", 77),
        "CLIP, 4 x 256 text": clip("transformer", 32),
        "CLIP, captions embedded before": clip(None, 32),
        "CatLIP, 5,000 words": catlip(5_000),
        "CatLIP, 20,000 words": catlip(20_000),
        "SuperClass, 5,000 words": catlip(5_000, kind="superclass"),
        "CatLIP 5,000, half the tokens": catlip(5_000, keep=0.5),
        "CatLIP 5,000, a quarter of them": catlip(5_000, keep=0.25),
        f"CatLIP 5,000, {small} px": catlip(5_000, side=small),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--question", choices=("simclr", "catlip"), default="simclr")
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument(
        "--stem", choices=("standard", "small", "cifar"), default="standard", help="of all encoders"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="images a step")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if not bf16:
        print("bfloat16 left out: this processor does not compute in it")
    build = simclr_steps if arguments.question == "simclr" else catlip_steps
    seconds = take_turns(build(arguments, bf16=bf16), turns=arguments.turns)

    print(machine("synsight", "torch", "timm", "lightly", threads=arguments.threads))
    setting = f"{arguments.encoder}, {arguments.stem} stem, {arguments.image_size} px"
    print(f"{setting}, batch {arguments.batch_size}, {arguments.turns} turns")
    reference = next(iter(seconds))
    print(f"{'variant':<32} {'s/step':>8} {'images/s':>9}  times as fast as {reference!r} [range]")
    for name, values in seconds.items():
        median = statistics.median(values)
        rate = arguments.batch_size / median
        print(f"{name:<32} {median:8.3f} {rate:9.1f}  {ratio(seconds[reference], values)}")


if __name__ == "__main__":
    main()
