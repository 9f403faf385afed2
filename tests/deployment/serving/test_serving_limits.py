"""Too much, too slow, broken: each is refused in one sentence, and the next client is served."""

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from services import answer_of, answering, error_of, image, raw, serving

from data.pictures import bomb
from synsight.deployment.serving.limits import Limits
from synsight.deployment.serving.service import open_service
from synsight.deployment.serving.settings import ServeSettings
from synsight.errors import ConfigError

QUICK = Limits(body_bytes=100_000, body_seconds=1.0, header_seconds=1.0, waiting_bytes=250_000)


@pytest.fixture(scope="module")
def quick(models):
    """A service with small limits."""
    with serving(models, limits=QUICK) as found:
        yield found


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(quick):
    with raw(quick) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100001\r\n\r\n")
        status, body, _ = answer_of(connection)
    assert status == 413
    assert body == {"error": "expected a body of at most 100,000 bytes, found more; shrink the image first."}


def test_a_body_that_announces_nothing_is_refused_when_it_is_too_much(quick):
    with raw(quick) as connection:
        connection.sendall(b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")  # never ended
        status, body, _ = answer_of(connection)
    assert status == 413
    assert "at most 100,000 bytes" in body["error"]
    assert quick.post("/embed", content=image()).status_code == 200


def test_the_real_limit_is_ten_megabytes(client):
    answer = client.post("/predict", content=bytes(10_000_001))
    assert (answer.status_code, "10,000,000" in error_of(answer)) == (413, True)
    answer = client.post("/predict", content=bytes(9_999_999))
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"hello", "something else"),
        (b"<svg onload=alert(1)>", "SVG"),
        (image(kind="jpeg")[:-40], "its end is missing"),
        (image()[:60] + b"\xff" + image()[61:], "broken"),
        (bomb(8_000), "64,000,000 pixels|8,000 x 8,000"),
    ],
    ids=["nothing", "text", "svg", "cut", "flipped", "bomb"],
)
def test_what_is_no_image_is_refused_in_one_sentence(client, data, reason):
    answer = client.post("/predict", content=data)
    assert answer.status_code == 422
    assert any(one in error_of(answer) for one in reason.split("|")), answer.text


def test_a_strip_is_refused_whose_shorter_side_would_be_blown_up(client):
    out = io.BytesIO()
    Image.fromarray(np.zeros((1, 60_000, 3), np.uint8)).save(out, "png")
    answer = client.post("/embed", content=out.getvalue())
    assert answer.status_code == 422
    assert "found 60,000 x 1" in error_of(answer)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--b--",
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"a" * 5_000 + b": b\r\n\r\nx\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * 5_000 + b"\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            13 * b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' + b"--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            2 * b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n1\r\n'
            + b"--b--\r\n",
        ),
    ],
)
def test_a_broken_or_greedy_form_is_refused_in_one_sentence(client, kind, body):
    answer = client.post("/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == 422
    assert "file" in error_of(answer)


@pytest.mark.parametrize("query", ["tops=3", "top=0", "top=x", "top=1&Top=2", "head=", "top=1&x"])
def test_an_unknown_or_wrong_parameter_is_refused(client, query):
    answer = client.post(f"/predict?{query}", content=image())
    assert answer.status_code == 422
    error_of(answer)


def test_wrong_routes_and_methods_are_refused_in_one_sentence(client):
    assert (client.get("/nothing").status_code, client.get("/predict").status_code) == (404, 405)
    error_of(client.get("/nothing"))
    error_of(client.get("/predict"))


def test_what_is_no_http_is_refused_as_json(client):
    with raw(client) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, body, _ = answer_of(connection)
    assert (status, list(body)) == (400, ["error"])


def test_a_body_that_dawdles_is_given_up(quick):
    with raw(quick) as connection:
        connection.sendall(b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000\r\n\r\nx")
        status, body, headers = answer_of(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert connection.recv(1) == b""
    assert "within 1 s" in body["error"]


def test_connections_that_never_ask_are_closed_and_disturb_nobody(quick):
    idle = [raw(quick) for _ in range(100)]
    for number, connection in enumerate(idle):
        connection.sendall(b"POST /predict HTTP/1.1\r\nX-Slow: "[: 1 + number % 20])
    assert quick.post("/embed", content=image()).status_code == 200
    for connection in idle:
        connection.settimeout(20)
        assert connection.recv(1) == b""
        connection.close()


def test_a_refused_body_that_goes_on_is_cut_off(quick):
    with raw(quick) as connection:
        connection.sendall(b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000000\r\n\r\n")
        assert answer_of(connection)[0] == 413
        with pytest.raises(OSError):
            for _ in range(2_000):
                connection.sendall(bytes(1_000))
                time.sleep(0.005)


def test_more_connections_than_allowed_are_closed_at_once(models):
    with serving(models, limits=Limits(connections=5)) as client:
        held = [raw(client) for _ in range(5)]
        time.sleep(0.2)
        with raw(client) as sixth, pytest.raises(ConnectionResetError):
            sixth.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            if sixth.recv(1) == b"":
                raise ConnectionResetError
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert client.get("/health").status_code == 200


def test_bodies_that_together_are_too_much_are_refused(quick):
    waiting = []
    for _ in range(3):
        connection = raw(quick)
        connection.sendall(b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99000\r\n\r\n")
        connection.sendall(bytes(90_000))
        waiting.append(connection)
    statuses = {answer_of(connection)[0] for connection in waiting}
    assert statuses == {503, 408}
    assert quick.post("/embed", content=image()).status_code == 200


@pytest.fixture
def slow(models, tmp_path):
    """A service of two slots whose encoder waits for a sign; and the sign."""
    settings = ServeSettings(
        models={"colours": models / "colours"},
        engine="torch",
        limits=Limits(in_flight=2, request_seconds=1.5),
    )
    service, sign = open_service(settings, work=tmp_path), threading.Event()
    run = service.engine.run
    service.engine.run = lambda pixels: (sign.wait(20), run(pixels))[1]
    with answering(service) as url:
        yield url, sign
        sign.set()


def test_beyond_the_slots_is_503_with_retry_after_and_then_all_is_well(slow):
    import httpx

    url, sign = slow
    with httpx.Client(base_url=url, timeout=20) as client, ThreadPoolExecutor(2) as others:
        first = [others.submit(client.post, "/embed", content=image(n)) for n in range(2)]
        time.sleep(0.5)
        refused = client.post("/predict", content=image())
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert error_of(refused) == "expected at most 2 requests at once, found more; send it again in 1 s."
        assert client.get("/health").status_code == 200
        assert "synsight_serve_requests_in_flight 2.0" in client.get("/metrics").text
        sign.set()
        assert [one.result().status_code for one in first] == [200, 200]
        assert client.post("/predict", content=image()).status_code == 200


def test_an_answer_that_takes_too_long_is_503_and_keeps_its_slot_until_it_is_done(slow):
    import httpx

    url, sign = slow
    with httpx.Client(base_url=url, timeout=20) as client, ThreadPoolExecutor(2) as others:
        late = [one.result() for one in [others.submit(client.post, "/embed", content=image()) for _ in "ab"]]
        assert [one.status_code for one in late] == [503, 503]
        assert "within 1.5 s" in error_of(late[0])
        assert client.post("/embed", content=image()).status_code == 503
        sign.set()
        time.sleep(0.5)
        assert client.post("/embed", content=image()).status_code == 200


def test_a_client_that_leaves_gives_its_slot_back(slow):
    import httpx

    url, sign = slow
    with httpx.Client(base_url=url, timeout=20) as client:
        for _ in range(2):
            connection = raw(client)
            body = image()
            head = f"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            time.sleep(0.2)
            connection.close()
        sign.set()
        time.sleep(0.5)
        assert "synsight_serve_requests_in_flight 0.0" in client.get("/metrics").text
        assert client.post("/embed", content=image()).status_code == 200


def test_limits_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"in_flight must be in 1..64"):
        Limits(in_flight=0)
    with pytest.raises(ConfigError, match=r"request_seconds must be > 0"):
        Limits(request_seconds=0)


def test_a_defect_is_answered_in_one_sentence_without_its_reason(models, tmp_path):
    settings = ServeSettings(models={"colours": models / "colours"}, engine="torch")
    service = open_service(settings, work=tmp_path)

    def fail(pixels):
        raise RuntimeError("/secret/path")

    service.engine.run = fail
    import httpx

    with answering(service) as url, httpx.Client(base_url=url) as client:
        answer = client.post("/embed", content=image())
        assert answer.status_code == 500
        assert "/secret" not in answer.text
        assert answer.headers["x-request-id"] in error_of(answer)
        assert json.loads(client.get("/health").text)["status"] == "ok"
