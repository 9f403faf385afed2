"""Many runs fit into one process: a run that has ended leaves nothing alive and no memory behind."""

import gc
import platform
from pathlib import Path

import psutil
import pytest
import torch
from tiny import tiny_config

from synsight.data.catalog import Catalog
from synsight.training import train
from synsight.training.memory import give_back


def alive() -> int:
    """Networks, their layers and tensors in this process."""
    kinds = (torch.nn.Module, torch.Tensor)
    return sum(issubclass(type(one), kinds) for one in gc.get_objects())


@pytest.mark.parametrize("recipe", ["simclr", "clip", "catlip"])
def test_a_run_leaves_no_network_and_no_tensor_behind(recipe: str, catalog: Catalog, tmp_path: Path):
    config = tiny_config(recipe, catalog.path, steps=2)
    train(config, out=tmp_path / "first")  # what is loaded once in a process, is loaded
    gc.collect()
    before = alive()
    gc.disable()  # nor does it wait for the collector, which may come much later
    try:
        train(config, out=tmp_path / "second")
        assert alive() == before
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be told to")
def test_memory_that_was_freed_in_pieces_goes_back_to_the_system():
    pieces = [bytes([1]) * 5000 for _ in range(20_000)]
    last = pieces[-1]  # lies behind the others, so that they do not go back by themselves
    del pieces
    before = psutil.Process().memory_info().rss
    give_back()
    assert before - psutil.Process().memory_info().rss > 50_000_000, len(last)
