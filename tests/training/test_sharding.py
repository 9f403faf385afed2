"""Runs whose weights are shared out over two processes (gloo): the same as in one."""

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from test_processes import VIT, losses, readings, run_in, start, stop_at, wait_for
from tiny import tiny_config
from torch import nn

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError
from synsight.methods import METHODS
from synsight.models import load
from synsight.training import train
from synsight.training.sharding import Whole, part_groups

FSDP = {"parallel": "fsdp"}


@pytest.mark.parametrize(
    ("recipe", "changes", "tolerance"),
    [
        ("catlip", VIT | {"optim.ema_decay": 0.9, "levers.activation_checkpointing": True}, 1e-5),
        ("clip", VIT | {"levers.micro_batch": 3}, 1e-5),  # a text tower, and a scale that is not shared out
        ("simclr", {"optim.name": "lars", "optim.lr": 0.1}, 1e-5),  # batch statistics
        ("catlip", VIT | {"precision": "bf16"}, 2e-2),
    ],
)
def test_two_processes_with_half_the_weights_each_have_the_losses_and_the_model_of_one(
    recipe: str, changes: dict[str, object], tolerance: float, catalog: Catalog, tmp_path: Path
):
    if changes.get("precision") == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor does not compute in bfloat16")
    changes = {**changes, "steps": 6}
    alone = {name: value for name, value in changes.items() if name != "levers.micro_batch"}
    train(tiny_config(recipe, catalog.path, **alone), out=tmp_path / "one")
    run_in(2, recipe, catalog, tmp_path / "two", changes | FSDP)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=tolerance)
    if tolerance > 1e-5:
        return
    for two, one in zip(readings(tmp_path / "two"), readings(tmp_path / "one"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    features = [load(str(tmp_path / run / "model")).embed(image) for run in ("one", "two")]
    np.testing.assert_allclose(*features, rtol=1e-3, atol=1e-4)


def test_a_sharded_run_goes_on_after_a_kill_and_in_another_number_of_processes(
    catalog: Catalog, tmp_path: Path
):
    changes = {**VIT, "steps": 40, "checkpoint.every_minutes": 1e-9, "optim.ema_decay": 0.9}
    train(tiny_config("clip", catalog.path, **changes), out=tmp_path / "whole")
    run, sharded = tmp_path / "mixed", changes | FSDP
    process = start(2, "clip", catalog, run, sharded)
    wait_for(process, run, 10)
    psutil.Process(process.pid).children()[1].kill()
    process.communicate(timeout=120)
    assert process.returncode != 0
    stop_at(start(1, "clip", catalog, run, sharded, resume=True), run, 25)
    run_in(2, "clip", catalog, run, sharded, resume=True)
    np.testing.assert_allclose(losses(run), losses(tmp_path / "whole"), rtol=0, atol=1e-5)


def test_the_whole_of_a_method_holds_weights_only_while_it_is_looked_at():
    torch.manual_seed(0)
    config = tiny_config("simclr").method
    method = METHODS["simclr"](nn.Linear(4, 3), embedding_dim=3, config=config)  # type: ignore[arg-type]
    whole = Whole(method)
    rows = torch.randn(2, 4)
    with whole.having(method.state_dict()) as copy:
        torch.testing.assert_close(copy.encoder(rows), method.encoder(rows))
        assert copy is not method
    assert all(weight.is_meta for weight in copy.parameters())


def test_groups_without_shares_stay_as_they_are():
    weights = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    optimiser = torch.optim.AdamW([{"params": weights[:2], "lr": 0.1}, {"params": weights[2:]}])
    part_groups(optimiser)
    assert [len(group["params"]) for group in optimiser.param_groups] == [2, 1]
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 1e-3]


def test_compiling_a_sharded_network_is_refused(catalog: Catalog):
    with pytest.raises(ConfigError, match=r"levers\.compile.*fsdp"):
        tiny_config("catlip", catalog.path, parallel="fsdp", **{"levers.compile": True})
