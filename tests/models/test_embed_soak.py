"""Features of many rows, and of a few rows many times: memory, files and threads stay, and no row is lost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_models import encoded, picture, small_model

from planted import catalog_of
from synsight.data.catalog import Catalog
from synsight.models import Model, embed
from watching import Watched, again_and_again

ROWS = int(os.environ.get("SYNSIGHT_SOAK_EMBED_ROWS", "10000"))
"""Of the one long run."""
FEW, TIMES = 300, 40
"""Rows of each run that is repeated, and how often."""
PICTURES = 100
"""Drawn; row n shows picture n modulo so many, and its bytes differ by what a decoder passes over."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def tiny_model() -> Model:
    return small_model(encoder="test_resnet", stem="standard")


def write_catalog(path: Path, rows: int) -> Path:
    pictures = [encoded(picture(n)) for n in range(PICTURES)]
    catalog_of(path, [pictures[n % PICTURES] + n.to_bytes(8, "big") for n in range(rows)])
    return path


def features_of(path: Path, column: str) -> np.ndarray:
    table = Catalog.open(path).table([column])
    return np.concatenate([one.flatten().to_numpy() for one in table[column].chunks]).reshape(len(table), -1)


def test_an_embed_of_many_rows_stays_as_it_is(tmp_path):
    model, runner = tiny_model(), Watched(seconds=0.02)
    catalog = write_catalog(tmp_path / "cat", ROWS)
    done = embed(model, catalog, batch_size=64, runner=runner)
    features = features_of(catalog, done.column)
    assert len(features) == ROWS
    few = features[:PICTURES]
    np.testing.assert_allclose(features, few[np.arange(ROWS) % PICTURES], rtol=0.01, atol=0.01)
    assert np.abs(few - few[::-1]).max(axis=1).min() > 0.02, "pictures whose features tell them apart"
    runner.check()


def test_embedding_again_and_again_leaves_nothing_behind(tmp_path):
    catalog, model = write_catalog(tmp_path / "cat", FEW), tmp_path / "model"
    tiny_model().save_pretrained(model)
    sums = []

    def once(number: int) -> None:
        copy = tmp_path / f"copy_{number}"
        shutil.copytree(catalog, copy)
        done = embed(model, copy, out=tmp_path / "features.parquet", progress=False)
        sums.append(features_of(copy, done.column).tobytes())
        shutil.rmtree(copy)

    looks = again_and_again(once, times=TIMES)
    assert set(sums) == {sums[0]}
    looks.check()
