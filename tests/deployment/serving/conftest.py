"""What the tests of this folder share."""

import pytest

for package in ("fastapi", "uvicorn", "onnxruntime", "prometheus_client", "python_multipart", "httpx"):
    pytest.importorskip(package)

from services import serving, write_models  # noqa: E402


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(models):
    """A service with a reference and without a token."""
    with serving(models, reference=models / "cat") as found:
        yield found
