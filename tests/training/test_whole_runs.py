"""Settings whose effect shows in a whole run only."""

import shutil
from functools import partialmethod

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_catalog, tiny_config
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from synsight.files import read_json_lines
from synsight.training import train


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("data") / "cat")


@pytest.fixture(scope="module")
def model(catalog, tmp_path_factory):
    """A folder of one step of SimCLR."""
    run = tmp_path_factory.mktemp("first") / "run"
    train(tiny_config("simclr", catalog.path, steps=1), out=run)
    return run / "model"


def losses(run) -> list[float]:
    return [row["loss"] for row in read_json_lines(run / "metrics.jsonl") if row["kind"] == "train"]


@pytest.mark.parametrize(
    "backend",
    [
        "eager",  # traced, not generated: takes no compiler
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler"),
            ],
        ),
    ],
)
def test_a_compiled_run_has_the_losses_and_the_weights_of_a_plain_one(
    backend, catalog, tmp_path, monkeypatch
):
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=backend))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    found = []
    for compiled in (False, True):
        run = tmp_path / str(compiled)
        changes = {"steps": 3, "monitor.every_steps": 3, "levers.compile": compiled}
        train(tiny_config("simclr", catalog.path, **changes), out=run)
        assert bool(torch._dynamo.utils.counters["frames"]["ok"]) == compiled
        found.append((losses(run), load_file(run / "model" / "model.safetensors")))
    (plain, weights), (faster, others) = found
    assert len(plain) == 3
    assert faster == pytest.approx(plain, rel=1e-4)
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-3, atol=1e-4)
    torch._dynamo.reset()


def groups_of_a_run(config, out) -> list[list[tuple[int, float, float]]]:
    """For each step and group of the optimiser: how many numbers it moves, at which rate and decay."""
    seen: list[list[tuple[int, float, float]]] = []

    def look(optimiser, *_):
        seen.append(
            [
                (sum(weight.numel() for weight in group["params"]), group["lr"], group["weight_decay"])
                for group in optimiser.param_groups
            ]
        )

    hook = register_optimizer_step_pre_hook(look)
    try:
        train(config, out=out)
    finally:
        hook.remove()
    return seen


def test_weights_given_by_a_model_move_at_their_own_rate(catalog, model, tmp_path):
    changes = {"steps": 4, "encoder": str(model), "optim.pretrained_lr": 0.1, "optim.weight_decay": 0.05}
    seen = groups_of_a_run(tiny_config("simclr", catalog.path, **changes), tmp_path / "run")
    backbone = sum(
        weight.numel()
        for name, weight in load_file(model / "model.safetensors").items()
        if "running_" not in name and "num_batches" not in name
    )
    assert len(seen) == 4
    for decayed, plain, begun in seen:
        assert begun[0] == backbone
        assert begun[1] == pytest.approx(0.1 * decayed[1]) and plain[1] == decayed[1] > 0
        assert (decayed[2], plain[2], begun[2]) == (0.05, 0.0, 0.0)
    assert len({step[0][1] for step in seen}) > 1  # the schedule moves all of them


def test_a_rate_of_nothing_leaves_the_given_weights_as_they_were(catalog, model, tmp_path):
    changes = {"steps": 3, "encoder": str(model), "optim.pretrained_lr": 0.0}
    train(tiny_config("simclr", catalog.path, **changes), out=tmp_path / "run")
    before, after = (load_file(one / "model.safetensors") for one in (model, tmp_path / "run" / "model"))
    filters = [name for name, weight in before.items() if weight.ndim == 4]
    assert filters
    assert all(torch.equal(before[name], after[name]) for name in filters)


def test_without_a_model_there_is_one_rate(catalog, tmp_path):
    config = tiny_config("simclr", catalog.path, steps=2, **{"optim.pretrained_lr": 0.1})
    for step in groups_of_a_run(config, tmp_path / "run"):
        assert len(step) == 2
        assert len({rate for _, rate, _ in step}) == 1
