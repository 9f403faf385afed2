"""The text half of a model: it puts texts into the space of its images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.errors import ConfigError, ModelError
from synsight.models.clip_tower import OPEN_CLIP
from synsight.models.hub import cached_only
from synsight.models.text import TextModule, TextTowerConfig, rebuild_text_tower

TEMPLATES = ("a photo of a {}.",)
"""CLIP's sentence around the name of a class (https://arxiv.org/abs/2103.00020, section 3.1.4)."""


MOST_TEXTS = 8192
"""Sentences embedded before they are averaged; bounds the memory, however many classes there are."""


class TextSide(nn.Module):
    """A text tower with what comes after it: texts -> unit rows [N, P].

    Args:
        tower: Token ids -> features [B, E].
        projection: Linear without bias from E to P; None: the features are in the space already.
        logit_scale: What cosines are multiplied with before a softmax.
        unit_features: The projection reads features of unit length, as where captions were embedded once
            before the training.
    """

    logit_scale: Tensor

    def __init__(
        self,
        tower: TextModule,
        *,
        projection: nn.Linear | None = None,
        logit_scale: float = 1.0,
        unit_features: bool = False,
    ) -> None:
        super().__init__()
        self.tower, self.projection, self.unit_features = tower, projection, unit_features
        self.register_buffer("logit_scale", torch.tensor(float(logit_scale)))

    @property
    def settings(self) -> dict[str, Any]:
        """JSON values from which `rebuild_text_side` makes one into which the state_dict fits."""
        tower = dict(self.tower.settings)
        name = str(tower.get("tower"))
        if name.startswith(OPEN_CLIP) and name.endswith(".safetensors"):
            tower["tower"] = name.partition("/")[0]  # the weights are kept; where they came from is nobody's
        return {
            "tower": tower,
            "projection_dim": 0 if self.projection is None else self.projection.out_features,
            "unit_features": self.unit_features,
        }

    def embed(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Unit rows, float32 [N, P], without gradient, in evaluation mode."""
        modes, rows = [(part, part.training) for part in self.modules()], []
        self.eval()
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                tokens = self.tower.tokenise(list(texts[start : start + batch_size]))
                rows.append(self._embed_tokens(tokens.to(self.logit_scale.device)))
        for part, training in modes:  # one by one: a frozen tower may be in another mode than what follows it
            part.training = training
        return torch.cat(rows) if rows else torch.empty(0, self.dimensions)

    def classes(
        self, names: Sequence[str | Sequence[str]], *, templates: Sequence[str] = TEMPLATES
    ) -> Tensor:
        """A unit row for each class, [C, P]: the mean of the unit rows of all its sentences.

        Args:
            names: Of the classes; a class with several names has the sentences of all of them.
            templates: "{}" stands for the name.

        Raises:
            ConfigError: There is no template, one without "{}", or a class without a name.

        Reference: CLIP's ensemble over prompts in the space of embeddings (section 3.1.4), as in open_clip's
            `build_zero_shot_classifier`, where a class has one name.
        """
        if not templates or not all("{}" in one for one in templates):
            raise ConfigError(f"templates must hold '{{}}' for the name of a class; got {list(templates)!r}.")
        called = [(one,) if isinstance(one, str) else tuple(one) for one in names]
        if not all(called):
            raise ConfigError(f"every class needs a name; class {called.index(())} has none.")
        means = []
        for part in _parts(called, most=MOST_TEXTS // len(templates)):
            texts = [template.replace("{}", name) for some in part for name in some for template in templates]
            sizes = [len(some) * len(templates) for some in part]
            means += [rows.mean(dim=0) for rows in torch.split(self.embed(texts), sizes)]
        return F.normalize(torch.stack(means), dim=1) if means else self.embed([])

    @property
    def dimensions(self) -> int:
        """P."""
        return self.tower.embedding_dim if self.projection is None else self.projection.out_features

    def _embed_tokens(self, tokens: Tensor) -> Tensor:
        features: Tensor = self.tower(tokens).float()
        if self.unit_features:
            features = F.normalize(features, dim=1)
        if self.projection is not None:
            features = self.projection(features)
        return F.normalize(features, dim=1)


def rebuild_text_side(settings: Mapping[str, Any]) -> TextSide:
    """A text side without its weights, from `TextSide.settings`; never over the network.

    Settings may be a stranger's: what they name is taken from the disk or from the hub's cache alone.

    Raises:
        ModelError: They are no text side's settings, or name a tower that is not on this machine.
        MissingDependency: The tower needs a package that is not installed.
    """
    try:
        tower_settings, size = dict(settings["tower"]), settings["projection_dim"]
        unit_features = settings["unit_features"]
        if not (isinstance(size, int) and 0 <= size <= 2**16 and isinstance(unit_features, bool)):
            raise ValueError
        if tower_settings.get("tower") == "transformer":
            _check_sizes(tower_settings)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"expected the settings of a text tower, found {dict(settings)!r:.200}; copy the model folder "
            "again."
        ) from None
    with torch.random.fork_rng(devices=[]), cached_only():
        tower = rebuild_text_tower(tower_settings)
        projection = nn.Linear(tower.embedding_dim, size, bias=False) if size else None
    return TextSide(tower, projection=projection, unit_features=unit_features)


def _parts(called: Sequence[tuple[str, ...]], *, most: int) -> Iterator[list[tuple[str, ...]]]:
    """Classes in their order, with at most so many names together, but one class at least."""
    part: list[tuple[str, ...]] = []
    names = 0
    for some in called:
        if part and names + len(some) > most:
            yield part
            part, names = [], 0
        part.append(some)
        names += len(some)
    if part:
        yield part


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Raise a ValueError for a tower that no memory holds."""
    for name in TextTowerConfig.__dataclass_fields__:
        if not isinstance(settings[name], int) or not 0 < settings[name] <= 2**18:
            raise ValueError
    if settings["layers"] > 256 or settings["width"] > 2**13:
        raise ValueError
