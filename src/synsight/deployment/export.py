"""The verb `export`: a model in a form that runs without synsight, written only if it answers as the model.

OUT/    onnx        model.onnx, preparation.json, names.json, example.py
        openvino    model.xml, model.bin, preparation.json, names.json, example.py
        torch       model.safetensors, model.json, model.py
        timm        model.safetensors, config.json
        open_clip   open_clip_model.safetensors, open_clip_config.json
        each        README.md, export.json (what was measured), manifest.json (sizes and SHA-256)
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight import files
from synsight.data.catalog import Catalog
from synsight.deployment import parity, quantising
from synsight.deployment.exported import GRAPH, NAMES, PREPARATION, open_session
from synsight.deployment.onnx_graphs import PIXELS, write_whole
from synsight.deployment.open_clip_export import write_open_clip
from synsight.deployment.parity import Parity, Run, Shown
from synsight.deployment.standalone import example_onnx
from synsight.deployment.timm_export import write_timm
from synsight.deployment.torch_export import write_torch
from synsight.deployment.without_reports import import_openvino
from synsight.errors import ConfigError, ModelError, UsageError, near_names
from synsight.manifest import Key, write_manifest
from synsight.models import load
from synsight.models.saved import Model

RECORD = "export.json"
TOLERANCE = 1e-4
"""Largest difference of a score in float32: other kernels sum in another order, and do no more."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how far it is from the model."""

    files: list[str]
    """Names in `out`."""
    max_difference: float
    """Largest difference of a score (of a feature, without a head) or of a word's probability."""
    accuracy_loss: float
    """See `parity.Parity`."""
    accuracy_of: str
    agreement: float
    """Share of images with the same top answer."""
    images: int
    measured_on: str
    out: str
    format: str
    quantised: str | None
    """`int8`, or None: float32."""
    calibration: str | None
    """How the ranges of the activations were found, on what."""
    left_out: list[str]
    """What the form has no place for."""
    size_bytes: int
    """Of the files that a run needs."""
    model: str
    digest: str


def export(
    model: str | Path | Model,
    *,
    out: str | Path,
    format: str = "onnx",
    quantise: str | None = None,
    data: str | Path | None = None,
    label: str | None = None,
    tolerance: float | None = None,
    max_accuracy_loss: float = 0.01,
    key: Key | None = None,
) -> Exported:
    """Write a model in a form that runs without synsight, and keep it if it answers as the model does.

    Args:
        model: A model, or a name that `load` knows.
        out: New folder, an empty one, or that of a former export.
        format: onnx, openvino, torch, timm or open_clip.
        quantise: `int8`: eight bits in place of 32; onnx alone, and needs `data`.
        data: A catalog: its validation images are compared, its training images calibrate. None: synthetic
            images, which prove equal arithmetic and not equal accuracy.
        label: Column with the right answers, for a model with a head of labels.
        tolerance: Largest `max_difference`; None: 1e-4, and for int8 none, where only answers count.
        max_accuracy_loss: Largest `accuracy_loss`, a share of the images.
        key: Signs the manifest: 16 bytes or more, or the file that holds them.

    Raises:
        ModelError: The form cannot hold this model, or differs by more than is allowed; nothing is written.
        UsageError: An unknown format or column, or int8 without images.
        MissingDependency: The form needs a package that is not installed.
        StorageError: The disk refused.
    """
    _check(format, quantise, data, tolerance, max_accuracy_loss)
    out, model = Path(out), model if isinstance(model, Model) else load(model)
    _check_free(out)
    catalog = None if data is None else Catalog.open(data)
    if catalog is None:
        shown = parity.synthetic_images(model)
    else:
        shown = parity.val_images(model, catalog, label=label)
    with files.replacing(out) as folder:
        folder.mkdir()
        calibration = None
        if quantise is None:
            run, left_out = FORMATS[format](model, folder)
        else:
            assert catalog is not None
            run, calibration = _write_int8(model, folder, catalog, enough=1 - max_accuracy_loss)
            left_out = []
        found = parity.compare(model, run, shown, label=label)
        limit = tolerance if quantise else TOLERANCE if tolerance is None else tolerance
        _gate(found, name=f"{model.name} as {format}", tolerance=limit, max_accuracy_loss=max_accuracy_loss)
        told = Exported(
            files=[],
            out=str(out),
            format=format,
            quantised=quantise,
            calibration=calibration,
            left_out=left_out,
            size_bytes=sum(one.stat().st_size for one in folder.iterdir() if one.suffix in BINARIES),
            model=model.name,
            digest=model.digest,
            **asdict(found),
        )
        files.write_text(folder / "README.md", _readme(model, told))
        names = sorted({*(one.name for one in folder.iterdir()), RECORD, "manifest.json"})
        told = replace(told, files=names)
        files.write_json(folder / RECORD, {**asdict(told), "out": out.name})
        write_manifest(folder, key)
    return told


BINARIES = {".onnx", ".data", ".xml", ".bin", ".safetensors"}


def _write_onnx(model: Model, folder: Path) -> tuple[Run, list[str]]:
    write_whole(model, folder / GRAPH)
    _write_beside(model, folder)
    return _session(folder / GRAPH), []


def _write_openvino(model: Model, folder: Path) -> tuple[Run, list[str]]:
    openvino = import_openvino(purpose="writing OpenVINO's form")
    graph = folder / GRAPH
    write_whole(model, graph)
    core = openvino.Core()
    # Not openvino.convert_model, which reports each conversion to its makers over the network.
    converted = core.read_model(str(graph))
    # Half precision on disk is its default, and costs a hundred times the tolerance.
    openvino.save_model(converted, str(folder / "model.xml"), compress_to_fp16=False)
    for one in (graph, graph.with_name(f"{GRAPH}.data")):
        one.unlink(missing_ok=True)
    _write_beside(model, folder)
    compiled: Any = core.compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        found = compiled({PIXELS: pixels})
        return {one.get_any_name(): np.array(found[one]) for one in compiled.outputs}

    return run, []


FORMATS: Mapping[str, Callable[[Model, Path], tuple[Run, list[str]]]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch": write_torch,
    "timm": write_timm,
    "open_clip": write_open_clip,
}


def _write_int8(model: Model, folder: Path, catalog: Catalog, *, enough: float) -> tuple[Run, str]:
    """Quantise; the attempt is chosen on training images, so that the validation images judge one alone."""
    wanted = quantising.CALIBRATION_IMAGES + quantising.CHOICE_IMAGES
    images = parity.train_images(model, catalog, most=wanted)
    # Every other one, as the rows of a catalog stand in the order of its source.
    calibration, choice = images[::2], Shown(images[1::2], None, "training images")
    if not len(choice.pixels):
        raise ModelError(f"{catalog.path}: has too few training images to calibrate on; int8 needs two.")
    source = folder / "float32.onnx"
    write_whole(model, source)
    attempt = quantising.quantise(
        source,
        folder / GRAPH,
        calibration=calibration,
        agreement=lambda path: parity.compare(model, _session(path), choice).agreement,
        enough=enough,
    )
    source.unlink()
    source.with_name(f"{source.name}.data").unlink(missing_ok=True)
    _write_beside(model, folder)
    return _session(folder / GRAPH), f"{attempt}; {len(calibration)} train images of {catalog.name}"


def _session(path: Path) -> Run:
    session = open_session(path)
    names = [one.name for one in session.get_outputs()]
    return lambda pixels: dict(zip(names, session.run(names, {PIXELS: pixels}), strict=True))


def _write_beside(model: Model, folder: Path) -> None:
    """What a graph does not say: how an image becomes its input, and what its outputs are called."""
    config = model.config
    preparation = ("image_size", "crop_fraction", "interpolation", "resize")
    files.write_json(folder / PREPARATION, {name: getattr(config, name) for name in preparation})
    words = [] if model.word_head is None or model.vocabulary is None else model.vocabulary.names
    names = {
        "labels": list(model.label_names or ()) if config.head == "labels" else [],
        "label_scores": "sigmoid" if config.head == "words" else config.label_scores,
        "words": list(words),
    }
    files.write_json(folder / NAMES, names)
    files.write_text(folder / "example.py", Path(example_onnx.__file__).read_text(encoding="utf-8"))


def _check(
    format: str, quantise: str | None, data: object, tolerance: float | None, max_accuracy_loss: float
) -> None:
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}; {near_names(format, FORMATS)}")
    if quantise not in (None, "int8"):
        raise UsageError(f"--quantise knows int8 alone; got {quantise!r}.")
    if quantise and format != "onnx":
        raise UsageError(f"int8 is written as onnx alone; got --format {format}.")
    if quantise and data is None:
        raise UsageError("int8 is calibrated on images like those it will see; give --data CATALOG.")
    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"tolerance must be >= 0; got {tolerance!r}.")
    if not 0 <= max_accuracy_loss <= 1:
        raise ConfigError(f"max_accuracy_loss is a share of the images in [0, 1]; got {max_accuracy_loss!r}.")


def _check_free(out: Path) -> None:
    is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_free and not (out / RECORD).is_file():
        raise ModelError(
            f"{out}: expected a new folder or a former export, found other files; choose another folder."
        )


def _gate(found: Parity, *, name: str, tolerance: float | None, max_accuracy_loss: float) -> None:
    # Written so that a NaN fails.
    if tolerance is not None and not found.max_difference <= tolerance:
        raise ModelError(
            f"{name}: differs from the model by {found.max_difference:.2g} on {found.measured_on}, more than "
            f"the tolerance of {tolerance:g}; nothing was written: choose another format, or raise "
            "--tolerance."
        )
    if not found.accuracy_loss <= max_accuracy_loss:
        raise ModelError(
            f"{name}: loses {found.accuracy_loss:.3f} of accuracy ({found.accuracy_of}) on "
            f"{found.measured_on}, more than {max_accuracy_loss:g}; nothing was written: export it without "
            "--quantise, or raise --max-accuracy-loss."
        )


HOW = {
    "onnx": "python example.py IMAGE    # needs numpy, Pillow, onnxruntime",
    "openvino": "python example.py IMAGE    # needs numpy, Pillow, openvino",
    "torch": 'python -B -c "from model import load; print(load())"    # needs torch, timm, safetensors',
    "timm": "python -c \"import timm; print(timm.create_model('local-dir:.', pretrained=True))\"",
    "open_clip": "python -c \"import open_clip; print(open_clip.create_model('local-dir:.'))\"",
}


def _readme(model: Model, told: Exported) -> str:
    config = model.config
    facts = {
        "Model": f"{config.encoder}, {config.method}, digest {told.digest}",
        "Input": f"RGB, uint8 [N, 3, {config.image_size}, {config.image_size}]: "
        f"{'both sides' if config.resize == 'squash' else 'shorter side'} to "
        f"{round(config.image_size / config.crop_fraction)} px ({config.interpolation}), centre crop",
        "Normalisation": "part of the graph"
        if told.format in ("onnx", "openvino", "torch")
        else f"mean {list(config.mean)}, std {list(config.std)}",
        "Numbers": f"int8 ({told.calibration})" if told.quantised else "float32",
        "Left out": ", ".join(told.left_out) or "nothing",
        "Compared on": told.measured_on,
        "Largest difference": f"{told.max_difference:.3g}",
        f"Accuracy lost ({told.accuracy_of})": f"{told.accuracy_loss:.4f}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""# Exported model ({told.format})

| | |
|---|---|
{table}

    {HOW[told.format]}

`manifest.json` lists the files with their SHA-256; `export.json` holds what was measured.
"""
