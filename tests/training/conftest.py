"""One tiny catalog and one uninterrupted run of each method for the whole room."""

from pathlib import Path

import pytest
import torch
from tiny import make_catalog

from synsight.data.catalog import Catalog


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return make_catalog(tmp_path_factory.mktemp("data") / "cat")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")
