"""How much time and memory does a contrastive loss of a large batch take, in tiles and as others compute it?

    python benchmarks/contrastive.py [--losses nt_xent clip] [--sizes 1024 4096] [--dims 128] [--rounds 5]

Forward and backward of one loss over random rows of D numbers, B images a batch: lightly's and
pytorch-metric-learning's NTXentLoss, open_clip's ClipLoss and SigLipLoss, our dense forms and our tiled ones
in float32 and with bfloat16 tiles. First the difference from the rival, of the loss and of the gradient (the
latter relative to its norm), at B of at most 1,024. Then time: the variants take turns in one process; CPU
seconds of all threads, median over the rounds with the range, ratios within a round. Then memory: the rise of
peak resident memory over the rows, in a fresh process each (Linux). X-CLR has no rival; its ratios are to our
dense form.

A variant that would need more than --limit-gb is left out and says so: dense forms hold several matrices of
all pairs, pytorch-metric-learning one of all triplets. Left out as well: GPUs, several processes.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from lightly.loss import NTXentLoss
from open_clip.loss import ClipLoss, SigLipLoss
from pytorch_metric_learning.losses import NTXentLoss as MetricLearningNTXent
from pytorch_metric_learning.losses import SelfSupervisedLoss
from torch import Tensor
from torch.nn import functional as F

from synsight import objectives

TEMPERATURE = 0.1
SCALE, BIAS = 1 / 0.07, -10.0
CAPTION_DIM = 384

Loss = Callable[[], Tensor]


def variants(loss: str, batch: int, dim: int) -> tuple[dict[str, Loss], list[Tensor]]:
    """Losses by name, the first of them the one to compare with, and the leaves they send gradients to."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(batch, dim, generator=generator).requires_grad_() for _ in range(2))
    leaves = [first, second]
    rivals: dict[str, Loss] = {}
    options: dict[str, object] = {}
    if loss == "nt_xent":
        rivals["lightly"] = partial(NTXentLoss(temperature=TEMPERATURE), first, second)
        metric = SelfSupervisedLoss(MetricLearningNTXent(temperature=TEMPERATURE))
        rivals["metric-learning"] = partial(metric, first, second)
        options["temperature"] = TEMPERATURE
    elif loss == "xclr":
        options["caption_embeddings"] = torch.randn(batch, CAPTION_DIM, generator=generator)
    else:
        scale, bias = (torch.tensor(value, requires_grad=True) for value in (SCALE, BIAS))
        leaves += [scale] if loss == "clip" else [scale, bias]
        options = {"logit_scale": scale} if loss == "clip" else {"logit_scale": scale, "logit_bias": bias}
        theirs, settings = (ClipLoss(), [scale]) if loss == "clip" else (SigLipLoss(), [scale, bias])

        def open_clip() -> Tensor:
            return theirs(F.normalize(first, dim=1), F.normalize(second, dim=1), *settings)

        rivals["open_clip"] = open_clip
    name = loss if loss == "nt_xent" else f"{loss}_loss"
    dense, tiled = getattr(objectives, name), getattr(objectives, f"tiled_{name}")
    ours = {
        "dense": partial(dense, first, second, **options),
        "tiled": partial(tiled, first, second, **options),
        "tiled bfloat16": partial(tiled, first, second, **options, precision="bfloat16"),
    }
    return rivals | ours, leaves


def gigabytes(variant: str, loss: str, batch: int) -> float:
    """What a variant takes about, measured at 4,096 (metric-learning: at 256) and scaled up."""
    if variant.startswith("tiled"):
        return 0.0
    if variant == "metric-learning":
        return 128e-9 * batch**3
    views = 2 if loss in ("nt_xent", "xclr") else 1
    matrices = 8 if loss == "xclr" else 5
    return matrices * 4e-9 * (views * batch) ** 2


def fits(variant: str, arguments: argparse.Namespace, loss: str, batch: int) -> bool:
    if variant == "tiled bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return gigabytes(variant, loss, batch) <= arguments.limit_gb


def run(loss: Loss, leaves: list[Tensor]) -> float:
    for leaf in leaves:
        leaf.grad = None
    value = loss()
    value.backward()
    return value.item()


def print_agreement(arguments: argparse.Namespace, loss: str, batch: int, dim: int) -> None:
    losses, leaves = variants(loss, batch, dim)
    reference = None
    for name, variant in losses.items():
        if not fits(name, arguments, loss, batch):
            continue
        value, gradient = run(variant, leaves), torch.cat([leaf.grad.flatten() for leaf in leaves])
        if reference is None:
            reference = name, value, gradient
            continue
        rival, expected, wanted = reference
        off = ((gradient - wanted).norm() / wanted.norm()).item()
        print(f"  {name} from {rival}, B={batch:,}: loss {abs(value - expected):.1e}, gradient {off:.1e}")
        assert abs(value - expected) < 2e-3 * max(1, expected), f"{name} computes something else than {rival}"


def times(losses: dict[str, Loss], leaves: list[Tensor], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for turn in range(rounds):
        names = list(losses) if turn % 2 else list(reversed(losses))  # nobody always follows the same one
        for name in names:
            start = time.process_time()
            run(losses[name], leaves)
            seconds[name].append(time.process_time() - start)
    return seconds


def peak_of(variant: str, loss: str, batch: int, dim: int) -> float:
    """MB by which resident memory rises from the rows to the end of the backward pass."""
    small, leaves = variants(loss, 8, dim)
    run(small[variant], leaves)  # loads what torch loads late
    losses, leaves = variants(loss, batch, dim)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident_peak()
    run(losses[variant], leaves)
    return (resident_peak() - before) / 1024


def resident_peak() -> int:
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1])


def peak_elsewhere(variant: str, loss: str, batch: int, dim: int) -> float:
    command = [sys.executable, __file__, "--peak-of", variant, "--losses", loss]
    answer = subprocess.run(
        [*command, "--sizes", str(batch), "--dims", str(dim)], capture_output=True, text=True, check=True
    )
    return float(answer.stdout)


def print_table(arguments: argparse.Namespace, loss: str, batch: int, dim: int, rounds: int) -> None:
    losses, leaves = variants(loss, batch, dim)
    kept = {name: one for name, one in losses.items() if fits(name, arguments, loss, batch)}
    small, small_leaves = variants(loss, 128, dim)
    for name in kept:
        run(small[name], small_leaves)
    seconds = times(kept, leaves, rounds)
    peaks = {name: peak_elsewhere(name, loss, batch, dim) for name in kept}
    rival = next(iter(losses)) if next(iter(losses)) in kept else None
    print(f"  {'variant':<16} {'ms':>9} {'range':>17} {'times as fast':>19} {'MB':>7} {'times less':>10}")
    for name in losses:
        if name not in kept:
            needed = gigabytes(name, loss, batch)
            print(f"  {name:<16} left out" + (f": about {needed:.0f} GB" if needed else ": no bfloat16 here"))
            continue
        own = [1000 * value for value in seconds[name]]
        line = f"  {name:<16} {statistics.median(own):9.1f} {min(own):8.1f}-{max(own):8.1f}"
        if rival:
            ratios = [theirs / ours for theirs, ours in zip(seconds[rival], seconds[name], strict=True)]
            speed = f"{statistics.median(ratios):5.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
            print(f"{line} {speed:>19} {peaks[name]:7.0f} {peaks[rival] / peaks[name]:10.1f}")
        else:
            print(f"{line} {'':>19} {peaks[name]:7.0f}")


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["nt_xent", "clip", "siglip", "xclr"]
    parser.add_argument("--losses", choices=known, nargs="+", default=known)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096, 16_384, 32_768])
    parser.add_argument("--dims", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--rounds", type=int, default=7, help="a third of it above 4,096 images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit-gb", type=float, default=6, help="leave out what would need more")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak_of:
        print(peak_of(arguments.peak_of, arguments.losses[0], arguments.sizes[0], arguments.dims[0]))
        return
    names = ("synsight", "torch", "lightly", "open_clip_torch", "pytorch-metric-learning")
    print(f"{processor()}, {arguments.threads} thread(s); " + ", ".join(f"{n} {version(n)}" for n in names))
    for loss in arguments.losses:
        for dim in arguments.dims:
            print(f"{loss}, D={dim}")
            print_agreement(arguments, loss, min(1024, max(arguments.sizes)), dim)
            for batch in arguments.sizes:
                rounds = arguments.rounds if batch <= 4096 else max(1, arguments.rounds // 3)
                print(f" B={batch:,}, {rounds} rounds")
                print_table(arguments, loss, batch, dim, rounds)


if __name__ == "__main__":
    main()
