"""A model in open_clip's layout: open_clip_config.json beside open_clip_model.safetensors."""

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from synsight import files
from synsight.data.views import normalise
from synsight.deployment.parity import Outputs, Run
from synsight.errors import ModelError
from synsight.models.clip_tower import OPEN_CLIP, import_open_clip, tower_settings
from synsight.models.clip_weights import CLIP_CONFIG, CLIP_WEIGHTS, SCALE, TOWER
from synsight.models.hub import cached_only
from synsight.models.saved import Model
from synsight.models.text.open_clip_tower import OpenClipTower
from synsight.models.weights import save_weights

TEXT = "text."


def write_open_clip(model: Model, folder: Path) -> tuple[Run, list[str]]:
    """Write both halves of a CLIP model as open_clip reads them.

    Returns:
        What loads the folder by open_clip alone and computes features, and what its layout has no place for.

    Raises:
        ModelError: The encoder is not a tower of open_clip's, or there is no text tower that belongs to it.
        MissingDependency: open_clip is not installed.
    """
    name = model.config.encoder
    if not name.startswith(OPEN_CLIP):
        raise ModelError(
            f"{model.name}: its encoder ({name}) is no tower of open_clip's; export it as timm, torch or "
            "onnx."
        )
    library = import_open_clip(name)
    tower = model.text.tower if model.reads_text else None
    if not isinstance(tower, OpenClipTower):
        raise ModelError(
            f"{model.name}: has no text tower of open_clip's, without which open_clip does not load it; "
            "export it as onnx."
        )
    settings = _settings(model)
    files.write_json(folder / CLIP_CONFIG, settings)
    whole = _whole(library, settings["model_cfg"])
    state = _state(model, tower, whole.state_dict())
    save_weights(folder / CLIP_WEIGHTS, state)
    parts = {"the head": model.head, "the words": model.word_head}
    return _loaded(model, folder, library), [name for name, part in parts.items() if part is not None]


def _settings(model: Model) -> dict[str, Any]:
    config = model.config
    known = tower_settings(config.encoder)
    return {
        "model_cfg": {**known, "vision_cfg": {**known["vision_cfg"], "image_size": config.image_size}},
        "preprocess_cfg": {
            "size": config.image_size,
            "mean": list(config.mean),
            "std": list(config.std),
            "interpolation": config.interpolation,
            "resize_mode": config.resize,
        },
    }


def _whole(library: Any, settings: dict[str, Any]) -> Any:
    """open_clip's model without weights."""
    from open_clip.model import CLIP, CustomTextCLIP

    custom = settings.get("custom_text") or "hf_model_name" in settings["text_cfg"]
    options = {name: value for name, value in settings.items() if name != "custom_text"}
    with cached_only(), torch.device("meta"):
        return (CustomTextCLIP if custom else CLIP)(**options)


def _state(model: Model, tower: OpenClipTower, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    texts, images = tower.text.state_dict(), model.encoder.state_dict()
    state = {}
    for name in wanted:
        if name == SCALE:
            state[name] = model.text.logit_scale.log()
        elif name.startswith(TOWER):
            state[name] = images[name.removeprefix(TOWER)]
        elif name.removeprefix(TEXT) in texts:
            state[name] = texts[name.removeprefix(TEXT)]
        elif name == "logit_bias":  # of a SigLIP's loss; no embedding depends on it
            state[name] = torch.tensor(0.0)
        else:
            raise ModelError(f"{model.name}: open_clip wants {name!r}, which it does not have; export onnx.")
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}


def _loaded(model: Model, folder: Path, library: Any) -> Run:
    with cached_only():
        back = library.create_model(f"local-dir:{folder}").eval()

    def run(pixels: NDArray[Any]) -> Outputs:
        with torch.inference_mode():
            views = normalise(torch.from_numpy(pixels), mean=model.config.mean, std=model.config.std)
            return {"features": back.encode_image(views).numpy()}

    return run
