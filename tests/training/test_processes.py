"""Runs in two processes (gloo): the same as in one, in any mixture, and after one of them was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from test_run import repeatable, weights_hash
from tiny import tiny_config

from synsight import files
from synsight.data.catalog import Catalog
from synsight.training import train

SCRIPT = Path(__file__).with_name("one_of_several.py")
VIT = {"encoder": "test_vit", "log_every": 1, "optim.name": "adamw", "optim.lr": 1e-3}
"""Without batch statistics, so that a batch may also be represented in parts."""


def start(
    world: int,
    recipe: str,
    catalog: Catalog,
    run: Path,
    changes: dict[str, object],
    *,
    restarts: int = 0,
    resume: bool = False,
) -> subprocess.Popen[bytes]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
    settings = [f"{name}={value}" for name, value in changes.items()] + ["--resume"] * resume
    words = [f"--max-restarts={restarts}", str(SCRIPT), recipe, str(catalog.path), str(run), *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*torchrun, *words], env=environment, stderr=subprocess.PIPE)


def run_in(
    world: int, recipe: str, catalog: Catalog, run: Path, changes: dict[str, object], *, resume: bool = False
) -> None:
    process = start(world, recipe, catalog, run, changes, resume=resume)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-3000:]


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in files.read_json_lines(run / "metrics.jsonl") if row["kind"] == "train"]


def readings(run: Path) -> list[dict[str, float]]:
    rows = [row for row in repeatable(run) if row["kind"] == "monitor"]
    return [{name: value for name, value in row.items() if isinstance(value, float)} for row in rows]


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("simclr", {}),  # a ResNet: batch statistics over both processes
        ("clip", VIT | {"levers.micro_batch": 3}),
        ("lgslip", VIT),
        ("superclass", VIT | {"levers.small_size": 16, "image_size": 32, "optim.ema_decay": 0.9}),
    ],
)
def test_two_processes_have_the_losses_and_readings_of_one_with_the_joint_batch(
    recipe: str, changes: dict[str, object], catalog: Catalog, tmp_path: Path
):
    changes = {**changes, "steps": 6}
    alone = {name: value for name, value in changes.items() if name != "levers.micro_batch"}
    train(tiny_config(recipe, catalog.path, **alone), out=tmp_path / "one")
    run_in(2, recipe, catalog, tmp_path / "two", changes)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    for two, one in zip(readings(tmp_path / "two"), readings(tmp_path / "one"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)


def test_a_run_goes_on_in_another_number_of_processes(catalog: Catalog, tmp_path: Path):
    changes = {**VIT, "steps": 40, "checkpoint.every_minutes": 1e-9}  # a checkpoint after every step
    train(tiny_config("catlip", catalog.path, **changes), out=tmp_path / "whole")
    run = tmp_path / "mixed"
    for world, wanted in ((2, 10), (1, 25)):
        process = start(world, "catlip", catalog, run, changes, resume=True)
        stop_at(process, run, wanted)
    run_in(2, "catlip", catalog, run, changes, resume=True)
    np.testing.assert_allclose(losses(run), losses(tmp_path / "whole"), rtol=0, atol=1e-5)


def stop_at(process: subprocess.Popen[bytes], run: Path, step: int) -> None:
    """Ask a worker to stop, as a scheduler would, once the run has so many rows."""
    wait_for(process, run, step)
    assert process.poll() is None, process.communicate()[1].decode()[-3000:]
    for worker in psutil.Process(process.pid).children():
        worker.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert step <= len(train_rows(run)) < 40


def wait_for(process: subprocess.Popen[bytes], run: Path, step: int) -> None:
    while process.poll() is None and len(train_rows(run)) < step:
        time.sleep(0.01)


def train_rows(run: Path) -> list[bytes]:
    metrics = run / "metrics.jsonl"
    return [row for row in metrics.read_bytes().splitlines() if b'"train"' in row] if metrics.exists() else []


def check_kills(catalog: Catalog, tmp_path: Path, *, kills: int, steps: int) -> None:
    """Kill a worker again and again.

    A process that waited for a dead one, or for a dead attempt, would wait for `one_of_several.PATIENCE`,
    which is longer than pytest's own.
    """
    changes = {"steps": steps, "log_every": 1, "optim.ema_decay": 0.9, "checkpoint.every_minutes": 1e-9}
    run_in(2, "simclr", catalog, tmp_path / "whole", changes)
    run, chance = tmp_path / "killed", random.Random(kills)
    process = start(2, "simclr", catalog, run, changes, restarts=kills)
    assert process.stderr is not None
    # Read all the while: what twenty attempts say is more than a pipe holds, and who cannot write waits.
    errors = ThreadPoolExecutor(1).submit(process.stderr.read)
    marks = sorted(chance.sample(range(1, steps), kills))
    for mark in marks:
        wait_for(process, run, mark)
        workers = psutil.Process(process.pid).children()
        chance.choice(workers).kill()
        psutil.wait_procs(workers)
        while process.poll() is None and len(psutil.Process(process.pid).children()) < 2:
            time.sleep(0.01)
    assert process.wait() == 0, errors.result().decode()[-3000:]
    assert repeatable(run) == repeatable(tmp_path / "whole")
    assert weights_hash(run) == weights_hash(tmp_path / "whole")


def test_a_run_whose_processes_are_killed_ends_as_one_whose_were_not(catalog: Catalog, tmp_path: Path):
    check_kills(catalog, tmp_path, kills=3, steps=24)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_whose_processes_are_killed_twenty_times_ends_as_one_whose_were_not(
    catalog: Catalog, tmp_path: Path
):
    check_kills(catalog, tmp_path, kills=20, steps=60)


def test_a_second_trainer_in_several_processes_is_refused(catalog: Catalog, tmp_path: Path):
    changes = {"steps": 2000, "log_every": 1}
    first = start(2, "catlip", catalog, tmp_path / "run", changes)
    try:
        wait_for(first, tmp_path / "run", 1)
        second = start(2, "catlip", catalog, tmp_path / "run", changes)
        _, errors = second.communicate(timeout=120)
        assert second.returncode != 0
        assert "another process is training here" in errors.decode()
    finally:
        first.kill()
        for worker in psutil.process_iter():
            if str(tmp_path) in " ".join(_words_of(worker)):
                worker.kill()


def _words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
