"""A tiny run as one of the processes that torchrun starts.

Usage: torchrun --nproc-per-node W one_of_several.py RECIPE CATALOG RUN [SETTING=VALUE ...]
"""

import sys
from datetime import timedelta
from pathlib import Path

import torch
from tiny import tiny_config

from synsight import distributed
from synsight.training import train

PATIENCE = timedelta(days=1)
"""Of a collective operation: who waits for a dead process does not get away with it on a fast machine."""


def main(recipe: str, catalog: str, run: str, *settings: str) -> None:
    torch.set_num_threads(1)
    distributed.TIMEOUT = PATIENCE
    changes = dict(setting.split("=", 1) for setting in settings if setting != "--resume")
    train(tiny_config(recipe, catalog, **changes), out=Path(run), resume="--resume" in settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
