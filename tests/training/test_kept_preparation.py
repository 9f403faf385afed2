"""A run that begins with a model's weights saves how its images are prepared, too."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_config

from models.named_models import add_clip, clip_file, timm_folder
from models.small_models import picture
from synsight.data.catalog import Catalog
from synsight.models import load
from synsight.training import train

PICTURES = [picture(number, width=70 - 5 * number, height=40 + number) for number in range(4)]
SQUASHED = {"crop_mode": "squash", "crop_pct": 1.0}
STANDS_STILL = {"optim.lr": 1e-30, "steps": 1, "epochs": 1, "monitor.views_rows": 0}


def named(folder: Path, kind: str) -> str:
    """The name of weights on the disk, whose images are not prepared as an untrained model's are."""
    if kind == "timm":
        return f"local-dir:{timm_folder(folder / 'timm', img_size=32)}"
    if kind == "squashed by timm":
        return f"local-dir:{timm_folder(folder / 'timm', cfg=SQUASHED, img_size=32)}"
    if kind == "open_clip":
        name = add_clip(folder / "configs", "tiny-vit")
        beside = {"interpolation": "bilinear", "resize_mode": "squash", "mean": [0.5] * 3, "std": [0.3] * 3}
        return f"open-clip:{name}/{clip_file(folder / 'weights', name, beside=beside)}"
    return str(load(named(folder, "timm")).save_pretrained(folder / "model"))


@pytest.mark.parametrize("kind", ["timm", "squashed by timm", "open_clip", "model folder"])
def test_a_run_that_changes_no_weight_changes_no_embedding(kind: str, catalog: Catalog, tmp_path: Path):
    name = named(tmp_path, kind)
    before = load(name)
    config = tiny_config(
        "simclr", catalog.path, encoder=name, image_size=before.config.image_size, **STANDS_STILL
    )
    after = load(train(config, out=tmp_path / "run").model)
    for field in ("mean", "std", "crop_fraction", "interpolation", "resize", "image_size", "arguments"):
        assert getattr(after.config, field) == getattr(before.config, field), field
    assert np.array_equal(after.embed(PICTURES), before.embed(PICTURES))
    again = load(after.save_pretrained(tmp_path / "again"))
    assert np.array_equal(again.embed(PICTURES), before.embed(PICTURES))
