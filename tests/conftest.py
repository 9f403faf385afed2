"""What tests of several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MINUTES_EACH = (
    "training/test_processes.py",
    "training/test_sharding.py",
    "workflow/test_pilot.py",
    "docs/test_commands.py",
)
"""Few tests that take long: begun last, one of them would run on alone when all others are over."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; all else in the usual order."""
    items.sort(key=lambda item: not str(item.path.as_posix()).endswith(MINUTES_EACH))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A runner on a real Ray cluster of this machine, two chunks at once.

    One for all tests of a process, since Ray reads its token once.
    """
    pytest.importorskip("ray.data", reason="ray is not installed")
    import ray

    from synsight.ray_data import RayRunner

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path_factory.mktemp("token") / "auth_token"))
        yield RayRunner(workers=2)
        ray.shutdown()
