"""The first losses of seeded runs: a refactoring changes none of them, a change of mathematics says so here.

Made with torch 2.14.1, float32, one thread, on an x86-64 processor. Write them again with
`python tests/training/test_golden.py`, and say why in the commit.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest
from tiny import make_catalog, tiny_config

from synsight.data.catalog import Catalog
from synsight.methods import METHODS
from synsight.training import train

GOLDEN = Path(__file__).with_name("golden.json")


def first_losses(recipe: str, data: Path, out: Path) -> list[float]:
    # A recipe's tuning is no change of mathematics, nor is a faster way to the same views.
    pinned: dict[str, object] = {"views.path": "reference", "optim.betas": "0.9,0.999", "optim.eps": 1e-8}
    if recipe == "simclr":
        pinned["method.projection_dim"] = 128
    if recipe in ("catlip", "supervised"):
        pinned["views.min_area"] = 0.25
    summary = train(tiny_config(recipe, data, steps=5, **pinned), out=out)
    return [row["loss"] for row in summary.curve if row["kind"] == "train"]


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_are_the_stored_ones(method: str, catalog: Catalog, tmp_path: Path):
    # Another processor sums in another order: 1e-6 a step, which training multiplies; a changed loss,
    # augmentation or initialisation moves the first digits.
    stored = json.loads(GOLDEN.read_text())[method]
    assert first_losses(method, catalog.path, tmp_path / "run") == pytest.approx(stored, rel=1e-3)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        make_catalog(path / "cat")
        losses = {name: first_losses(name, path / "cat", path / name) for name in METHODS}
    GOLDEN.write_text(json.dumps(losses, indent=2) + "\n")
    sys.stdout.write(GOLDEN.read_text())
