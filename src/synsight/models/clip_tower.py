"""Image towers of open_clip's models, as architectures: nothing here loads weights or asks the network."""

from typing import Any

import timm
from torch import nn

from synsight.errors import MissingDependency, ModelError, near_names
from synsight.models.timm_backbone import does_not_fit

OPEN_CLIP = "open-clip:"
"""Prefix of a model name that means an architecture of open_clip's."""


def tower_settings(name: str) -> dict[str, Any]:
    """What open_clip knows of an architecture: `embed_dim`, `vision_cfg`, `quick_gelu`, ...

    Args:
        name: "open-clip:NAME", without weights.

    Raises:
        ModelError: open_clip has no architecture NAME.
        MissingDependency: open_clip is not installed.
    """
    open_clip = import_open_clip(name)
    known = open_clip.list_models()
    architecture = name.removeprefix(OPEN_CLIP)
    # Asked of the list first: get_model_config would follow a "hf-hub:" or "local-dir:" in the name.
    if architecture not in known:
        raise ModelError(
            f"expected an open_clip model name after '{OPEN_CLIP}', found {architecture!r}; "
            f"{near_names(architecture, known)}"
        )
    settings: dict[str, Any] = open_clip.get_model_config(architecture)
    return settings


def native_size(name: str) -> int:
    """Side in pixels of the images that a tower was designed for.

    Raises:
        ModelError: It is unknown, or its images are not square.
    """
    size = tower_settings(name)["vision_cfg"].get("image_size", 224)
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise ModelError(f"{name}: is for images of {size} pixels; only square images are supported.")
    return int(sides.pop())


def build_tower(name: str, *, image_size: int) -> nn.Module:
    """An untrained tower from [B, 3, S, S] to [B, D], the embedding that `encode_image` gives.

    Args:
        name: "open-clip:NAME".
        image_size: S, pixels.

    Raises:
        ModelError: open_clip has no architecture NAME, or it does not take this size.
        MissingDependency: open_clip is not installed.
    """
    settings = tower_settings(name)
    # Never weights of the trunk's own, nor CoCa's tokens beside the embedding.
    vision = settings["vision_cfg"] | {"timm_model_pretrained": False, "output_tokens": False}
    trunk = vision.get("timm_model_name")
    if trunk is not None and not timm.is_model(str(trunk).split(".")[0]):
        raise ModelError(f"{name}: its trunk {trunk!r} is no timm model; update timm.")
    # A timm trunk is built for its own size and resized; open_clip's own are built for any.
    resized_later = trunk is not None and image_size != native_size(name)
    try:
        # Not open_clip.create_model: it builds the text tower, too, and asks the network for some of them.
        from open_clip.model import _build_vision_tower

        size = {} if resized_later else {"image_size": image_size}
        tower: Any = _build_vision_tower(
            settings["embed_dim"], vision | size, settings.get("quick_gelu", False)
        )
        if resized_later:
            tower.set_input_size(image_size)
    except Exception as error:  # open_clip and timm raise a dozen unrelated kinds
        raise ModelError(f"{name}: open_clip could not build it for {image_size} px ({error}).") from error
    tower.num_features = settings["embed_dim"]  # where timm's modules have it, too
    return tower  # type: ignore[no-any-return]


def resize_tower(tower: Any, name: str, *, image_size: int) -> nn.Module:
    """The tower for images of another size, with position embeddings interpolated as open_clip does it.

    Raises:
        ModelError: This kind of tower takes its own size alone.
    """
    if hasattr(tower, "set_input_size"):  # a timm trunk
        tower.set_input_size(image_size)
        return tower  # type: ignore[no-any-return]
    from open_clip.model import resize_pos_embed

    holder = nn.Module()
    holder.visual = build_tower(name, image_size=image_size)
    state = {f"visual.{key}": value for key, value in tower.state_dict().items()}
    resize_pos_embed(state, holder)
    try:
        holder.load_state_dict(state)
    except RuntimeError as error:
        raise does_not_fit(name, image_size, error) from None
    return holder.visual


def import_open_clip(name: str) -> Any:
    """The module open_clip.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        import open_clip
    except ImportError:
        raise MissingDependency("open_clip", extra="text", purpose=f"the model {name}") from None
    return open_clip
