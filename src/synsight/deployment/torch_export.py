"""A model as a folder of safetensors, JSON and one readable Python file that builds it from timm and torch.

Not TorchScript, which torch has given up, and not torch.export's .pt2: that is a zip of a graph for one
version of torch, whose loader reads pickles, so that nobody should open one from elsewhere. Here the weights
are safetensors, and the code is a page that can be read before it is run.
"""

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight import files
from synsight.deployment.parity import Outputs, Run
from synsight.deployment.standalone import model_torch
from synsight.deployment.timm_export import resnet_stem, timm_arguments, timm_name
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Linear as LinearLayer
from synsight.models.saved import Model
from synsight.models.weights import save_weights


def write_torch(model: Model, folder: Path) -> tuple[Run, list[str]]:
    """Write model.py, model.json and model.safetensors.

    Returns:
        What loads the folder by the code that was put there and computes with it; nothing is left out.

    Raises:
        ModelError: The encoder is not one of timm's.
    """
    config = model.config
    head = _layers(model.head)
    words = None if config.head == "words" else _layers(model.word_head)
    settings = {
        "architecture": timm_name(model),
        "model_args": timm_arguments(model),
        "resnet_stem": resnet_stem(model),
        "image_size": config.image_size,
        "mean": list(config.mean),
        "std": list(config.std),
        "head": None if head is None else head.spec,
        "label_scores": "sigmoid" if config.head == "words" else config.label_scores,
        "word_head": None if words is None else words.spec,
    }
    parts = {"encoder": model.encoder, "head": head, "word_head": words}
    weights: dict[str, Tensor] = {
        f"{name}.{key.removeprefix('layers.')}": tensor.detach().cpu().contiguous()
        for name, part in parts.items()
        if part is not None
        for key, tensor in part.state_dict().items()
    }
    save_weights(folder / "model.safetensors", weights)
    files.write_json(folder / "model.json", settings)
    files.write_text(folder / "model.py", Path(model_torch.__file__).read_text(encoding="utf-8"))
    back = model_torch.load(folder)

    def run(pixels: NDArray[Any]) -> Outputs:
        with torch.inference_mode():
            found = {name: rows.numpy() for name, rows in back(torch.from_numpy(pixels)).items()}
        if config.head == "words":
            found["word_probabilities"] = found["probabilities"]
        return found

    return run, []


def _layers(head: nn.Module | None) -> FeatureHead | None:
    if isinstance(head, nn.Linear):
        return FeatureHead(LinearLayer.of(head.weight.detach().cpu(), head.bias.detach().cpu()))
    return head if isinstance(head, FeatureHead) else None
