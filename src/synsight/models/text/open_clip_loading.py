"""Text towers of open_clip's models: the architecture by its name, weights by a tag or from a file.

Neither the image tower nor anything in a pickle is touched on the way.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synsight import files
from synsight.errors import DataError, ModelError, near_names
from synsight.models.clip_tower import OPEN_CLIP, tower_settings
from synsight.models.hub import hub_file
from synsight.models.text.libraries import optional_module, reason_of
from synsight.models.text.open_clip_tower import OpenClipTower
from synsight.models.text.tokens import TextTokeniser
from synsight.models.weights import load_weights, read_shapes

CONFIG = "open_clip_config.json"
"""What tells a folder of an open_clip model from others."""
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
PREFIX = "text."
"""What the names of the text tower's tensors begin with, but for CLIP's oldest layout."""
TOKENISER_OPTIONS = {"clean", "strip_sep_token"}
"""Options that a folder's config may set; others name files, or let code run."""


def open_clip_tower(
    name: str, *, context_length: int | None = None, with_weights: bool = True
) -> OpenClipTower:
    """A tower by its name.

    Args:
        name: "open-clip:NAME/WEIGHTS", WEIGHTS being a tag of open_clip (fetched unless cached) or the path
            of a safetensors file; "open-clip:NAME", the architecture untrained.
        context_length: As for `OpenClipTower`.
        with_weights: False: the architecture alone, although the name speaks of weights.

    Raises:
        ModelError: There is no such architecture, or its weights cannot be had as safetensors.
        MissingDependency: open_clip is not installed.
    """
    architecture, _, weights = name.removeprefix(OPEN_CLIP).partition("/")
    config = tower_settings(OPEN_CLIP + architecture)
    library = optional_module("open_clip", purpose="an open_clip model")
    tag = library.get_pretrained_cfg(architecture, weights) if weights else {}
    # OpenAI's weights are offered for architectures with GELU, too, where open_clip only warns.
    config["quick_gelu"] = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    path = _find(name, architecture, weights, tag) if weights and with_weights else None
    return _tower(name, architecture, config, path, context_length=context_length)


def open_clip_folder(folder: Path, *, name: str, context_length: int | None = None) -> OpenClipTower:
    """A tower from the folder of an open_clip model.

    Args:
        folder: Holds `open_clip_config.json` and the whole model's weights as safetensors.
        name: From which to find the folder again.
        context_length: As for `OpenClipTower`.

    Raises:
        ModelError: The folder is no such model, or would run code or fetch something.
        MissingDependency: open_clip is not installed.
    """
    try:
        config = dict(files.read_json(folder / CONFIG)["model_cfg"])
        text = dict(config["text_cfg"])
        options = set(text.get("tokenizer_kwargs") or {})
    except (DataError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{folder / CONFIG}: expected the config of an open_clip model ({error!r}); copy it again."
        ) from None
    if text.get("hf_model_name") or not options <= TOKENISER_OPTIONS:
        raise ModelError(
            f"{folder / CONFIG}: would fetch its text tower or set up its tokeniser with code, which a "
            f"folder may not; use '{OPEN_CLIP}NAME/WEIGHTS'."
        )
    found = [folder / one for one in WEIGHTS if (folder / one).exists()]
    if not found:
        raise ModelError(
            f"{folder}: expected {WEIGHTS[0]}, found none (pickles are not read: they can run code); convert "
            "the weights, or copy the folder again."
        )
    return _tower(name, f"local-dir:{folder}", config, found[0], context_length=context_length)


def _find(name: str, architecture: str, weights: str, tag: Mapping[str, Any]) -> Path:
    """The file of the weights, fetched if need be."""
    if tag:
        # "owner/name/file.bin", or "owner/name/" for the file that all newer repositories have.
        repository, _, file = str(tag.get("hf_hub") or "").rpartition("/")
        if not repository:
            raise ModelError(
                f"{name}: its weights are no safetensors on the hub; convert them and give the file."
            )
        named = [f"{Path(file).stem}.safetensors"] if file else []
        return hub_file(name, repository, [*named, WEIGHTS[0]])
    path = Path(weights).expanduser()
    if path.suffix == ".safetensors":
        return path  # `load_weights` says so if there is none
    known = optional_module("open_clip", purpose=name).list_pretrained_tags_by_model(architecture)
    raise ModelError(
        f"{name}: expected a tag of {architecture}'s weights or a safetensors file, found {weights!r}; "
        f"{near_names(weights, known) if known else 'it has no tags: give a file'}"
    )


def _tower(
    name: str, model: str, config: Mapping[str, Any], weights: Path | None, *, context_length: int | None
) -> OpenClipTower:
    state = None
    if weights is not None:
        with torch.device("meta"):
            skeleton = _build(name, config)
        state = _text_weights(weights, skeleton)
    text = _build(name, config)
    if state is not None:
        text.load_state_dict(state)
    return OpenClipTower(
        text,
        tokeniser=_tokeniser(name, model, config["text_cfg"]),
        settings={"tower": name, "context_length": context_length},
        pretrained=state is not None,
        context_length=context_length,
    )


def _build(name: str, config: Mapping[str, Any]) -> nn.Module:
    """open_clip's module, untrained."""
    library = optional_module("open_clip.model", purpose="an open_clip model")
    text = {**config["text_cfg"], "hf_model_pretrained": False}
    try:
        # Not open_clip.create_model: it builds the image tower, too, and loads pickles.
        tower: nn.Module = library._build_text_tower(
            config["embed_dim"], text, bool(config.get("quick_gelu", False))
        )
    except Exception as error:  # open_clip and transformers raise a dozen unrelated kinds
        raise ModelError(
            f"{name}: open_clip could not build its text tower ({reason_of(error)}); use another model."
        ) from error
    return tower


def _text_weights(path: Path, tower: nn.Module) -> dict[str, Tensor]:
    shapes = {key: tuple(value.shape) for key, value in tower.state_dict().items()}
    prefix = PREFIX if any(key.startswith(PREFIX) for key in read_shapes(path)) else ""
    expected = {prefix + key: shape for key, shape in shapes.items()}
    state = load_weights(
        path,
        expected=expected,
        ignore=lambda tensor: tensor not in expected,
        advice="the file holds no text tower of this architecture",
    )
    return {key.removeprefix(prefix): value for key, value in state.items()}


def _tokeniser(name: str, model: str, text: Mapping[str, Any]) -> Callable[..., Tensor]:
    library = optional_module("open_clip", purpose="an open_clip model")
    try:
        tokeniser = library.get_tokenizer(model)
    except Exception as error:  # transformers and the hub raise a dozen unrelated kinds
        raise ModelError(
            f"{name}: its tokeniser could not be had ({reason_of(error)}); check the network, or use another "
            "model."
        ) from error
    if type(tokeniser) is library.SimpleTokenizer and not text.get("tokenizer_kwargs"):
        return _Quick(tokeniser.context_length)
    quick: Callable[..., Tensor] = tokeniser
    return quick


class _Quick:
    """`TextTokeniser` in the shape of open_clip's tokenisers."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length

    def __call__(self, texts: Sequence[str], context_length: int) -> Tensor:
        return torch.from_numpy(TextTokeniser.load().encode_batch(texts, context_length)).long()
