"""What the tests of this folder share."""

import pytest

from explanation.small_explained import worded_catalog


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    return worded_catalog(tmp_path_factory.mktemp("explained") / "cat")
