"""Which exported form is how fast, and what does eight bits cost?

Each form of one model answers the same images: torch as it is, ONNX Runtime in float32 and in int8 (static,
QDQ, calibrated on training images), OpenVINO. One thread each, in turn; the median and (in brackets) the
least time of a batch of 1 and of 32, the size on disk, the largest difference of a score and the accuracy
lost on validation images.

    python benchmarks/export.py --data cat/ --label category MODEL [MODEL ...] [--image-size 64] [--turns 15]

Left out: decoding and resizing, several threads, processors without VNNI.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synsight.data.catalog import Catalog
from synsight.deployment import parity
from synsight.deployment.export import Exported, export
from synsight.deployment.exported import open_session
from synsight.errors import SynsightError
from synsight.finetuning.student_comparison import device_name
from synsight.models import Model, load

BATCHES = (1, 32)


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(1)
    print(f"{device_name()}; Python {platform.python_version()}, torch {torch.__version__}")
    print("| model | form | MB | ms, batch 1 | ms, batch 32 | max difference | accuracy lost |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.models:
        size = arguments.image_size if not Path(name).is_dir() else None
        model = load(name, image_size=size)
        with tempfile.TemporaryDirectory() as folder:
            show(model, Path(folder), arguments)


def show(model: Model, folder: Path, arguments: argparse.Namespace) -> None:
    """Print a row for each form of a model."""
    catalog = Catalog.open(arguments.data)
    pixels = parity.train_images(model, catalog, most=max(BATCHES))
    runs: dict[str, Any] = {"torch": parity.reference(model)}
    told: dict[str, Exported] = {}
    forms: dict[str, dict[str, Any]] = {
        "ONNX Runtime": {"format": "onnx"},
        "ONNX Runtime int8": {"format": "onnx", "quantise": "int8", "max_accuracy_loss": 1.0},
        "OpenVINO": {"format": "openvino"},
    }
    for form, settings in forms.items():
        out = folder / form
        try:
            told[form] = export(model, out=out, data=arguments.data, label=arguments.label, **settings)
        except SynsightError as error:
            print(f"| {model.name} | {form} | {error} |")
            continue
        runs[form] = openvino_run(out) if form == "OpenVINO" else onnx_run(out)
    times = alternated(runs, pixels, turns=arguments.turns)
    for form in runs:
        size = (
            told[form].size_bytes
            if form in told
            else sum(tensor.numel() * tensor.element_size() for tensor in model.image_state().values())
        )
        parts = [f"{statistics.median(times[form, n]):.2f} ({min(times[form, n]):.2f})" for n in BATCHES]
        found = told.get(form)
        gap = "–" if found is None else f"{found.max_difference:.1e}"
        lost = "–" if found is None else f"{found.accuracy_loss:.4f} ({found.accuracy_of})"
        print(
            f"| {model.config.encoder} | {form} | {size / 1e6:.1f} | {' | '.join(parts)} | {gap} | {lost} |"
        )
        if found is not None and found.calibration:
            print(json.dumps({"int8 ranges": found.calibration, "agreement": found.agreement}))


def alternated(runs: dict[str, Any], pixels: Any, *, turns: int) -> dict[tuple[str, int], list[float]]:
    """Milliseconds of a batch by form and size, the forms in turn."""
    times: dict[tuple[str, int], list[float]] = {(form, n): [] for form in runs for n in BATCHES}
    for turn in range(turns + 2):
        for form, run in runs.items():
            for size in BATCHES:
                part = np.ascontiguousarray(pixels[:size])
                began = time.perf_counter()
                run(part)
                if turn >= 2:  # the first two warm up
                    times[form, size].append(1e3 * (time.perf_counter() - began))
    return times


def onnx_run(folder: Path) -> Any:
    session = open_session(folder / "model.onnx", threads=1)
    return lambda pixels: session.run(None, {"pixels": pixels})


def openvino_run(folder: Path) -> Any:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(folder / "model.xml"), "CPU", settings)
    return lambda pixels: compiled({"pixels": pixels})


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--label")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    main()
