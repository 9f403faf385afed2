"""Maps of an encoder at several strides, for what must know where in an image something is.

B images of S x S pixels, D channels; a map of stride s is [B, D, S/s, S/s].
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d  # type: ignore[attr-defined]
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from synsight.errors import ModelError

STRIDES = (4, 8, 16, 32)
"""Of a pyramid, in pixels."""


class EncoderMaps(nn.Module):
    """The maps between an encoder's stages: one for each stride, fine to coarse.

    A plain ViT has one, of the last block after the last norm; a ResNet one for each stage. timm's and
    open_clip's own `forward_intermediates` says where the stages end. A stride that is no power of two
    (patches of 14 px) is brought to the nearest by bilinear interpolation, as region pooling expects; images
    go in at the nearest side that the patches divide.

    Args:
        encoder: A module of timm's or open_clip's.
        image_size: S, pixels.
        name: Of the model, for messages.

    Attributes:
        strides: Of the maps, pixels.
        channels: Of the maps.

    Raises:
        ModelError: The encoder gives no maps.
    """

    def __init__(self, encoder: nn.Module, *, image_size: int, name: str = "encoder") -> None:
        super().__init__()
        trunk = getattr(encoder, "trunk", None)  # open_clip's towers around a model of timm's
        self.encoder: Any = trunk if isinstance(trunk, nn.Module) else encoder
        self.is_timm = hasattr(self.encoder, "feature_info") or hasattr(self.encoder, "forward_head")
        self._places: list[int] | None = None
        self.side = fitting_side(self.encoder, image_size)
        self.sizes: list[int] = []
        with _at_rest(self.encoder), torch.no_grad():
            try:
                maps = self._all(torch.zeros(1, 3, self.side, self.side))
            except Exception as error:  # whatever a strange architecture raises
                reason = " ".join(str(error).split())[:160] or type(error).__name__
                raise ModelError(
                    f"{name}: expected an encoder whose stages give maps at {image_size} px, but {reason}; "
                    "use a ResNet, ConvNeXt, Swin or ViT, or another image_size."
                ) from None
        sides = [one.shape[-1] for one in maps]
        last = {side: place for place, side in enumerate(sides)}
        self._places = list(last.values())
        self.strides = [2 ** round(math.log2(image_size / side)) for side in last]
        self.channels = [int(maps[place].shape[1]) for place in self._places]
        self.sizes = [image_size // stride for stride in self.strides]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, S, S] to the maps, fine to coarse."""
        maps = self._all(_of_side(pixels, self.side))
        assert self._places is not None
        return [_of_side(maps[at], size) for at, size in zip(self._places, self.sizes, strict=True)]

    def _all(self, pixels: Tensor) -> list[Tensor]:
        if not hasattr(self.encoder, "forward_intermediates"):
            raise ModelError("it has none (no forward_intermediates)")
        if not self.is_timm:
            found = self.encoder.forward_intermediates(
                pixels, intermediates_only=True, normalize_intermediates=hasattr(self.encoder, "ln_post")
            )
            return list(found["image_intermediates"])
        # Norms between the stages of a hierarchy are not trained; a ViT's last one is.
        norm = hasattr(self.encoder, "blocks")
        return list(self.encoder.forward_intermediates(pixels, intermediates_only=True, norm=norm))


def fitting_side(encoder: nn.Module, image_size: int) -> int:
    """The side nearest to `image_size` that the encoder's patches divide, pixels; itself without patches."""
    trunk: Any = getattr(encoder, "trunk", encoder)
    patch = getattr(getattr(trunk, "patch_embed", trunk), "patch_size", None)
    if patch is None:
        return image_size
    step = int(patch[0] if isinstance(patch, tuple | list) else patch)
    return max(1, round(image_size / step)) * step


class SimplePyramid(nn.Module):
    """The simple feature pyramid of ViTDet: maps of strides 4 to 32, all made of the last one.

    Args:
        channels: Of the last map.
        stride: Of the last map, a power of two.
        out_channels: Of all maps of the pyramid.

    Reference: Li et al. 2022, section 3, https://arxiv.org/abs/2203.16527.
    """

    def __init__(self, channels: int, *, stride: int, out_channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_level(channels, stride / wanted, out_channels) for wanted in STRIDES)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The last of `maps` to four."""
        return [level(maps[-1]) for level in self.levels]


class Backbone(nn.Module):
    """An encoder with a pyramid on top, as torchvision's detectors want it.

    Where the encoder has maps of several strides, torchvision's FPN joins the last four of stride 4 or more;
    where it has one, the simple pyramid of ViTDet is made of it. Below both lies one more level, pooled from
    the last, for the proposals.

    Args:
        maps: The encoder.
        channels: Of the pyramid's maps.
        frozen: Compute the encoder without gradient, in evaluation mode.
    """

    def __init__(self, maps: EncoderMaps, *, channels: int, frozen: bool) -> None:
        super().__init__()
        self.maps, self.frozen, self.out_channels = maps, frozen, channels
        pooled = LastLevelMaxPool()
        kept = [at for at, stride in enumerate(maps.strides) if stride >= STRIDES[0]][-4:]
        self.kept = kept or [len(maps.strides) - 1]
        self.pyramid: nn.Module
        if len(self.kept) > 1:
            wide = [maps.channels[at] for at in self.kept]
            self.pyramid = FeaturePyramidNetwork(wide, channels)
            self.strides = [maps.strides[at] for at in self.kept]
        else:
            self.pyramid = SimplePyramid(maps.channels[-1], stride=maps.strides[-1], out_channels=channels)
            self.strides = list(STRIDES)
        self.is_simple = isinstance(self.pyramid, SimplePyramid)
        self.pooled = pooled

    @property
    def names(self) -> list[str]:
        """Of the maps, without the pooled one."""
        return [str(number) for number in range(len(self.strides))]

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Normalised images [B, 3, S, S] to maps of the pyramid by name, fine to coarse."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.maps(pixels)
        chosen = [maps[at] for at in self.kept]
        if self.is_simple:
            made = self.pyramid(chosen)
        else:
            made = list(self.pyramid(OrderedDict(zip(self.names, chosen, strict=True))).values())
        made, names = self.pooled(made, chosen, self.names)
        return dict(zip(names, made, strict=True))


def _level(channels: int, scale: float, out_channels: int) -> nn.Sequential:
    """What takes a map of D channels to another size: 4, 2, 1, 1/2, ... times as wide."""
    layers: list[nn.Module] = []
    steps = round(math.log2(scale))
    for number in range(steps):
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
        if number < steps - 1:
            layers += [LayerNorm2d(channels), nn.GELU()]
    if steps < 0:
        layers.append(nn.MaxPool2d(2**-steps))
    layers += [nn.Conv2d(channels, out_channels, 1, bias=False), LayerNorm2d(out_channels)]
    layers += [nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), LayerNorm2d(out_channels)]
    return nn.Sequential(*layers)


def _of_side(one: Tensor, side: int) -> Tensor:
    if one.shape[-1] == side:
        return one
    return F.interpolate(one, size=(side, side), mode="bilinear", align_corners=False)


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """In evaluation mode, and afterwards in the mode it was in."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
