"""Run this exported model on images: needs numpy, Pillow and onnxruntime (or openvino), nothing else.

python example.py IMAGE [IMAGE ...]      one JSON object a line: the likeliest labels and words
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def beside(name: str) -> dict[str, Any]:
    """A JSON file of this folder."""
    found: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return found


def pixels(image: Image.Image, preparation: dict[str, Any]) -> Any:
    """An image as the model wants it: upright, transparency on white, uint8 [3, S, S]."""
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    image = image.convert("RGB")
    size = preparation["image_size"]
    side = round(size / preparation["crop_fraction"])
    width, height = image.size
    if preparation["resize"] == "squash":
        width = height = side
    elif width <= height:
        width, height = side, int(side * height / width)
    else:
        width, height = int(side * width / height), side
    image = image.resize((width, height), Image.Resampling[preparation["interpolation"].upper()])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def load() -> Callable[[Any], dict[str, Any]]:
    """The model: uint8 [N, 3, S, S] -> its outputs by name."""
    if (HERE / "model.xml").exists():
        # Without this OpenVINO tells its makers over the network that it was imported.
        silent: Any = None
        sys.modules.setdefault("openvino_telemetry", silent)
        import openvino

        compiled = openvino.Core().compile_model(str(HERE / "model.xml"), "CPU")

        def compute(batch: Any) -> dict[str, Any]:
            found = compiled({"pixels": batch})
            return {one.get_any_name(): found[one] for one in compiled.outputs}

        return compute
    # Without this ONNX Runtime tells its makers over the network that it was imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return lambda batch: dict(zip(names, session.run(names, {"pixels": batch}), strict=True))


def run(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Outputs of image files by name, one row an image: `features`, `probabilities`, ..."""
    batch, preparation = [], beside("preparation.json")
    for path in paths:
        with Image.open(path) as image:
            batch.append(pixels(image, preparation))
    return load()(np.stack(batch))


def likeliest(row: Any, names: Sequence[str], most: int = 5) -> dict[str, float]:
    """Names with their probabilities, likeliest first."""
    return {names[number]: round(float(row[number]), 4) for number in np.argsort(-row)[:most]}


def main(paths: Sequence[str]) -> None:
    """Print what the model sees."""
    outputs, names = run(paths), beside("names.json")
    for number, path in enumerate(paths):
        answer: dict[str, Any] = {"image": path}
        if "probabilities" in outputs and names["labels"]:
            answer["labels"] = likeliest(outputs["probabilities"][number], names["labels"])
        if "word_probabilities" in outputs:
            answer["words"] = likeliest(outputs["word_probabilities"][number], names["words"])
        if len(answer) == 1:
            answer["features"] = [round(float(one), 4) for one in outputs["features"][number]]
        print(json.dumps(answer, ensure_ascii=False))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
