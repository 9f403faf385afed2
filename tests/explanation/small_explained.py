"""A model with words and labels, and a catalog that it explains."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from models.small_models import encoded, picture, small_model, vocabulary
from synsight.data.catalog import Catalog, Commit
from synsight.language.vocabulary import DIGEST_FIELD, archived_path
from synsight.models import Model
from synsight.models.feature_head import FeatureHead
from synsight.models.head_layers import Linear, Normalise, Relu, Standardise

LABELS = ["red", "green", "blue"]


def words_model(**changes) -> Model:
    """A model whose labels are linear in its three words."""
    model = small_model("words", **changes)
    torch.manual_seed(5)
    weight = torch.tensor([[1.0, -0.5, 0.0], [0.0, 2.0, 0.3], [-1.0, 0.0, 1.5]])
    head = FeatureHead(
        Linear.of(model.word_head.weight, model.word_head.bias),
        Standardise.of(torch.tensor([0.2, -0.1, 0.4]), torch.tensor([3.0, 2.0, 5.0])),
        Linear.of(weight, torch.tensor([0.1, 0.0, -0.2])),
    )
    return model.adapted(head, LABELS, method="adapt:words")


def linear_model(**changes) -> Model:
    """The same encoder and words under a linear head of labels that knows nothing of words."""
    model = small_model("words", **changes)
    torch.manual_seed(6)
    return model.adapted(torch.nn.Linear(model.config.embedding_dim, 3), LABELS, method="adapt:logistic")


def crooked_model(**changes) -> Model:
    """A head that is not linear."""
    model = small_model("words", **changes)
    torch.manual_seed(7)
    dim = model.config.embedding_dim
    layers = [Linear(dim, 16), Relu(), Linear(16, 3)]
    return model.adapted(FeatureHead(Normalise(), *layers), LABELS, method="adapt:projector")


def worded_catalog(path: Path, *, rows: int = 30) -> Catalog:
    """Pictures with captions, words of `vocabulary()` and labels; a third is for validation."""
    random = np.random.default_rng(0)
    words = vocabulary()
    lists = [
        sorted(random.choice(3, size=random.integers(0, 3), replace=False).tolist()) for _ in range(rows)
    ]
    field = pa.field("words_synset", pa.list_(pa.int32()), metadata={DIGEST_FIELD: words.digest})
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.binary()),
            ("caption", pa.string()),
            ("kind", pa.string()),
            ("split", pa.string()),
            field,
        ]
    )
    batch = pa.record_batch(
        [
            pa.array([f"=id{n}" for n in range(rows)]),
            pa.array([encoded(picture(n)) for n in range(rows)], pa.binary()),
            pa.array([None if n % 5 == 4 else f"<b>caption {n}</b>" for n in range(rows)]),
            pa.array([LABELS[n % 3] for n in range(rows)]),
            pa.array(["val" if n % 3 == 2 else "train" for n in range(rows)]),
            pa.array(lists, pa.list_(pa.int32())),
        ],
        schema=schema,
    )
    catalog = Catalog.create(path, schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    place = archived_path(catalog, "synset", words.digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    words.save(place)
    return catalog
