"""What one of two gloo processes reads; started by test_monitor.py.

Usage: python monitor_process.py CATALOG OUT, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from test_monitor import Speaking, colours, config_of

from synsight.data.catalog import Catalog
from synsight.distributed import close_world, open_world
from synsight.training.monitor import build_monitor
from synsight.training.readings import to_numbers


def main(data: str, out: Path) -> None:
    torch.set_num_threads(1)
    world, catalog = open_world(), Catalog.open(data)
    monitor, _ = build_monitor(
        config_of(catalog, **{"monitor.val_rows": 31}), catalog, rows=None, world=world
    )
    assert monitor is not None
    method = Speaking(colours(), embedding_dim=12)
    reading = monitor.look(method, device=torch.device("cpu"), autocast=nullcontext())
    numbers = to_numbers(reading, rows=31)
    save_file({"reading": np.ascontiguousarray(numbers)}, out / f"rank{world.rank}.safetensors")
    close_world(world)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
