"""Where in the image a score comes from: class activation maps, Grad-CAM, attention rollout, occlusion.

Letters: T targets, S side of the input in pixels, h and w cells of a map, D dimensions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.data.views import normalise
from synsight.errors import ModelError, UsageError
from synsight.explanation.other_maps import Score, attention_rollout, occlusion
from synsight.explanation.places import as_cells, last_convolution, layout_of, token_layer
from synsight.models.saved import Model
from synsight.models.several import SeveralEncoders

Method = Literal["auto", "cam", "grad-cam", "rollout", "occlusion"]
"""`auto`: `cam` where it is exact, else `grad-cam`; `occlusion` where these would have too few cells."""

LEAST_CELLS = 5
"""Cells a side below which a map is coarser than that of `occlusion`, whose windows are two of seven cells
wide: small networks have 2 x 2, and point beside the thing (benchmarks/faithfulness.py)."""

TOLERANCE = 1e-3
"""Of a map's sum against the score, as a share of their size: what float32 leaves over thousands of terms."""


@dataclass(frozen=True)
class Map:
    """Where one score comes from.

    Attributes:
        values: [h, w]; for `cam` in units of the score, negative where the image speaks against.
        method: `cam`, `grad-cam`, `rollout` or `occlusion`.
        constant: `cam`: sum of values + constant = score; None: they do not sum to it.
    """

    values: NDArray[np.float64]
    method: str
    constant: float | None = None


def maps(model: Model, pixels: Tensor, scores: Sequence[Score], *, method: Method = "auto") -> list[Map]:
    """A map for each score.

    Args:
        model: The model.
        pixels: One image as `model.pixels` gives it, uint8 [3, S, S].
        scores: T functions of the features.
        method: How.

    Raises:
        ModelError: The method does not fit the architecture.
    """
    if method not in get_args(Method):
        raise UsageError(f"no map {method!r}; known: {', '.join(get_args(Method))}")
    with _frozen(model):
        views = normalise(pixels[None].to(model.device), mean=model.config.mean, std=model.config.std)
        if isinstance(model.encoder, SeveralEncoders) and method != "occlusion":
            found = _of_several(model.encoder, views, scores, method)
        else:
            found = _of_one(model.encoder, views, scores, method)
        if method == "auto" and found and min(found[0].values.shape) < LEAST_CELLS:
            return _of_one(model.encoder, views, scores, "occlusion")
        return found


def _of_one(encoder: Any, views: Tensor, scores: Sequence[Score], method: Method) -> list[Map]:
    if method == "occlusion":
        return [Map(one, "occlusion") for one in occlusion(encoder, views, scores)]
    if method == "rollout":
        return [Map(attention_rollout(encoder, views), "rollout")] * len(scores)
    if method in ("auto", "cam"):
        found = _activation_maps(encoder, views, scores)
        if found is not None:
            return found
        if method == "cam":
            raise ModelError(
                "there is no exact class activation map, as the score is no plain average over places; use "
                "grad-cam or occlusion."
            )
    return _grad_cam(encoder, views, scores)


def _of_several(
    encoder: SeveralEncoders, views: Tensor, scores: Sequence[Score], method: Method
) -> list[Map]:
    """Maps of several encoders over one image as one: what each adds while the others' features stand still.

    Exact maps are added up, so that the sum still is the score; others are averaged with their maxima at 1.
    """
    own_views: list[Tensor] = []
    handles = [
        one.register_forward_pre_hook(lambda _m, inputs: own_views.append(inputs[0]))
        for one in encoder.encoders
    ]
    with torch.no_grad():
        whole = encoder(views).float()
    for handle in handles:
        handle.remove()
    parts = whole.split(encoder.widths, dim=1)

    def alone(score: Score, number: int) -> Score:
        def own(features: Tensor) -> Tensor:
            others = [one.expand(len(features), -1) for one in parts]
            return score(torch.cat([*others[:number], features, *others[number + 1 :]], dim=1))

        return own

    found = [
        _of_one(one, own_views[number], [alone(score, number) for score in scores], method)
        for number, one in enumerate(encoder.encoders)
    ]
    return [
        _joined([maps_of[place] for maps_of in found], float(score(whole)[0].detach()))
        for place, score in enumerate(scores)
    ]


def _joined(each: Sequence[Map], score: float) -> Map:
    height, width = (max(one.values.shape[axis] for one in each) for axis in (0, 1))
    exact = all(one.method == "cam" for one in each)
    total = np.zeros((height, width))
    for one in each:
        # A cell's value is spread over the cells it becomes, so that sums stay.
        rows = np.arange(height) * one.values.shape[0] // height
        columns = np.arange(width) * one.values.shape[1] // width
        spread = one.values / np.bincount(rows)[:, None] / np.bincount(columns)
        total += spread[rows][:, columns] / (1.0 if exact else len(each) * (np.abs(spread).max() or 1.0))
    if exact:
        return Map(total, "cam", score - float(total.sum()))
    return Map(total, next(one.method for one in each if one.method != "cam"))


def _activation_maps(encoder: Any, views: Tensor, scores: Sequence[Score]) -> list[Map] | None:
    """Class activation maps: gradient times activation in the last layer with places, for networks that
    average over them afterwards. The sums are checked against the scores; None: they do not hold.

    Normalisers behind the average (a LayerNorm, as in ConvNeXt and some ViTs) are held at this image's own
    deviation, with which the rest is linear.

    Reference: Zhou et al. 2016 (CAM), eq. 2, https://arxiv.org/abs/1512.04150
    """
    if not (hasattr(encoder, "forward_features") and hasattr(encoder, "forward_head")):
        return None
    with torch.no_grad():
        places = encoder.forward_features(views)
    layout = layout_of(encoder, places)
    if layout is None:
        return None
    found = []
    with _held_normalisers(encoder), torch.enable_grad():
        places = places.detach().clone().requires_grad_()
        features = encoder.forward_head(places).float()
        for score in scores:
            value = score(features)[0]
            (gradient,) = torch.autograd.grad(value, places, retain_graph=True)
            products = (gradient * places).detach().double()
            whole = products.sum()
            values = layout(products)
            step = _step(encoder, places, score, value.item())
            constant = float(value.detach().double() - whole)
            exact = abs(step - float(whole)) <= TOLERANCE * (abs(step) + abs(float(whole)) + 1e-6)
            if not exact or float(values.abs().sum()) == 0:
                return None
            # What the map's cells leave out (a class token that joins the average) stays in the constant.
            constant += float(whole - values.sum())
            found.append(Map(values.cpu().numpy(), "cam", constant))
    return found


def _step(encoder: Any, places: Tensor, score: Score, whole: float) -> float:
    """Twice the rise of the score from half the activations to the whole: the map's sum if all is linear."""
    with torch.no_grad():
        half = score(encoder.forward_head(places.detach() / 2).float())
    return 2 * (whole - float(half[0]))


def _grad_cam(encoder: Any, views: Tensor, scores: Sequence[Score]) -> list[Map]:
    """Grad-CAM: activations weighted by the score's gradient, averaged over places; what speaks against is
    left out.

    Taken where places exist for the last time: the normalised tokens that enter a ViT's last attention, else
    the last layer with an [B, D, h, w] output.

    Reference: Selvaraju et al. 2017 (Grad-CAM), eq. 1 and 2, https://arxiv.org/abs/1610.02391
    """
    layer = token_layer(encoder) or last_convolution(encoder, views)
    if layer is None:
        raise ModelError("expected an encoder with places in its layers, found none; use occlusion.")
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # in-place layers may follow

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            features = encoder(views).float()
            found = []
            for score in scores:
                (gradient,) = torch.autograd.grad(score(features)[0], kept[-1], retain_graph=True)
                cells, slopes = (as_cells(encoder, one.detach().double()) for one in (kept[-1], gradient))
                values = (slopes.mean(dim=(1, 2), keepdim=True) * cells).sum(0).relu()
                found.append(Map(values.cpu().numpy(), "grad-cam"))
    finally:
        handle.remove()
    return found


@contextmanager
def _held_normalisers(encoder: nn.Module) -> Iterator[None]:
    """Every LayerNorm keeps the deviation of its first input from then on, as a constant."""
    kept: dict[nn.Module, Tensor] = {}

    def held(module: nn.Module, inputs: tuple[Tensor, ...], _output: Any) -> Tensor:
        norm: Any = module
        x = inputs[0]
        # timm's LayerNorm2d normalises [B, D, h, w] over D.
        dim = 1 if x.ndim == 4 and "2d" in type(norm).__name__.lower() else -1
        if module not in kept:
            spread = (x.var(dim, keepdim=True, unbiased=False) + norm.eps).sqrt()
            kept[module] = spread.detach()
        shape = [-1 if one == dim % x.ndim else 1 for one in range(x.ndim)]
        value = (x - x.mean(dim, keepdim=True)) / kept[module]
        if norm.weight is not None:
            value = value * norm.weight.view(shape)
        return value if norm.bias is None else value + norm.bias.view(shape)

    handles = [
        module.register_forward_hook(held) for module in encoder.modules() if isinstance(module, nn.LayerNorm)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Evaluation mode, and no gradient for the weights."""
    training = model.encoder.training
    asked = [one for one in model.encoder.parameters() if one.requires_grad]
    model.encoder.eval()
    for one in asked:
        one.requires_grad_(False)
    try:
        yield
    finally:
        model.encoder.train(training)
        for one in asked:
            one.requires_grad_(True)
