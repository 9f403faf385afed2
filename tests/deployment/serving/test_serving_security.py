"""Who may ask, from where, and what is told about it."""

import io
import json
import logging
import re
import time

import httpx
import pytest
from services import TOKEN, error_of, image, raw, serving

from synsight.deployment.serving import serve
from synsight.deployment.serving.logs import set_up_logs
from synsight.deployment.serving.settings import (
    ServeSettings,
    host_names,
    is_loopback,
    named_folders,
    read_token,
)
from synsight.errors import ConfigError, UsageError

PATHS = ["/predict", "/embed", "/words", "/similar", "/explain", "/feedback"]


@pytest.fixture(scope="module")
def guarded(models):
    """A service with a token, whose lines of log are kept."""
    lines = io.StringIO()
    set_up_logs(lines)
    with serving(models, token=TOKEN, heads=models / "heads") as found:
        found.lines = lines
        yield found


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_without_the_token_nothing_is_answered(guarded, given):
    headers = {} if given is None else {"authorization": given.encode()}
    with httpx.Client(base_url=guarded.base_url) as stranger:
        for path in PATHS:
            answer = stranger.post(path, content=image(), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in error_of(answer)
        for path in ("/heads", "/metrics", "/openapi.json", "/nothing"):
            assert stranger.get(path, headers=headers).status_code == 401
        assert stranger.put("/heads/x", json={"folder": "hours"}, headers=headers).status_code == 401


def test_with_the_token_all_is_answered_and_the_page_needs_none(guarded):
    assert guarded.post("/predict", content=image()).status_code == 200
    assert guarded.get("/openapi.json").json()["info"]["title"] == "synsight"
    with httpx.Client(base_url=guarded.base_url) as stranger:
        for path in ("/", "/health", "/page/page.js", "/page/style.css", "/page/ja.json"):
            assert stranger.get(path).status_code == 200


def test_the_token_is_compared_in_constant_time(guarded, monkeypatch):
    import synsight.deployment.serving.gate as gate

    compared = []
    monkeypatch.setattr(
        gate.hmac, "compare_digest", lambda one, other: (compared.append((one, other)), one == other)[1]
    )
    assert guarded.get("/heads").status_code == 200
    assert guarded.get("/heads", headers={"authorization": "Bearer x"}).status_code == 401
    assert [len(part) for pair in compared for part in pair] == [32, 32, 32, 32]


def test_the_log_tells_of_requests_and_never_of_tokens_names_or_bodies(guarded):
    canary = "canary-in-the-client"
    form = {"file": (f"{canary}.png", image(), "image/png")}
    guarded.post("/predict", files=form)
    guarded.post(f"/predict?{canary}=1", content=image())
    guarded.post("/predict", content=canary.encode())
    guarded.get(f"/{canary}", headers={"user-agent": canary, "x-request-id": f"{canary} {canary}"})
    guarded.post("/predict", content=image(), headers={"authorization": f"Bearer {canary}"})
    guarded.put("/heads/hours", json={"folder": "hours"})
    guarded.request(canary.upper(), "/health")
    with raw(guarded) as connection:
        connection.sendall(f"{canary}\r\n\r\n".encode())
        connection.recv(1_000)
    guarded.get("/health", headers={"x-request-id": "mine-7"})
    time.sleep(0.2)
    text = guarded.lines.getvalue()
    assert TOKEN not in text
    assert canary not in text.lower()
    lines = [json.loads(line) for line in text.splitlines()]
    last = [one for one in lines if one["event"] == "request"][-1]
    assert {one["event"] for one in lines} >= {"request", "head in place"}
    assert (last["request_id"], last["route"], last["status"]) == ("mine-7", "/health", 200)
    assert all(
        re.fullmatch(r"[0-9a-f]{32}|mine-7", one["request_id"]) for one in lines if "request_id" in one
    )


def test_no_answer_holds_the_token(guarded):
    for path in ("/", "/health", "/heads", "/metrics", "/openapi.json"):
        assert TOKEN not in guarded.get(path).text
    assert TOKEN not in repr(ServeSettings(models={"m": "m"}, token=TOKEN))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(client, host):
    assert client.post("/embed", content=image(), headers={"host": host}).status_code in (400, 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_a_page_of_another_site_is_refused(client, origin):
    answer = client.post("/embed", content=image(), headers={"origin": origin})
    assert answer.status_code == 403
    assert "another site" in error_of(answer)
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    assert client.post("/embed", content=image(), headers={"origin": own}).status_code == 200


def test_every_answer_says_what_a_browser_may_do(client):
    for answer in (client.get("/"), client.get("/nothing"), client.post("/embed", content=b"x")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.nip.io"])
def test_a_public_address_needs_a_token(models, host, monkeypatch):
    monkeypatch.delenv("SYNSIGHT_TOKEN", raising=False)
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="needs a token: give --token-file"):
        serve(models / "colours", host=host)
    ServeSettings(models={"m": models}, host=host, token=TOKEN)


def test_loopback_is_this_machine_alone():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert ServeSettings(models={"m": "m"}).host == "127.0.0.1"
    assert host_names("::1")[-1] == "[::1]"


def test_heads_cannot_be_changed_without_a_token(models):
    with pytest.raises(ConfigError, match="who may change heads must bring a token"):
        ServeSettings(models={"m": models}, heads=models / "heads")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as refused:
        read_token(path)
    assert TOKEN not in str(refused.value)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    monkeypatch.setenv("SYNSIGHT_TOKEN", "another-token-of-16")
    assert read_token(path) == TOKEN
    assert read_token(None) == "another-token-of-16"
    monkeypatch.delenv("SYNSIGHT_TOKEN")
    assert read_token(None) is None


@pytest.mark.parametrize("text", ["", "short", "with a space in it, long", "ü" * 20, "x" * 1_001])
def test_a_weak_token_is_refused_and_not_shown(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="expected a token of 16 to 1,000 visible ASCII") as refused:
        read_token(path)
    assert not text or text not in str(refused.value)


def test_heads_have_the_names_of_their_folders_or_given_ones(tmp_path):
    found = named_folders([str(tmp_path / "a"), f"day={tmp_path / 'a'}"])
    assert found == {"a": tmp_path / "a", "day": tmp_path / "a"}
    with pytest.raises(UsageError, match="two heads of one name"):
        named_folders([str(tmp_path / "a"), str(tmp_path / "b" / "a")])
    with pytest.raises(UsageError, match="other letters"):
        named_folders([str(tmp_path / "a b")])


def test_broken_forms_do_not_fill_the_log(guarded, caplog):
    before = len(guarded.lines.getvalue().splitlines())
    body = b"--b\r\nContent-Disp[osition: x\r\n\r\n1\r\n--b--"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert guarded.post("/predict", content=body, headers=kind).status_code == 422
    time.sleep(0.2)
    (line,) = guarded.lines.getvalue().splitlines()[before:]
    assert json.loads(line)["event"] == "request"
    assert {one.name for one in caplog.records} <= {"synsight.serving"}  # nor does a library write beside it


def test_logs_go_nowhere_else(guarded):
    assert not logging.getLogger("synsight.serving").propagate
