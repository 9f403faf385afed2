"""A run killed at random moments (SIGKILL, so nothing can be saved) ends as one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_run import repeatable, weights_hash
from tiny import tiny_config

from synsight.data.catalog import Catalog
from synsight.training import RunConfig, train

STEPS = 16
CHANGES: dict[str, object] = {
    "steps": STEPS,
    "optim.ema_decay": 0.9,
    "log_every": 1,
    "monitor.every_steps": 5,
}


def config(data: Path | str) -> RunConfig:
    # A checkpoint every epoch of four steps: a kill falls before, in or after one.
    return tiny_config("simclr", data, **CHANGES)


def kill_and_finish(data: Path, run: Path, *, kills: int, seed: int) -> int:
    """Start the run, kill it at a random step, start it again, and let it end; returns the kills that hit."""
    chance, hits = random.Random(seed), 0
    for _ in range(kills):
        if last_step(run) >= STEPS:
            break  # the kill before came after the last line, so no step is left to be killed at
        wanted = chance.randint(last_step(run) + 1, STEPS)
        process = start(data, run)
        while last_step(run) < wanted and os.waitpid(process, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        try:
            os.kill(process, signal.SIGKILL)
            hits += os.waitpid(process, 0)[1] == signal.SIGKILL
        except (ProcessLookupError, ChildProcessError):
            break  # it was faster, and has finished
    assert os.waitpid(start(data, run), 0)[1] == 0
    return hits


def start(data: Path, run: Path) -> int:
    """Train in a fork, which has imported everything already; the table library is not used before it."""
    process = os.fork()
    if process == 0:
        try:
            train(config(data), out=run, resume=True)
            os._exit(0)
        finally:
            os._exit(1)
    return process


def last_step(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines() if metrics.exists() else []
    return len([line for line in lines if b'"train"' in line])


def check(catalog: Catalog, tmp_path: Path, *, kills: int, seed: int) -> None:
    train(config(catalog.path), out=tmp_path / "whole")
    command = [sys.executable, __file__, str(catalog.path), str(tmp_path / "killed"), str(kills), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1, "no kill came before the end"
    assert repeatable(tmp_path / "killed") == repeatable(tmp_path / "whole")
    assert weights_hash(tmp_path / "killed") == weights_hash(tmp_path / "whole")
    assert (tmp_path / "killed" / "DONE").exists()


def test_a_run_killed_three_times_ends_as_one_that_was_not(catalog: Catalog, tmp_path: Path):
    check(catalog, tmp_path, kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 26))
def test_a_run_killed_a_hundred_times_ends_as_one_that_was_not(seed: int, catalog: Catalog, tmp_path: Path):
    check(catalog, tmp_path, kills=4, seed=seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(
        kill_and_finish(Path(sys.argv[1]), Path(sys.argv[2]), kills=int(sys.argv[3]), seed=int(sys.argv[4]))
    )
