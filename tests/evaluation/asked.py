"""A model that is judged on made rows: no catalog is opened, no image is looked at."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import torch
from torch import nn

from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Options, Wording
from synsight.language.vocabulary import SCHEMA, Vocabulary
from synsight.models import Model, ModelConfig
from synsight.models.text import TextTower, TextTowerConfig
from synsight.models.text_side import TextSide


def judged(splits, features, *, model=None, wording=None, **options) -> Judged:
    return Judged(
        name="made",
        model=model,
        catalog=SimpleNamespace(name="rows", path=Path("rows")),
        version=3,
        options=Options(wording=Wording(**(wording or {})), **options),
        out=Path("ev"),
        splits=splits,
        compute=lambda: features,
        progress=False,
    )


def config(dimensions: int, **more) -> ModelConfig:
    return ModelConfig(
        encoder="made", image_size=8, embedding_dim=dimensions, mean=(0.5,) * 3, std=(0.5,) * 3, **more
    )


def word_model(keys: list[str], weight, bias) -> Model:
    """A model whose words and whose head's rows are given."""
    weight, bias = torch.as_tensor(weight).float(), torch.as_tensor(bias).float()
    table = pa.table(
        [list(range(len(keys))), keys, [f"word{n}" for n in range(len(keys))], [9] * len(keys)], schema=SCHEMA
    )
    head = nn.Linear(weight.shape[1], len(keys))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return Model(
        nn.Identity(),
        config(weight.shape[1], head="words", classes=len(keys)),
        head=head,
        vocabulary=Vocabulary("synset", table),
        name="made",
    )


def reading_model(dimensions: int = 5, *, scale: float = 20.0) -> Model:
    """A model that reads texts, with random weights."""
    torch.manual_seed(0)
    tower = TextTower(TextTowerConfig(width=16, layers=1, heads=2, context_length=12))
    side = TextSide(tower, projection=nn.Linear(16, 6, bias=False), logit_scale=scale)
    return Model(
        nn.Linear(1, 1),
        config(dimensions, projection_dim=6),
        projection=nn.Linear(dimensions, 6, bias=False),
        text=side,
        name="made",
    )
