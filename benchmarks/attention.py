"""Forward and backward of a ViT on the processor in bfloat16: PyTorch's fused attention, and the plain one.

    OMP_NUM_THREADS=1 python benchmarks/attention.py [--encoder vit_tiny_patch16_224] [--batch-size 64]
        [--sizes 64 112 160 192 224] [--turns 7]

The two take turns. Printed for each size of the images: tokens, milliseconds of the processor, the time of
the fused kernel divided by that of the plain one (median and range over the turns), and how far the gradients
of each lie from float32's, as a share of their length. What it leaves out: several threads, other processors.
"""

import argparse
import statistics
from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from turns import machine, ratio, take_turns

KERNELS = {"fused": SDPBackend.FLASH_ATTENTION, "plain": SDPBackend.MATH}


def step(encoder: nn.Module, images: Tensor, wanted: Tensor, kernel: SDPBackend) -> Callable[[], None]:
    """What is timed."""

    def run() -> None:
        encoder.zero_grad(set_to_none=True)
        with sdpa_kernel(kernel):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                features = encoder(images)
            (features.float() * wanted).mean().backward()

    return run


def gradient(encoder: nn.Module) -> Tensor:
    """All of it, in a row."""
    return torch.cat([weight.grad.flatten() for weight in encoder.parameters() if weight.grad is not None])


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(1)
    print(machine("torch", "timm", threads=1))
    print(f"{asked.encoder}, batch {asked.batch_size}, {asked.turns} turns")
    print("| px | tokens | fused, ms | plain, ms | fused / plain | error, fused | error, plain |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for size in asked.sizes:
        torch.manual_seed(0)
        encoder = timm.create_model(asked.encoder, img_size=size, num_classes=0)
        images = torch.randn(asked.batch_size, 3, size, size)
        wanted = torch.randn(asked.batch_size, encoder.num_features)
        (encoder(images) * wanted).mean().backward()
        exact, errors = gradient(encoder), []
        steps = {name: step(encoder, images, wanted, kernel) for name, kernel in KERNELS.items()}
        for run in steps.values():
            run()
            errors.append(float((gradient(encoder) - exact).norm() / exact.norm()))
        seconds = take_turns(steps, turns=asked.turns, warm_up=1)
        cells = [f"{1000 * statistics.median(seconds[name]):.0f}" for name in KERNELS]
        cells += [ratio(seconds["fused"], seconds["plain"]), *(f"{error:.4f}" for error in errors)]
        print(f"| {size} | {encoder.pos_embed.shape[1]} | " + " | ".join(cells) + " |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="vit_tiny_patch16_224")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 112, 160, 192, 224])
    parser.add_argument("--turns", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
