"""Captions from an OpenAI-compatible endpoint: a real local server, its moods, and what is sent to it."""

import base64
import contextlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from PIL import Image

from synsight.curation.repair.endpoint import EndpointCaptioner
from synsight.curation.repair.repairing import repair
from synsight.data.catalog import Catalog, Commit
from synsight.errors import ConfigError, ModelError
from synsight.models.prompting import Answer
from tiny_captioners import COLOURS, square

KEY = "canary-key-7f3a"


class Server:
    """Answers with what `moods` hold, one after the other, then as `answer` says; keeps what it was sent."""

    def __init__(self) -> None:
        self.moods: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with outer.lock:
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.requests.append(json.loads(body))
                    outer.paths.append(self.path)
                    outer.headers.append(dict(self.headers))
                    status, headers, answer = outer.moods.pop(0) if outer.moods else (200, {}, b"")
                answer = answer or outer.answer(outer.requests[-1])
                with outer.lock:
                    outer.at_once -= 1
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request: dict) -> bytes:
        """The colour of the image that was sent."""
        return said(f"a {colour_of(request)} square")


def said(text: object) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def image_of(request: dict) -> Image.Image:
    url = request["messages"][0]["content"][1]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def colour_of(request: dict) -> str:
    red, green, blue = image_of(request).resize((1, 1)).getpixel((0, 0))
    return (
        "yellow"
        if min(red, green) > 120
        else ["red", "green", "blue"][max(range(3), key=[red, green, blue].__getitem__)]
    )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def captioner(server: Server, **more: object) -> EndpointCaptioner:
    return EndpointCaptioner(**{"url": server.url, "model": "tiny", "first_wait": 0.01, "retries": 2, **more})


def test_each_image_is_sent_once_and_its_caption_comes_back(server, monkeypatch):
    monkeypatch.setenv("SYNSIGHT_ENDPOINT_KEY", KEY)
    answers = captioner(server)([square("red"), b"junk", square("blue")], [None, None, "a blue\nthing"])
    assert answers == [Answer("a red square"), Answer(None, "not_an_image"), Answer("a blue square")]
    assert server.paths == ["/v1/chat/completions"] * 2
    assert server.requests[0]["model"] == "tiny"
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    texts = [one["messages"][0]["content"][0]["text"] for one in server.requests]
    assert "JSON" not in texts[0]
    assert texts[1].endswith('"a blue thing"')


def test_the_photographers_metadata_stays_at_home(server):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken by Jane Doe"
    Image.new("RGB", (2500, 100), "red").save(file, "jpeg", exif=exif)
    captioner(server)([file.getvalue()], [None])
    sent = image_of(server.requests[0])
    assert sent.size == (1024, 41)
    assert not sent.getexif()


def test_what_passes_is_tried_again(server):
    server.moods = [(503, {}, b"busy"), (429, {"Retry-After": "0.01"}, b"slow down")]
    assert captioner(server)([square("red")], [None]) == [Answer("a red square")]
    assert len(server.requests) == 3


def test_what_does_not_pass_ends_in_one_sentence_without_the_key(server, monkeypatch):
    monkeypatch.setenv("OWN_KEY", KEY)
    server.moods = [(500, {}, b"broken")] * 3
    with pytest.raises(ModelError, match=r"answered 500 \(broken\); the captions so far are saved") as raised:
        captioner(server, key_variable="OWN_KEY", url=server.url + "?key=" + KEY)([square("red")], [None])
    assert KEY not in str(raised.value)
    server.moods = [(401, {}, b"no such key")]
    with pytest.raises(ModelError, match="put a valid key into the environment variable"):
        captioner(server)([square("red")], [None])
    assert len(server.requests) == 4  # a wrong key is not tried again


def test_nobody_at_home_and_an_answer_that_never_comes(server):
    gone = captioner(server, url="http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match="could not be reached"):
        gone([square("red")], [None])
    server.answer = lambda request: threading.Event().wait(1) or b"{}"
    with pytest.raises(ModelError, match="timed out"):
        captioner(server, timeout=0.1, retries=1)([square("red")], [None])


def test_an_image_that_the_provider_refuses_costs_itself_only(server):
    server.moods = [(400, {}, b"content policy")]
    answers = captioner(server)([square("red"), square("green")], [None, None])
    assert answers == [Answer(None, "refused_400"), Answer("a green square")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "empty"),
        (b"[]", "empty"),
        (b'{"choices": []}', "empty"),
        (said(None), "empty"),
        (said(["a"]), "empty"),
        (b"[" * 100_000, "empty"),
        (said("a dog\nrm -rf /"), "several_lines"),
        (said('{"path": "/etc"}'), "no_caption"),
        (said("x " * 2_000_000), "empty"),  # cut off at a megabyte, so no JSON
    ],
)
def test_an_answer_of_another_form_is_no_caption(server, answer, reason):
    server.moods = [(200, {}, answer)]
    assert captioner(server)([square("red")], [None]) == [Answer(None, reason)]


def test_a_redirect_is_not_followed_so_that_images_go_nowhere_else(server):
    other = Server()
    server.moods = [(307, {"Location": other.url}, b"over there")]
    with pytest.raises(ModelError, match="answered 307"):
        captioner(server)([square("red")], [None])
    assert other.requests == []
    other.http.shutdown()
    other.http.server_close()


def test_the_environments_proxy_is_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert captioner(server)([square("red")], [None]) == [Answer("a red square")]


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://host/v1", "file:///v1", "http://u:p@host/v1", "http://[::1", "http:///v1"],
)
def test_another_kind_of_url_is_refused_at_once(url):
    with pytest.raises(ConfigError, match="expected an endpoint as https://HOST/v1"):
        EndpointCaptioner(url=url, model="x")


def test_a_key_does_not_cross_the_network_in_the_clear(monkeypatch):
    monkeypatch.setenv("SYNSIGHT_ENDPOINT_KEY", KEY)
    with pytest.raises(ConfigError, match="would cross the network in the clear"):
        EndpointCaptioner(url="http://10.0.0.5/v1", model="x")
    EndpointCaptioner(url="http://localhost:8000/v1", model="x")
    EndpointCaptioner(url="https://host/v1", model="x")
    monkeypatch.delenv("SYNSIGHT_ENDPOINT_KEY")
    EndpointCaptioner(url="http://10.0.0.5/v1", model="x")


def test_a_model_must_be_named():
    with pytest.raises(ConfigError, match="--endpoint-model"):
        EndpointCaptioner(url="https://host/v1", model="")


def catalog_without_captions(path, rows: int) -> list[str]:
    colours = [list(COLOURS)[n % 4] for n in range(rows)]
    batch = pa.record_batch(
        {
            "id": [f"id{n}" for n in range(rows)],
            "image": pa.array([square(one, seed=n) for n, one in enumerate(colours)], pa.binary()),
            "caption": pa.array([None] * rows, pa.string()),
        }
    )
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return [f"a {one} square" for one in colours]


def test_repair_asks_the_endpoint_once_an_image_and_never_too_much_at_a_time(server, tmp_path):
    expected = catalog_without_captions(tmp_path / "cat", 40)
    summary = repair(tmp_path / "cat", endpoint=server.url, endpoint_model="tiny", concurrency=3)
    assert (
        Catalog.open(tmp_path / "cat").table(["caption_repaired"])["caption_repaired"].to_pylist() == expected
    )
    assert summary.origins == {"captioner:tiny": 40}
    assert len(server.requests) == 40
    assert 1 < server.most_at_once <= 3


def test_an_endpoint_that_fails_half_way_keeps_what_it_said(server, tmp_path, monkeypatch):
    expected = catalog_without_captions(tmp_path / "cat", 40)
    answer, allowed = server.answer, 20

    def failing(request: dict) -> bytes:
        if len(server.requests) > allowed:
            server.moods = [(402, {}, b"no credit left")] * 99
        return answer(request)

    server.answer = failing
    with pytest.raises(ModelError, match=r"answered 402 \(no credit left\)"):
        repair(tmp_path / "cat", endpoint=server.url, endpoint_model="tiny", concurrency=1)
    server.answer, server.moods = answer, []
    before = len(server.requests)
    repair(tmp_path / "cat", endpoint=server.url, endpoint_model="tiny", concurrency=1)
    assert len(server.requests) - before <= 24
    assert (
        Catalog.open(tmp_path / "cat").table(["caption_repaired"])["caption_repaired"].to_pylist() == expected
    )
