"""The exported model in torch: needs torch, timm and safetensors, nothing else.

    from model import load

    model = load()                     # a torch.nn.Module in evaluation mode
    outputs = model(pixels)            # uint8 [N, 3, S, S] -> {"features": [N, D], ...}

model.json says how the parts are built, model.safetensors holds their weights. Nothing here is unpickled.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent


class Exported(nn.Module):
    """Encoder, heads and normalisation in one module.

    Args:
        settings: What model.json says.
        weights: What model.safetensors holds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = build_encoder(settings)
        self.encoder.load_state_dict(_part(weights, "encoder."))
        self.heads = {name: _part(weights, f"{name}.") for name in ("head", "word_head")}
        self.register_buffer("mean", torch.tensor(settings["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(settings["std"]).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """uint8 [N, 3, S, S] -> outputs by name."""
        features = self.encoder((pixels.float() / 255 - self.mean) / self.std).float()
        found = {"features": features}
        if self.settings["head"] is not None:
            scores = sequence(self.settings["head"], self.heads["head"], features)
            found["scores"] = scores
            one_is_right = self.settings["label_scores"] == "softmax"
            found["probabilities"] = scores.softmax(dim=1) if one_is_right else scores.sigmoid()
        if self.settings["word_head"] is not None:
            words = sequence(self.settings["word_head"], self.heads["word_head"], features)
            found["word_probabilities"] = words.sigmoid()
        return found


def load(folder: str | Path = HERE) -> Exported:
    """The model of a folder, in evaluation mode."""
    folder = Path(folder)
    settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return Exported(settings, load_file(folder / "model.safetensors")).eval()


def build_encoder(settings: Mapping[str, Any]) -> nn.Module:
    """Timm's architecture without its classifier, with the stem it was trained with."""
    backbone: Any = timm.create_model(settings["architecture"], num_classes=0, **settings["model_args"])
    stem = settings["resnet_stem"]
    if stem is not None:
        first: Any = backbone.conv1
        if hasattr(first, "stride"):
            backbone.conv1 = nn.Conv2d(3, first.out_channels, 3, stride=stem["stride"], padding=1, bias=False)
        else:  # a stem of several convolutions
            first[0].stride = (stem["stride"], stem["stride"])
        if not stem["max_pool"]:
            backbone.maxpool = nn.Identity()
    return backbone  # type: ignore[no-any-return]


def sequence(layers: Sequence[Mapping[str, Any]], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Layers one after the other; the weights of layer i are those named `of.i.`."""
    for number, layer in enumerate(layers):
        x = apply(layer, _part(weights, f"of.{number}."), x)
    return x


def apply(layer: Mapping[str, Any], weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """One layer of a head, [N, D] -> [N, D']."""
    kind = layer["kind"]
    if kind == "linear":
        return F.linear(x, weights["map.weight"], weights.get("map.bias"))
    if kind == "standardise":
        return (x - weights["shift"]) * weights["scale"]
    if kind == "normalise":
        return F.normalize(x, dim=1)
    if kind in ("relu", "sigmoid"):
        return x.relu() if kind == "relu" else x.sigmoid()
    if kind == "log":
        return x.clamp_min(layer["least"]).log()
    if kind == "scale":
        return layer["factor"] * x  # type: ignore[no-any-return]
    if kind == "affinity":
        return (layer["sharpness"] * (x - 1)).exp()  # type: ignore[no-any-return]
    if kind == "nearest":
        best = x.topk(layer["k"], dim=1)
        shares = (best.values / layer["temperature"]).softmax(dim=1)
        return torch.zeros_like(x).scatter(1, best.indices, shares)
    if kind == "sequence":
        return sequence(layer["of"], weights, x)
    parts = [x] * len(layer["of"]) if kind == "sum" else list(torch.split(x, layer["widths"], dim=1))
    if kind == "gated":
        parts = [x, *parts]
    found = [
        apply(one, _part(weights, f"of.{number}."), part)
        for number, (one, part) in enumerate(zip(layer["of"], parts, strict=True))
    ]
    if kind == "sum":
        return torch.stack(found).sum(dim=0)
    if kind == "blocks":
        return torch.cat(found, dim=1)
    if kind == "gated":
        shares, scores = found[0].softmax(dim=1), torch.stack(found[1:], dim=2)
        return (scores * shares.unsqueeze(1)).sum(dim=2)
    raise ValueError(f"expected a layer of a head, found {kind!r}.")


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
