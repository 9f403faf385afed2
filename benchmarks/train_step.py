"""How fast is a SimCLR step against the same step made of lightly's modules?

Both train the same timm encoder from the same weights on the same views with the same SGD: ours as the
training loop runs it (both views in one pass, channels-last, in float32 and in bfloat16 autocast),
lightly's as its examples do (one pass a view, SimCLRProjectionHead, NTXentLoss, float32). The variants
take turns; a figure is the median over the turns of CPU seconds (all threads together), a ratio the
median of the ratios within a turn with its range.

Left out: decoding and augmentation, the learning-rate schedule, GPUs.

    python benchmarks/train_step.py --encoder resnet18 --image-size 64 --batch-size 64
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.methods import SimCLR, SimCLRConfig
from synsight.models import build_backbone, embedding_dim
from synsight.objectives import nt_xent

TEMPERATURE = 0.1
Step = Callable[[], float]


def our_step(arguments: argparse.Namespace, views: tuple[Tensor, Tensor], *, bf16: bool) -> Step:
    encoder = fresh_encoder(arguments)
    config = SimCLRConfig(temperature=TEMPERATURE)
    method = SimCLR(encoder, embedding_dim=embedding_dim(encoder), config=config)
    method.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
    batch = Batch(views=views, positions=torch.arange(len(views[0]))).to("cpu", channels_last=True)

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = method.loss(batch, World()).loss
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def lightly_step(arguments: argparse.Namespace, views: tuple[Tensor, Tensor]) -> Step:
    encoder = fresh_encoder(arguments)
    width = embedding_dim(encoder)
    network = nn.Sequential(encoder, SimCLRProjectionHead(width, width, 128)).train()
    criterion = NTXentLoss(temperature=TEMPERATURE)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = criterion(network(views[0]), network(views[1]))
        loss.backward()
        optimiser.step()
        return float(loss.item())

    return step


def fresh_encoder(arguments: argparse.Namespace) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone(arguments.encoder, image_size=arguments.image_size, stem=arguments.stem)


def check_agreement() -> None:
    """The two losses are one number on the same projections; the heads differ in a batch norm and a bias."""
    z0, z1 = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0)).unbind()
    ours, theirs = nt_xent(z0, z1, temperature=TEMPERATURE), NTXentLoss(temperature=TEMPERATURE)(z0, z1)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def cpu_seconds(step: Step) -> float:
    began = time.process_time()
    loss = step()
    assert loss == loss, "the loss is no number"
    return time.process_time() - began


def measure(steps: dict[str, Step], *, turns: int) -> dict[str, list[float]]:
    for step in steps.values():
        step()
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns):
        names = list(steps) if turn % 2 else list(reversed(steps))  # nobody always follows the same one
        for name in names:
            seconds[name].append(cpu_seconds(steps[name]))
    return seconds


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="resnet18", help="a timm name")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument(
        "--stem", choices=("standard", "small", "cifar"), default="standard", help="of both encoders"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="images a step; each has two views")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    check_agreement()

    shape = (2, arguments.batch_size, 3, arguments.image_size, arguments.image_size)
    first, second = torch.randn(shape, generator=torch.Generator().manual_seed(0)).unbind()
    steps = {
        "lightly, float32": lightly_step(arguments, (first, second)),
        "synsight, float32": our_step(arguments, (first, second), bf16=False),
    }
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        steps["synsight, bfloat16"] = our_step(arguments, (first, second), bf16=True)
    else:
        print("bfloat16 left out: this processor does not compute in it")
    seconds = measure(steps, turns=arguments.turns)

    packages = ", ".join(f"{name} {version(name)}" for name in ("synsight", "torch", "timm", "lightly"))
    print(f"{processor()}, {arguments.threads} thread(s); {packages}")
    setting = f"{arguments.encoder}, {arguments.stem} stem, {arguments.image_size} px"
    print(f"{setting}, batch {arguments.batch_size}, {arguments.turns} turns")
    print(f"{'variant':<20} {'s/step':>8} {'images/s':>9}  times as fast as lightly [range]")
    reference = seconds["lightly, float32"]
    for name, values in seconds.items():
        ratios = [theirs / ours for theirs, ours in zip(reference, values, strict=True)]
        median = statistics.median(values)
        print(
            f"{name:<20} {median:8.3f} {arguments.batch_size / median:9.1f}  "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
        )


if __name__ == "__main__":
    main()
