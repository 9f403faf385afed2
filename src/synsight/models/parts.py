"""What a model consists of: its weights, and whether they fit what the config says of them."""

from typing import Self

import torch
from torch import Tensor, nn

from synsight.errors import ModelError
from synsight.language.vocabulary import Vocabulary
from synsight.models.config import ModelConfig
from synsight.models.feature_head import FeatureHead, head_width
from synsight.models.weights import digest_of


class Parts:
    """The parts of a model that have weights, and the names of their scores; `Model` says what each is."""

    encoder: nn.Module
    config: ModelConfig
    head: nn.Linear | FeatureHead | None
    word_head: nn.Linear | None
    projection: nn.Linear | None
    vocabulary: Vocabulary | None
    label_names: list[str] | None
    name: str

    @property
    def digest(self) -> str:
        """12 hex digits that stand for these weights with this architecture and preprocessing; taken anew
        each time. A text tower does not count: it changes nothing about images.
        """
        return digest_of(self.image_state(), settings=_beside_the_weights(self.config))

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self.encoder.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Move all parts; returns the same model."""
        for part in self._parts().values():
            part.to(device)
        return self

    def image_state(self) -> dict[str, Tensor]:
        """All weights but those of the text half, by the names under which they are saved."""
        return {
            f"{name}.{key}": tensor
            for name, part in self._parts().items()
            for key, tensor in part.state_dict().items()
        }

    def _parts(self) -> dict[str, nn.Module]:
        """What has weights, by the names under which they are saved."""
        parts = {"encoder": self.encoder, "head": self.head, "projection": self.projection}
        if self.config.head != "words":
            parts["word_head"] = self.word_head
        return {name: part for name, part in parts.items() if part is not None}


def check_parts(model: Parts) -> None:
    """Raise a ModelError unless the config, the heads and the names of their scores fit together."""
    config, head = model.config, model.head
    built = list(config.head_layers)
    has_layers = isinstance(head, FeatureHead)
    if (head.spec if isinstance(head, FeatureHead) else []) != built:
        raise ModelError(
            f"{model.name}: the config speaks of a head of {len(built)} layers, found "
            f"{'others' if has_layers else 'one linear layer or none'}; the two must agree."
        )
    scores = head_width(head, config.embedding_dim)
    words = len(model.vocabulary or ())
    names = {"words": words, "labels": len(model.label_names or ()), None: 0}[config.head]
    if not scores == names == config.classes:
        raise ModelError(
            f"{model.name}: the config speaks of {config.classes} classes ({config.head or 'no head'}), the "
            f"head has {scores} and there are {names} names; the three must agree."
        )
    kept = 0 if model.word_head is None else model.word_head.out_features
    expected = config.classes if config.head == "words" else config.words
    if not kept == expected == words:
        raise ModelError(
            f"{model.name}: the config speaks of {expected} words, the head of words has {kept} and there "
            f"are {words} names; the three must agree."
        )


def _beside_the_weights(config: ModelConfig) -> list[object]:
    """What features depend on besides the weights; a stem's stride and a crop leave no trace in their
    shapes.
    """
    settings: list[object] = [
        config.encoder,
        config.stem,
        config.image_size,
        list(config.mean),
        list(config.std),
        config.crop_fraction,
    ]
    if config.parts:
        settings.append([dict(part) for part in config.parts])
    if config.head_layers or config.label_scores != "softmax":
        settings.append([[dict(layer) for layer in config.head_layers], config.label_scores])
    # What came later counts only where it is used, so that older models keep their digest.
    later = {
        "arguments": dict(config.arguments),
        "interpolation": config.interpolation,
        "resize": config.resize,
    }
    plain = {"arguments": {}, "interpolation": "bicubic", "resize": "shortest"}
    return settings if later == plain else [*settings, later]
