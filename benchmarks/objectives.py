"""What does BCE over a vocabulary cost with the labels as coordinates, against a dense target?

    python benchmarks/objectives.py [--classes 5000 24320] [--batch-size 64] [--rounds 9]

For each number of classes: the largest difference of loss and gradient from torch's dense loss (in float64,
and in float32 relative to the loss); the bytes of labels that a loader's worker sends for an image; the peak
memory that targets and loss add, each variant in a process of its own; and the time of one training step
(ResNet-18 at 64 px in bf16 autocast, linear head, AdamW) and of head and loss alone. The variants take
turns; times are CPU seconds of one thread, a figure is the median over the rounds, a ratio the median of the
ratios within a round with its range. No speed-up is expected: the head is a small part of a step.

Left out: building a dense target from the lists of words (it is ready-made here), GPUs, data parallel
training.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synsight.models import build_backbone, embedding_dim, linear_head
from synsight.objectives import sparse_bce

WORDS_AN_IMAGE = 3
FEATURES = 512


def positives(batch: int, classes: int) -> tuple[Tensor, Tensor]:
    """Coordinates of `WORDS_AN_IMAGE` different words a row."""
    rng = np.random.default_rng(0)
    words = np.stack([rng.choice(classes, WORDS_AN_IMAGE, replace=False) for _ in range(batch)])
    return torch.arange(batch).repeat_interleave(WORDS_AN_IMAGE), torch.from_numpy(words.reshape(-1))


def dense_target(batch: int, classes: int) -> Tensor:
    """The same as 0/1 in int64, as corenet's workers send it."""
    target = torch.zeros(batch, classes, dtype=torch.int64)
    target[positives(batch, classes)] = 1
    return target


def dense_bce(logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.float() if logits.dtype == torch.bfloat16 else logits
    loss = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="sum")
    return loss / len(logits)


def losses(batch: int, classes: int) -> dict[str, Callable[[Tensor], Tensor]]:
    pairs, target = positives(batch, classes), dense_target(batch, classes)
    return {
        "dense": lambda logits: dense_bce(logits, target),
        "sparse": lambda logits: sparse_bce(logits, *pairs),
    }


def print_equality(batch: int, classes: int) -> None:
    for dtype in (torch.float64, torch.float32):
        logits = 3 * torch.randn(batch, classes, generator=torch.Generator().manual_seed(0), dtype=dtype)
        values, gradients = [], []
        for loss in losses(batch, classes).values():
            leaf = logits.clone().requires_grad_()
            value = loss(leaf)
            value.backward()
            values.append(value.item())
            gradients.append(leaf.grad)
        relative = abs(values[0] - values[1]) / values[0]
        furthest = (gradients[0] - gradients[1]).abs().max().item()
        name = str(dtype).removeprefix("torch.")
        print(f"  {name}: loss differs by {relative:.1e} of itself, a gradient by at most {furthest:.1e}")


def print_label_bytes(batch: int, classes: int) -> None:
    dense = dense_target(1, classes).nbytes
    sparse = sum(one.nbytes for one in positives(batch, classes)) / batch
    print(f"  labels through the loader, bytes an image: dense {dense:,}, sparse {sparse:,.0f}")


def print_peak_memory(classes: int, *, batch: int = 1024) -> None:
    peaks = {}
    for variant in ("dense", "sparse"):
        command = [sys.executable, __file__, "--peak-of", variant, "--batch-size", str(batch)]
        answer = subprocess.run(
            [*command, "--classes", str(classes)], capture_output=True, text=True, check=True
        )
        peaks[variant] = float(answer.stdout)
    logits = batch * classes * 4 / 1e6
    print(
        f"  peak memory of targets, loss and gradient at {batch} images, MB: dense {peaks['dense']:.0f}, "
        f"sparse {peaks['sparse']:.0f} (the logits alone are {logits:.0f})"
    )


def peak_of(variant: str, batch: int, classes: int) -> float:
    """MB by which resident memory rises from the logits to the end of the backward pass (Linux)."""
    losses(2, 10)[variant](torch.zeros(2, 10, requires_grad=True)).backward()  # loads what torch loads late
    logits = torch.randn(batch, classes).requires_grad_()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident_peak()
    if variant == "dense":
        loss = dense_bce(logits, dense_target(batch, classes))
    else:
        loss = sparse_bce(logits, *positives(batch, classes))
    loss.backward()
    return (resident_peak() - before) / 1024


def resident_peak() -> int:
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1])


def training_step(
    encoder: nn.Module, inputs: Tensor, width: int, classes: int, loss: Callable[[Tensor], Tensor]
):
    head = linear_head(width, classes, prior=1 / classes)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-4)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = head(encoder(inputs))
        loss(logits).backward()
        optimiser.step()

    return step


def print_times(batch: int, classes: int, rounds: int) -> None:
    def whole(loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        encoder = build_backbone("resnet18", image_size=64, stem="standard")
        encoder.to(memory_format=torch.channels_last)
        images = torch.randn(batch, 3, 64, 64).contiguous(memory_format=torch.channels_last)
        return training_step(encoder, images, embedding_dim(encoder), classes, loss)

    def head_alone(loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        return training_step(nn.Identity(), torch.randn(batch, FEATURES), FEATURES, classes, loss)

    for name, make in (("step", whole), ("head and loss", head_alone)):
        steps = {variant: make(loss) for variant, loss in losses(batch, classes).items()}
        for step in steps.values():
            step()
        seconds: dict[str, list[float]] = {variant: [] for variant in steps}
        for turn in range(rounds):
            for variant in sorted(steps, reverse=bool(turn % 2)):
                start = time.process_time()
                steps[variant]()
                seconds[variant].append(time.process_time() - start)
        ratios = [sparse / dense for sparse, dense in zip(seconds["sparse"], seconds["dense"], strict=True)]
        middle = {variant: 1000 * statistics.median(times) for variant, times in seconds.items()}
        print(
            f"  {name}, ms: dense {middle['dense']:.1f}, sparse {middle['sparse']:.1f}; sparse / dense "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[5000, 24_320])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peak-of", choices=("dense", "sparse"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak_of:
        print(peak_of(arguments.peak_of, arguments.batch_size, arguments.classes[0]))
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("synsight", "torch", "timm"))
    print(
        f"{platform.processor() or platform.machine()}, one thread; {versions}; batch {arguments.batch_size}"
    )
    for classes in arguments.classes:
        print(f"{classes:,} classes, {WORDS_AN_IMAGE} words an image")
        print_equality(arguments.batch_size, classes)
        print_label_bytes(arguments.batch_size, classes)
        print_peak_memory(classes)
        print_times(arguments.batch_size, classes, arguments.rounds)


if __name__ == "__main__":
    main()
