"""What the tests of this folder share."""

import pytest
from huggingface_hub import constants


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """An empty cache of the Hugging Face hub, and no network; returns the cache's folder."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"
