"""A model in timm's own layout: config.json beside model.safetensors, which timm loads without synsight."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight import files
from synsight.data.views import normalise
from synsight.deployment.parity import Outputs, Run
from synsight.errors import ModelError
from synsight.models.backbones import RANDOM
from synsight.models.clip_tower import OPEN_CLIP
from synsight.models.feature_head import FeatureHead
from synsight.models.saved import Model
from synsight.models.weights import save_weights

CONFIG, WEIGHTS = "config.json", "model.safetensors"
AFFINE = {"linear", "standardise", "scale", "sequence", "sum", "blocks"}
"""Layers of a head that together are one linear map."""


def write_timm(model: Model, folder: Path) -> tuple[Run, list[str]]:
    """Write the layout; a head that is one linear map becomes timm's classifier.

    Returns:
        What loads the folder by timm alone and computes with it, and what timm's layout has no place for.

    Raises:
        ModelError: The encoder is none that timm builds by its name and arguments.
    """
    architecture = timm_name(model)
    config, head = model.config, linear_map(model.head)
    arguments = timm_arguments(model)
    if resnet_stem(model) is not None:
        raise ModelError(
            f"{model.name}: has the {config.stem} stem, which timm's create_model does not build; export it "
            "as torch or onnx."
        )
    whole: Any = timm.create_model(
        architecture, num_classes=0 if head is None else head.out_features, **arguments
    )
    missing, unknown = whole.load_state_dict(_state(model.encoder), strict=False)
    classifier = whole.get_classifier()
    if head is not None and isinstance(classifier, nn.Linear):
        classifier.load_state_dict(head.state_dict())
        place = next(name for name, part in whole.named_modules() if part is classifier)
        missing = [name for name in missing if not name.startswith(f"{place}.")]
    if missing or unknown or (head is not None and not isinstance(classifier, nn.Linear)):
        raise ModelError(f"{model.name}: timm has no linear classifier on {architecture}; export it as onnx.")
    save_weights(folder / WEIGHTS, _state(whole))
    files.write_json(folder / CONFIG, _config(model, architecture, arguments, head))
    return _loaded(model, folder), list(_left_out(model, head))


def timm_name(model: Model) -> str:
    """Timm's name of the architecture.

    Raises:
        ModelError: It is not timm's.
    """
    name = model.config.encoder.removeprefix(RANDOM)
    if model.config.parts or name.startswith(OPEN_CLIP):
        raise ModelError(
            f"{model.name}: its encoder ({name}) is not one of timm's; export it as onnx"
            f"{' or open_clip' if name.startswith(OPEN_CLIP) else ''}."
        )
    return name.split(".")[0]


def timm_arguments(model: Model) -> dict[str, Any]:
    """What `timm.create_model` needs besides the name to build the same encoder."""
    config, arguments = model.config, dict(model.config.arguments)
    known = timm.get_pretrained_cfg(config.encoder.removeprefix(RANDOM))
    if known is not None and known.fixed_input_size:
        arguments["img_size"] = config.image_size
    encoder: Any = model.encoder
    if config.stem != "standard" and hasattr(encoder, "patch_embed"):
        arguments["patch_size"] = int(encoder.patch_embed.patch_size[0])
    return arguments


def resnet_stem(model: Model) -> dict[str, Any] | None:
    """What was changed in a ResNet's stem for small images; None: nothing."""
    encoder: Any = model.encoder
    if model.config.stem == "standard" or not hasattr(encoder, "conv1"):
        return None
    first: Any = encoder.conv1[0] if isinstance(encoder.conv1, nn.Sequential) else encoder.conv1
    return {"stride": int(first.stride[0]), "max_pool": not isinstance(encoder.maxpool, nn.Identity)}


def linear_map(head: nn.Module | None) -> nn.Linear | None:
    """A head as one linear layer, if that is all it is: weight and bias follow from what it makes of zero and
    of each unit vector.
    """
    if head is None or isinstance(head, nn.Linear):
        return head
    if not isinstance(head, FeatureHead) or not AFFINE.issuperset(_kinds(head.spec)):
        return None
    width = next(one for one in _widths(head.spec) if one)
    double = FeatureHead.from_spec(head.spec).double()
    double.load_state_dict(head.state_dict())
    with torch.no_grad():
        bias = double(torch.zeros(1, width, dtype=torch.float64))
        weight = double(torch.eye(width, dtype=torch.float64)) - bias
        folded = nn.Linear(width, bias.shape[1])
        folded.weight.copy_(weight.T)
        folded.bias.copy_(bias[0])
    return folded


def _kinds(spec: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for layer in spec:
        yield layer["kind"]
        yield from _kinds(layer.get("of", ()))


def _widths(spec: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Features that a head takes, as its first layers say it."""
    for layer in spec:
        if layer["kind"] == "blocks":
            yield sum(layer["widths"])
        yield layer.get("inputs") or layer.get("width") or 0
        yield from _widths(layer.get("of", ()))


def _config(
    model: Model, architecture: str, arguments: Mapping[str, Any], head: nn.Linear | None
) -> dict[str, Any]:
    config, known = model.config, timm.get_pretrained_cfg(architecture)
    classes = 0 if head is None else head.out_features
    settings = {
        "tag": "",
        "input_size": [3, config.image_size, config.image_size],
        "fixed_input_size": bool(known is not None and known.fixed_input_size),
        "interpolation": config.interpolation,
        "crop_pct": config.crop_fraction,
        "crop_mode": "squash" if config.resize == "squash" else "center",
        "mean": list(config.mean),
        "std": list(config.std),
        "num_classes": classes,
        "classifier": None if known is None else known.classifier,
        "first_conv": None if known is None else known.first_conv,
    }
    named = {} if head is None else {"label_names": list(model.class_names)}
    return {
        "architecture": architecture,
        "num_classes": classes,
        "num_features": config.embedding_dim,
        **named,
        "model_args": dict(arguments),
        "pretrained_cfg": settings,
    }


def _left_out(model: Model, head: nn.Linear | None) -> Iterator[str]:
    if model.head is not None and head is None:
        yield "the head, which is no linear layer"
    if model.word_head is not None and model.config.head != "words":
        yield "the words"
    if head is not None and (model.config.head == "words" or model.config.label_scores == "sigmoid"):
        yield "that probabilities are the sigmoid of the scores"


def _loaded(model: Model, folder: Path) -> Run:
    back: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    alone = model.config.head == "words" or model.config.label_scores == "sigmoid"

    def run(pixels: NDArray[Any]) -> Outputs:
        with torch.inference_mode():
            views = normalise(torch.from_numpy(pixels), mean=model.config.mean, std=model.config.std)
            found: Tensor = back(views)
        if not back.num_classes:
            return {"features": found.numpy()}
        shares = found.sigmoid() if alone else found.softmax(dim=1)
        return {"scores": found.numpy(), "probabilities": shares.numpy()}

    return run


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
