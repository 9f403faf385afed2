"""A tiny run as one of the processes that torchrun starts.

Usage: torchrun --nproc-per-node W one_of_several.py RECIPE CATALOG RUN [SETTING=VALUE ...]
"""

import sys
from pathlib import Path

import torch
from tiny import tiny_config

from synsight.training import train


def main(recipe: str, catalog: str, run: str, *settings: str) -> None:
    torch.set_num_threads(1)
    changes = dict(setting.split("=", 1) for setting in settings if setting != "--resume")
    train(tiny_config(recipe, catalog, **changes), out=Path(run), resume="--resume" in settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
