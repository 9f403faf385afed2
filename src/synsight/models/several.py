"""Several encoders as one: each is shown the same image in its own way, their features stand side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.data.trained_rows import NOTHING, TrainedRows
from synsight.errors import ModelError
from synsight.models.backbones import RANDOM, build_backbone, check_name, embedding_dim
from synsight.models.config import ModelConfig
from synsight.models.saved import Model

SEVERAL = "several"
"""What stands for the architecture's name."""
PART = ("encoder", "image_size", "embedding_dim", "mean", "std", "stem", "arguments")
"""What the config says of each encoder."""
MOST = 8


class SeveralEncoders(nn.Module):
    """Encoders over one image, [B, 3, S, S] -> [B, sum of D].

    Args:
        encoders: Each [B, 3, S_i, S_i] -> [B, D_i].
        parts: For each its `image_size`, `mean`, `std` and `embedding_dim`.
    """

    def __init__(self, encoders: Sequence[nn.Module], parts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.sizes = [int(part["image_size"]) for part in parts]
        self.widths = [int(part["embedding_dim"]) for part in parts]
        self.num_features = sum(self.widths)
        self._statistics = [(tuple(part["mean"]), tuple(part["std"])) for part in parts]

    def forward(self, views: Tensor) -> Tensor:
        """Pixels in 0..1, [B, 3, S, S] -> features [B, sum of D]."""
        features = []
        for encoder, size, (mean, std) in zip(self.encoders, self.sizes, self._statistics, strict=True):
            own = views
            if size != views.shape[-1]:
                own = F.interpolate(views, (size, size), mode="bilinear", antialias=True)
            shift, spread = (own.new_tensor(values).view(1, 3, 1, 1) for values in (mean, std))
            features.append(encoder((own - shift) / spread))
        return torch.cat(features, dim=1)


def several_encoders(models: Sequence[Model], *, name: str = "") -> Model:
    """One model of several: each image is prepared once, at the largest size and as the first model does it,
    and each encoder takes it from there, resized.

    An encoder of a smaller input thus sees slightly other pixels than by itself. What the first of them that
    knows words says of them is kept; text halves are not.

    Args:
        models: Two or more.
        name: What the user calls it.

    Raises:
        ModelError: Fewer than two, or more than eight; or one of them is made of several.
    """
    if not 2 <= len(models) <= MOST or any(model.config.parts for model in models):
        raise ModelError(f"expected 2 to {MOST} models of one encoder each; got {len(models)}.")
    parts = tuple({name: _plain(getattr(model.config, name)) for name in PART} for model in models)
    encoder = SeveralEncoders([model.encoder for model in models], parts)
    first = models[0].config
    start = [sum(encoder.widths[:number]) for number in range(len(models))]
    words = next((number for number, model in enumerate(models) if model.word_head is not None), None)
    word_head, vocabulary = None, None
    if words is not None:
        word_head = _widened(models[words].word_head, start[words], encoder.num_features)
        vocabulary = models[words].vocabulary
    config = ModelConfig(
        encoder=SEVERAL,
        parts=parts,
        image_size=max(encoder.sizes),
        embedding_dim=encoder.num_features,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_fraction=first.crop_fraction,
        interpolation=first.interpolation,
        resize=first.resize,
        method=" | ".join(model.config.method for model in models),
        words=0 if word_head is None else word_head.out_features,
        trained_on={"parts": [dict(model.config.trained_on) for model in models]},
    )
    return Model(
        encoder,
        config,
        word_head=word_head,
        vocabulary=vocabulary,
        trained_rows=_trained_rows(models),
        name=name or " | ".join(model.name for model in models),
    )


def build_several(parts: Sequence[Mapping[str, Any]]) -> SeveralEncoders:
    """The encoders that a config speaks of, without their weights.

    Raises:
        ModelError: The description is not one that `several_encoders` makes.
    """
    if not 2 <= len(parts) <= MOST or any(
        not isinstance(part, Mapping) or set(part) != set(PART) for part in parts
    ):
        raise ModelError(
            f"expected 2 to {MOST} encoders, each with {', '.join(PART)}; copy the folder again."
        )
    encoders = []
    for part in parts:
        # The same checks as of a config with one encoder.
        config = ModelConfig(**{**part, "mean": tuple(part["mean"]), "std": tuple(part["std"])})
        check_name(config.encoder.removeprefix(RANDOM))
        encoder = build_backbone(
            config.encoder, image_size=config.image_size, stem=config.stem, arguments=config.arguments
        )
        if embedding_dim(encoder) != config.embedding_dim:
            raise ModelError(
                f"{config.encoder}: has {embedding_dim(encoder)} features; copy the folder again."
            )
        encoders.append(encoder)
    return SeveralEncoders(encoders, parts)


def _trained_rows(models: Sequence[Model]) -> TrainedRows:
    rows = NOTHING
    for model in models:
        rows = rows.with_earlier(model.trained_rows)
    return rows


def _plain(value: Any) -> Any:
    """As JSON brings it back."""
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _widened(head: nn.Linear | None, start: int, width: int) -> nn.Linear:
    """The same scores from a slice of wider features."""
    assert head is not None
    wide = nn.Linear(width, head.out_features)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, start : start + head.in_features] = head.weight
        wide.bias.copy_(head.bias)
    return wide
