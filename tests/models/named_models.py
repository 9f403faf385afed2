"""Small models of timm's and open_clip's, written to disk in the layouts that their names speak of."""

import json
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
TEXT = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
CLIP_SETTINGS = {
    "tiny-vit": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "tiny-trunk": {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": None},
    "tiny-resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16},
}


def shaken(module: torch.nn.Module, seed: int = 5) -> torch.nn.Module:
    """All weights and statistics away from what they begin with, as after training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator).to(value) * 0.02)
    return module.eval()


def timm_folder(path: Path, name: str = "test_vit", *, cfg: dict | None = None, **arguments) -> Path:
    """A model in timm's layout, written by timm."""
    settings = {"mean": MEAN, "std": STD, "crop_pct": 0.9, "interpolation": "bilinear"} | (cfg or {})
    model = timm.create_model(name, num_classes=3, pretrained_cfg_overlay=settings, **arguments)
    path.mkdir(parents=True)
    save_for_hf(shaken(model), path, model_args=arguments or None, safe_serialization=True)
    (path / "pytorch_model.bin").unlink(missing_ok=True)
    return path


def add_clip(folder: Path, name: str) -> str:
    """Make open_clip know a tiny architecture, from a JSON file; returns its name."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"embed_dim": 24, "vision_cfg": CLIP_SETTINGS[name], "text_cfg": TEXT}
    (folder / f"{name}.json").write_text(json.dumps(settings))
    open_clip.add_model_config(folder / f"{name}.json")
    return name


def clip_file(folder: Path, name: str, *, file: str = "tiny.safetensors", beside: dict | None = None) -> Path:
    """The weights of a whole tiny CLIP, image and text, in safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    model = shaken(open_clip.create_model(name))
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / file)
    if beside is not None:
        settings = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": beside}
        (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return folder / file


def hub_cache(cache: Path, repository: str, source: Path, *, revision: str = "main") -> None:
    """Put a folder's files where huggingface_hub keeps what it has fetched."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
