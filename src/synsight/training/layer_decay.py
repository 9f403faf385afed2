"""Layer-wise learning rates: the deeper a layer of the encoder lies, the less of its weights is changed."""

from collections.abc import Iterator
from typing import Any

from timm.models import group_parameters
from torch import nn

from synsight.errors import ConfigError

HEAD = "head_on_top"
"""Stands for the classifier in timm's list of layers."""
OPEN_CLIP_VIT = {
    "stem": r"^(?:conv1|class_embedding|positional_embedding|ln_pre|patch_dropout)",
    "blocks": [(r"^transformer\.resblocks\.(\d+)", None), (r"^(?:ln_post|proj|attn_pool)", (99999,))],
}
"""Layers of open_clip's own ViT in the form of timm's `group_matcher`; 99999 joins the last block."""


def layer_shares(encoder: nn.Module, layer_decay: float) -> dict[str, float]:
    """For each weight of an encoder the learning rate as a share of the head's: layer_decay^depth.

    The depth is counted from the head, 0, downwards, by timm's own division into layers: `layer_decay` for
    the last block of a ViT, `layer_decay`^(blocks + 1) for its stem.

    Args:
        encoder: timm's, or the image tower of an open_clip model.
        layer_decay: In (0, 1]; 1: every layer learns alike.

    Raises:
        ConfigError: Neither timm nor open_clip says what the encoder's layers are.

    Reference: Bao et al. 2021 (BEiT), https://arxiv.org/abs/2106.08254; the groups are those of timm's
    `param_groups_layer_decay` for the model with its classifier.
    """
    if layer_decay == 1:
        return {name: 1.0 for name, _ in encoder.named_parameters()}
    layers = _layers(encoder)
    top = max(layers.values())
    return {name: layer_decay ** (top - layer) for name, layer in layers.items() if name != HEAD}


def layer_groups(module: nn.Module, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of a method: one for each layer and whether it decays, with its `lr_share`.

    As in `optim.parameter_groups`, biases, norms and what a part names in `no_weight_decay()` do not decay; a
    pretrained encoder's matrices do, as in every published fine-tuning.

    Args:
        module: Has the encoder as `encoder`; all else learns at the full rate.
        weight_decay: Of matrices and filters.
        layer_decay: As in `layer_shares`.
    """
    encoder: Any = module.encoder
    shares = {f"encoder.{name}": share for name, share in layer_shares(encoder, layer_decay).items()}
    named = names_without_decay(module)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, weight in module.named_parameters():
        if not weight.requires_grad:
            continue
        share, decays = shares.get(name, 1.0), weight.ndim > 1 and name not in named
        group = groups.setdefault(
            (share, decays),
            {"params": [], "weight_decay": weight_decay if decays else 0.0, "lr_share": share},
        )
        group["params"].append(weight)
    return list(groups.values())


def names_without_decay(module: nn.Module) -> set[str]:
    """Full names of the weights that some part names in `no_weight_decay()` (class token, positions)."""
    named: set[str] = set()
    for prefix, part in module.named_modules():
        if callable(names := getattr(part, "no_weight_decay", None)):
            named.update(f"{prefix}.{name}" if prefix else name for name in names())
    return named


class _WithHead:
    """An encoder's weights and a classifier's, as timm's models with one have them."""

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder

    def named_parameters(self) -> Iterator[tuple[str, object]]:
        """Names are all that is read."""
        yield from self.encoder.named_parameters()
        yield HEAD, None


def _layers(encoder: Any) -> dict[str, int]:
    """Name of each weight -> its layer, 0 the stem; and that of the head."""
    trunk = getattr(encoder, "trunk", None)
    if isinstance(trunk, nn.Module):  # open_clip's wrapper of timm's models
        inner = _layers(trunk)
        found = {name: inner[HEAD] for name, _ in encoder.named_parameters()}
        return found | {f"trunk.{name}": layer for name, layer in inner.items()} | {HEAD: inner[HEAD]}
    matcher = None
    if callable(getattr(encoder, "group_matcher", None)):
        matcher = encoder.group_matcher(coarse=False)
    elif hasattr(getattr(encoder, "transformer", None), "resblocks"):
        matcher = OPEN_CLIP_VIT
    if matcher is None:
        raise ConfigError(
            f"optim.layer_decay needs to know an encoder's layers, and {type(encoder).__name__} does not "
            "tell them; use optim.layer_decay 1."
        )
    names: Any = _WithHead(encoder)
    layers: dict[str, int] = group_parameters(names, matcher, reverse=True)
    return layers
