"""Small services for the tests of this folder, answering on a real local port."""

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image

from models.small_models import encoded, picture, small_catalog, small_model
from synsight.deployment.serving.running import server_of
from synsight.deployment.serving.service import Service, open_service
from synsight.deployment.serving.settings import ServeSettings
from synsight.models import Model, linear_head

TOKEN = "canary-5f0c9a7be1d24c3f"


def image(number: int = 3, kind: str = "png", **size: int) -> bytes:
    out = io.BytesIO()
    picture(number, **size).save(out, kind)
    return out.getvalue()


def labelled(names: list[str], *, seed: int, scale: float = 1.0) -> Model:
    """The small model with words, and a head of labels beside them."""
    model = small_model("words")
    torch.manual_seed(seed)
    head = linear_head(model.config.embedding_dim, len(names))
    with torch.no_grad():
        head.weight.mul_(scale)
    return model.adapted(head, names, method="adapt:test")


def write_models(root: Path) -> Path:
    """colours/, heads/hours/, heads/colours2/, heads/other/ (of another encoder), heads/broken/, and cat/."""
    labelled(["red", "green", "blue"], seed=1, scale=20).save_pretrained(root / "colours")
    heads = root / "heads"
    heads.mkdir()
    labelled(["day", "night"], seed=2, scale=20).save_pretrained(heads / "hours")
    labelled(["rot", "grün", "blau"], seed=3, scale=20).save_pretrained(heads / "colours2")
    small_model("labels", encoder="test_resnet").save_pretrained(heads / "other")
    (heads / "broken").mkdir()
    (heads / "broken" / "config.json").write_text("{")
    small_catalog(root / "cat", rows=12)
    return root


@contextmanager
def answering(service: Service) -> Iterator[str]:
    """The URL of a service on a port of its own, drained at the end."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = server_of(service, in_thread=True)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def serving(root: Path, **more: Any) -> Iterator[httpx.Client]:
    """A client of a service of colours/, by torch unless said; the ONNX file is shared by all tests."""
    work = root / "work"
    work.mkdir(exist_ok=True)
    settings = ServeSettings(**{"models": {"colours": root / "colours"}, "engine": "torch", **more})
    with answering(open_service(settings, work=work)) as url:
        headers = {} if settings.token is None else {"authorization": f"Bearer {settings.token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            yield client


def raw(client: httpx.Client) -> socket.socket:
    """A connection on which a test writes bytes of its own."""
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)


def answer_of(connection: socket.socket) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, JSON and headers of what comes back."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, json.loads(body), headers


def error_of(response: httpx.Response) -> str:
    """The one sentence of a refusal."""
    body = response.json()
    assert list(body) == ["error"], body
    assert isinstance(body["error"], str) and len(body["error"]) > 20 and "\n" not in body["error"]
    return body["error"]


__all__ = ["Image", "encoded", "picture"]
