"""The real command: it starts, drains, swaps at a signal, and comes back after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from services import image, labelled, write_models

from synsight.cli import main
from synsight.data.catalog import Catalog
from synsight.deployment.serving.settings import ServeSettings
from synsight.deployment.serving.workers import listening
from synsight.models import load

SYNSIGHT = Path(sys.executable).with_name("synsight")


@contextmanager
def command(*words, **environment):
    """`synsight serve` in a process of its own: the process and a client, once it answers."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    process = subprocess.Popen(
        [SYNSIGHT, "serve", *map(str, words), "--port", "0", "--engine", "torch", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )
    lines: list[str] = []
    listening = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    listening.start()
    try:
        first = process.stdout.readline()
        assert first, "".join(lines)
        process.lines = lines
        with httpx.Client(base_url=json.loads(first)["url"], timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()
        listening.join(5)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("process"))


def test_an_answer_in_two_parts_does_not_wait_for_the_client_to_acknowledge_the_first():
    settings = ServeSettings(models={"model": Path("model")}, port=0)
    with listening(settings) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_signal_swaps_and_another_drains(own, tmp_path):
    labelled(["red", "green", "blue"], seed=1, scale=20).save_pretrained(tmp_path / "m")
    with command(tmp_path / "m", "--feedback", tmp_path / "fb") as (process, client):
        before = client.post("/predict", content=image()).json()["head"]["digest"]
        new = labelled(["one", "two"], seed=5, scale=20)
        new.save_pretrained(tmp_path / "m")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: client.post("/predict", content=image()).json()["head"]["digest"] == new.digest)
        assert before != new.digest
        answers = []
        body = client.build_request("POST", "/predict", content=image()).content

        def slow_body():
            yield body[:100]
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            yield body[100:]

        answers.append(client.post("/predict", content=slow_body()))  # begun before the signal
        assert answers[0].status_code == 200
        assert process.wait(120) == 0
        with pytest.raises(httpx.TransportError):
            client.get("/health")
    events = [json.loads(line)["event"] for line in process.lines]
    assert events[0] == "serving" and events[-1] == "ended" and "head in place" in events


def test_killed_and_started_again_it_has_every_verdict_that_it_answered(own, tmp_path):
    kept = []
    for number in range(2):
        with command(own / "colours", "--feedback", tmp_path / "fb") as (process, client):
            for _ in range(3):
                answer = client.post(
                    "/feedback", files={"file": image(number)}, data={"verdict": "right", "prediction": "red"}
                )
                kept.append(answer.json()["id"])
            process.kill()
    assert Catalog.open(tmp_path / "fb").table(["id"])["id"].to_pylist() == kept


@pytest.mark.slow
def test_two_workers_share_a_port_and_swap_together(own):
    token = "canary-of-the-environment-77"
    words = (own / "colours", "--workers", "2", "--heads", own / "heads")
    with command(*words, SYNSIGHT_TOKEN=token) as (process, client):
        client.headers["authorization"] = f"Bearer {token}"
        assert client.put("/heads/colours", json={"folder": "colours2"}).status_code == 200
        wanted = load(own / "heads" / "colours2").digest

        def all_swapped():
            seen = set()
            for _ in range(12):  # a connection each, so that both are met
                answer = httpx.post(client.base_url.join("/predict"), content=image(), headers=client.headers)
                seen.add(answer.json()["head"]["digest"])
            return seen == {wanted}

        wait_for(all_swapped)
        text = client.get("/metrics").text
        assert "synsight_serve_head_swaps_total" in text and 'route="/predict"' in text
        wait_for(lambda: len(workers(process)) == 2)
        os.kill(workers(process)[0], signal.SIGKILL)
        wait_for(lambda: any("worker died" in line for line in process.lines))
        wait_for(lambda: len(workers(process)) == 2)
        wait_for(all_swapped)  # the new one, too
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert token not in "".join(process.lines)


def workers(process):
    import psutil

    alive = psutil.Process(process.pid).children()
    mine = [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    return [one.pid for one in mine if any("spawn_main" in part for part in one.cmdline())]


def wait_for(true, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_command_refuses_in_one_sentence(own, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("SYNSIGHT_TOKEN", raising=False)
    for words, code, said in (
        (["serve"], 2, "serve needs a model"),
        (["serve", "nowhere", "--engine", "torch"], 1, "expected the config of a model folder"),
        (["serve", str(own / "colours"), "--host", "0.0.0.0"], 1, "needs a token"),
        (["serve", str(own / "colours"), "--in-flight", "0"], 1, "in_flight must be in 1..64"),
        (
            ["serve", str(own / "colours"), str(own / "heads/other"), "--port", "0"],
            1,
            "found another encoder",
        ),
        (["serve", str(own / "colours"), "--tokenfile", "x"], 2, "--token-file"),
    ):
        assert main(words) == code, words
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("synsight: error: ") and said in error
