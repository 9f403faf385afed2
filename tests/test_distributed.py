"""Two processes compute what one computes on the joint batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from synsight.distributed import World, close_world, open_world
from two_processes import joint_batch, loss_and_gradients, methods


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(Path(__file__).with_name("two_processes.py"))
    processes = []
    for rank in range(2):
        places = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment = {**os.environ, **places, "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen([sys.executable, script, str(out)], env=environment, stderr=subprocess.PIPE)
        )
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors.decode()
    return [load_file(out / f"rank{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("name", list(methods()))
def test_loss_and_gradient_of_two_processes_are_those_of_one_on_the_joint_batch(
    name: str, both: list[dict[str, Tensor]]
):
    alone = loss_and_gradients(methods()[name], joint_batch(), World())
    for rank in both:
        for key, value in alone.items():
            torch.testing.assert_close(rank[f"{name}/{key}"], value, rtol=1e-4, atol=1e-5)


def test_rows_are_gathered_in_rank_order_and_give_back_the_sum_of_their_gradients(
    both: list[dict[str, Tensor]],
):
    expected = torch.tensor([1.0, 1.0, 2.0, 2.0])[:, None].expand(4, 3)
    for rank, found in enumerate(both):
        torch.testing.assert_close(found["gathered"], expected)
        # By hand: 1 from process 0 and 2 from process 1, times the place of the row, counted from 1.
        places = torch.tensor([1.0, 2.0]) + 2 * rank
        torch.testing.assert_close(found["gathered/gradient"], (3 * places)[:, None].expand(2, 3))


def test_sums_run_over_the_processes(both: list[dict[str, Tensor]]):
    assert [found["sum"].tolist() for found in both] == [[2.0, 1.0], [2.0, 1.0]]


def test_a_process_alone_gathers_and_sums_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = open_world()
    rows = torch.ones(2, 3)
    assert world == World() and world.is_main
    assert world.gather(rows) is rows and world.sum(rows) is rows
    close_world(world)
