"""How many images a second does one core turn from JPEG into two augmented SimCLR views of 224 px?

    python benchmarks/views.py [--images 24] [--turns 9] [--sizes 500x375 1600x1200]

The same images through each pipeline: ours on its fast path and on its reference path (Pillow and
torchvision's operations), lightly's SimCLRTransform, and OpenCV's decoder with albumentationsx, which is
fed what makes it fastest (its own bilinear crop and its own blur, uint8 out). All draw from the paper's
settings at strength 1: crop of 8 to 100% of the area, flip 0.5, colours 0.8/0.8/0.8/0.2 at 0.8, grey 0.2,
blur of sigma 0.1 to 2 at 0.5. The pipelines take turns, every second turn backwards; a figure is the median
over the turns of CPU seconds of one thread, a ratio the median of the ratios within a turn with its range.
Before that, ours are compared with each other: same draws, mean difference of their pixels.

The images are mosaics of scikit-learn's two sample photos at native detail, saved at quality 90; the cost of
decoding follows bytes a pixel, which are printed.

Left out: reading the files, the batch, GPUs, other libraries. lightly also normalises (one pass over float32
pixels), the others leave uint8 for the batch.
"""

import argparse
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from synsight.data.views import SIMCLR_VIEWS, draw_views, path_of
from synsight.seeding import generator

SIDE = 224
FAST, REFERENCE = "synsight, fast", "synsight, reference"
LIGHTLY, ALBUMENTATIONS = "lightly", "opencv + albumentationsx"
PACKAGES = ("synsight", "torch", "torchvision", "pillow", "simplejpeg", "opencv-python-headless", "lightly")

Pipeline = Callable[[bytes], object]


def mosaic(width: int, height: int, seed: int) -> np.ndarray:
    """Windows of the two photos side by side, each 300 px wide or what is left."""
    rng = np.random.default_rng(seed)
    photos = load_sample_images().images
    shown = np.zeros((height, width, 3), np.uint8)
    for top in range(0, height, 300):
        for left in range(0, width, 300):
            photo = photos[rng.integers(2)]
            rows, columns = min(300, height - top), min(300, width - left)
            down = rng.integers(photo.shape[0] - rows + 1)
            right = rng.integers(photo.shape[1] - columns + 1)
            window = photo[down : down + rows, right : right + columns]
            shown[top : top + rows, left : left + columns] = window
    return shown


def jpegs(width: int, height: int, count: int) -> list[bytes]:
    made = []
    for seed in range(count):
        file = io.BytesIO()
        Image.fromarray(mosaic(width, height, seed)).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def ours(path: str) -> Pipeline:
    config, seeds = replace(SIMCLR_VIEWS, path=path), iter(range(10**9))

    def pipeline(data: bytes) -> object:
        return draw_views(data, config, image_size=SIDE, rng=generator(next(seeds)))

    return pipeline


def lightly() -> Pipeline:
    from lightly.transforms import SimCLRTransform

    transform = SimCLRTransform(input_size=SIDE)
    return lambda data: transform(Image.open(io.BytesIO(data)).convert("RGB"))


def albumentations() -> Pipeline:
    import albumentations
    import cv2

    transform = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((SIDE, SIDE), scale=(0.08, 1.0)),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ColorJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2), p=0.8),
            albumentations.ToGray(p=0.2),
            albumentations.GaussianBlur(sigma_range=(0.1, 2.0), p=0.5),
        ]
    )

    def pipeline(data: bytes) -> object:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        return transform(image=image)["image"], transform(image=image)["image"]

    return pipeline


def installed() -> Iterator[tuple[str, Pipeline]]:
    yield REFERENCE, ours("reference")
    for name, make in ((LIGHTLY, lightly), (ALBUMENTATIONS, albumentations)):
        try:
            yield name, make()
        except ImportError as error:
            print(f"{name} left out: {error.name} is not installed")
    if path_of(SIMCLR_VIEWS) == "fast":
        yield FAST, ours("auto")
    else:
        print(f'{FAST} left out: pip install "synsight[fast]"')


def one_thread() -> None:
    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)


def print_difference(images: list[bytes]) -> None:
    reference = replace(SIMCLR_VIEWS, path="reference")
    found = []
    for number, data in enumerate(images):
        pairs = zip(
            *(
                draw_views(data, config, image_size=SIDE, rng=generator(number))
                for config in (SIMCLR_VIEWS, reference)
            ),
            strict=True,
        )
        found += [np.abs(fast.astype(int) - slow).mean() for fast, slow in pairs]
    print(
        f"  fast against reference, same draws: levels of 255 by which pixels differ, mean over a view: "
        f"median {np.median(found):.2f}, greatest {max(found):.2f}"
    )


def measure(pipelines: dict[str, Pipeline], images: list[bytes], turns: int) -> dict[str, list[float]]:
    """CPU seconds an image, by pipeline and turn."""
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for turn in range(-1, turns):  # the first warms up
        for name in list(pipelines) if turn % 2 else list(reversed(pipelines)):
            began = time.process_time()
            for data in images:
                pipelines[name](data)
            if turn >= 0:
                seconds[name].append((time.process_time() - began) / len(images))
    return seconds


def print_rates(seconds: dict[str, list[float]]) -> None:
    best = FAST if FAST in seconds else REFERENCE
    print(f"  {'pipeline':<26} images/s  {best}: times as fast [range over turns]")
    for name, values in seconds.items():
        ratios = [theirs / ours for theirs, ours in zip(values, seconds[best], strict=True)]
        print(
            f"  {name:<26} {1 / statistics.median(values):8.0f}  {statistics.median(ratios):.2f} "
            f"[{min(ratios):.2f} to {max(ratios):.2f}]"
        )


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def versions() -> str:
    found = []
    for name in (*PACKAGES, "albumentationsx"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=24, help="different images, each once a turn")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--sizes", nargs="+", default=["500x375", "1600x1200"])
    arguments = parser.parse_args()
    one_thread()
    pipelines = dict(installed())
    print(f"{processor()}, one thread; python {platform.python_version()}, {versions()}")
    print(f"two views of {SIDE} px, {arguments.images} images, {arguments.turns} turns")
    for size in arguments.sizes:
        width, height = map(int, size.split("x"))
        images = jpegs(width, height, arguments.images)
        density = sum(map(len, images)) / (len(images) * width * height)
        print(f"{size}, {np.mean([len(one) for one in images]) / 1000:.0f} kB, {density:.2f} bytes a pixel")
        if FAST in pipelines:
            print_difference(images)
        print_rates(measure(pipelines, images, arguments.turns))


if __name__ == "__main__":
    main()
