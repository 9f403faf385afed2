"""Small models and a small catalog of pictures for the tests of this folder."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from synsight.data.catalog import Catalog, Commit
from synsight.language.vocabulary import SCHEMA, Vocabulary
from synsight.models import Model, ModelConfig, build_backbone, embedding_dim, linear_head

ENCODER, SIZE = "resnet10t", 32
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def picture(number: int, *, width: int = 40, height: int = 32) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height))


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def vocabulary() -> Vocabulary:
    keys = ["wn30:n02084071", "wn30:n02121620", "wn30:n02958343"]
    return Vocabulary("synset", pa.table([[0, 1, 2], keys, ["dog", "cat", "car"], [9, 8, 7]], schema=SCHEMA))


def small_model(
    head: str | None = "words", *, encoder: str = ENCODER, size: int = SIZE, stem: str = "cifar"
) -> Model:
    torch.manual_seed(3)
    backbone = build_backbone(encoder, image_size=size, stem=stem)
    for name, value in backbone.named_buffers():  # as after training, not as new
        if "running_mean" in name:
            value.uniform_(-0.1, 0.1)
    dim = embedding_dim(backbone)
    config = ModelConfig(
        encoder=encoder,
        image_size=size,
        embedding_dim=dim,
        mean=MEAN,
        std=STD,
        stem=stem,
        method="catlip",
        head=head,
        classes=0 if head is None else 3,
        trained_on={"catalog": "emoji", "version": 4},
    )
    return Model(
        backbone,
        config,
        head=None if head is None else linear_head(dim, 3),
        vocabulary=vocabulary() if head == "words" else None,
        label_names=["red", "green", "blue"] if head == "labels" else None,
        name="small",
    )


def small_catalog(path: Path, *, rows: int = 10) -> Catalog:
    batch = pa.record_batch(
        {
            "id": [f"id{n}" for n in range(rows)],
            "image": pa.array([encoded(picture(n)) for n in range(rows)], pa.binary()),
            "split": ["test" if n % 3 == 0 else "train" for n in range(rows)],
        }
    )
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog
