"""Which exported form answers as torch does, how fast is it, and what does eight bits cost?

Each form of one model answers the same validation images: torch as it is, ONNX Runtime in float32 and in int8
(static, QDQ, calibrated on training images), OpenVINO, and what the torch and timm folders load. The largest
difference of a score, also in batches of 7 and 1; the share of images with the same top answer; the accuracy
lost; the size on disk. Then, one thread each and in turns, the milliseconds of processor time of a batch of 1
and of 32, and the ratio of torch's time to the form's within a turn.

    python benchmarks/export.py --data cat/ [--label category] MODEL [MODEL ...] [--image-size 64]
        [--turns 15] [--forms onnx,int8,openvino,torch,timm]

A model without a head gets one of 100 labels with random weights, so that there are scores to compare.
Left out: decoding and resizing, several threads, processors without VNNI.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from turns import machine, ratio, take_turns

from synsight.data.catalog import Catalog
from synsight.deployment import parity
from synsight.deployment.export import export
from synsight.deployment.exported import open_session
from synsight.deployment.standalone import model_torch
from synsight.deployment.without_reports import import_openvino
from synsight.errors import SynsightError
from synsight.models import Model, load
from synsight.models.heads import linear_head

BATCHES = (1, 32)
LABELS = 100
FORMS: Mapping[str, Mapping[str, Any]] = {
    "onnx": {"format": "onnx"},
    "int8": {"format": "onnx", "quantise": "int8", "max_accuracy_loss": 1.0},
    "openvino": {"format": "openvino"},
    "torch": {"format": "torch"},
    "timm": {"format": "timm"},
}


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(1)
    print(machine("torch", "timm", "onnxruntime", "openvino", threads=1))
    measured = "max difference | same top answer | accuracy lost"
    print(f"| encoder | form | MB | {measured} | ms, 1 | ms, 32 | torch's / ms, 1 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.models:
        size = None if Path(name).is_dir() else arguments.image_size
        with tempfile.TemporaryDirectory() as folder:
            show(with_head(load(name, image_size=size)), Path(folder), arguments)


def with_head(model: Model) -> Model:
    """The model, or one with a random head where it has none."""
    if model.head is not None:
        return model
    torch.manual_seed(0)
    head = linear_head(model.config.embedding_dim, LABELS)
    torch.nn.init.normal_(head.weight, std=model.config.embedding_dim**-0.5)
    return model.adapted(head, [f"label {number}" for number in range(LABELS)], method="random head")


def show(model: Model, folder: Path, arguments: argparse.Namespace) -> None:
    """Print a row for each form of a model."""
    pixels = parity.train_images(model, Catalog.open(arguments.data), most=max(BATCHES))
    runs: dict[str, Callable[[Any], object]] = {"torch as it is": parity.reference(model)}
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.image_state().values())
    told = {"torch as it is": f"{size / 1e6:.1f} | – | – | –"}
    for form in arguments.forms.split(","):
        out = folder / form
        try:
            found = export(model, out=out, data=arguments.data, label=arguments.label, **FORMS[form])
        except SynsightError as error:
            print(f"| {model.config.encoder} | {form} | {error} |")
            continue
        told[form] = (
            f"{found.size_bytes / 1e6:.1f} | {found.max_difference:.1e} | "
            f"{round(found.agreement * found.images)} of {found.images} | {found.accuracy_loss:.4f}"
        )
        if form in LOADED:
            runs[form] = LOADED[form](out)
    times = {n: timed(runs, np.ascontiguousarray(pixels[:n]), turns=arguments.turns) for n in BATCHES}
    for form, cells in told.items():
        taken = [f"{1e3 * statistics.median(times[n][form]):.1f}" if form in runs else "–" for n in BATCHES]
        gain = ratio(times[1]["torch as it is"], times[1][form]) if form in runs else "–"
        print(f"| `{model.config.encoder}` | {form} | {cells} | {' | '.join(taken)} | {gain} |", flush=True)


def timed(runs: Mapping[str, Callable[[Any], object]], pixels: Any, *, turns: int) -> dict[str, list[float]]:
    """Seconds of one batch by form, the forms in turns."""

    def step(run: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: run(pixels)

    return take_turns({form: step(run) for form, run in runs.items()}, turns=turns)


def onnx_run(folder: Path) -> Callable[[Any], object]:
    session = open_session(folder / "model.onnx", threads=1)
    return lambda pixels: session.run(None, {"pixels": pixels})


def openvino_run(folder: Path) -> Callable[[Any], object]:
    openvino = import_openvino(purpose="this benchmark")
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(folder / "model.xml"), "CPU", settings)
    return lambda pixels: compiled({"pixels": pixels})


def torch_run(folder: Path) -> Callable[[Any], object]:
    model = model_torch.load(folder)

    def run(pixels: Any) -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(pixels))

    return run


LOADED = {"onnx": onnx_run, "int8": onnx_run, "openvino": openvino_run, "torch": torch_run}
"""Forms whose time is taken; timm's is the encoder that torch has as it is."""


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--label")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--forms", default=",".join(FORMS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
