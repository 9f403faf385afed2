"""The page that leads from images to a service and back, line by line, in small."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pyarrow.parquet as pq
from test_commands import ROOT, SMALL, fenced, place, small_sample

from synsight.cli import main
from synsight.data.catalog import Catalog
from synsight.files import read_json
from synsight.models import load

__all__ = ["place", "small_sample"]
PAGE = ROOT / "docs" / "walk-through.md"
DRIFT = 3
JUDGED = 60


def lines() -> list[list[str]]:
    text = "".join(fenced(PAGE, "console")).replace("\\\n", " ")
    return [shlex.split(line[2:]) for line in text.splitlines() if line.startswith("$ ")]


def test_the_walk_through_runs_line_by_line(place: Path, monkeypatch):
    monkeypatch.chdir(place)
    rows = [row for row in pq.read_table("emoji.parquet").to_pylist() if row["split"] == "test"]
    Path("photo.webp").write_bytes(rows[0]["image"])
    served, client = None, None
    try:
        for words in lines():
            if words[:2] == ["synsight", "serve"]:
                served, client = started(words)
                continue
            if words[0] == "curl":
                answer = curl(
                    [
                        word.replace("http://127.0.0.1:8000", str(client.base_url).rstrip("/"))
                        for word in words
                    ]
                )
                assert "request_id" in answer or "id" in answer
                continue
            if words[1] == "monitor":
                judge(client, rows[:JUDGED])
            expected = (0, DRIFT) if words[1] == "monitor" else (0,)
            assert main(in_small(words[1:])) in expected, shlex.join(words)
    finally:
        if served is not None:
            served.terminate()
            assert served.wait(60) == 0
    check_what_is_left(len(rows[:JUDGED]))


def in_small(words: list[str]) -> list[str]:
    if words[:2] == ["pilot", "emoji"]:
        words[1] = "emoji.parquet"
    return words + [
        part for flag, *value in SMALL.get(words[0], []) if flag not in words for part in (flag, *value)
    ]


def started(words: list[str]) -> tuple[subprocess.Popen[str], httpx.Client]:
    words = [word for word in words[1:] if word != "&"]
    words[words.index("--port") + 1] = "0"
    served = subprocess.Popen(
        [sys.executable, "-m", "synsight", *words, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert served.stdout is not None
    url = httpx.Response(200, text=served.stdout.readline()).json()["url"]
    return served, httpx.Client(base_url=url, timeout=60)


def curl(words: list[str]) -> dict[str, object]:
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, object] = httpx.Response(200, text=done.stdout).json()
    return found


def judge(client: httpx.Client, rows: list[dict[str, object]]) -> None:
    """As people would: right where the prediction is the truth, else wrong with the right name."""
    for row in rows:
        answer = posted(client, "/predict", content=row["image"])
        shown = answer["predictions"][0]["name"]
        form = {"verdict": "right" if shown == row["category"] else "wrong", "prediction": shown}
        form |= {"label": row["category"], "request_id": answer["request_id"]}
        posted(client, "/feedback", data=form, files={"file": ("image", row["image"])})


def posted(client: httpx.Client, path: str, **body) -> dict:
    """The answer; a service at its limit asks to come again, and gets that."""
    for _ in range(50):
        answer = client.post(path, **body)
        if answer.status_code != 503:
            break
        time.sleep(0.2)
    assert answer.is_success, answer.text
    return answer.json()


def check_what_is_left(judged: int) -> None:
    first, following = load("model"), load("next")
    assert first.vocabulary is not None
    assert following.vocabulary is not None, "the words stay through two adaptations"
    assert following.class_names == ["animals-nature", "food-drink"]
    verdicts = Catalog.open("verdicts")
    assert verdicts.count_rows() == judged + 1
    assert read_json(Path("watch/drift.json"))["verdict"] in ("none", "watch", "drift")
    assert {"model.onnx", "manifest.json"} <= {one.name for one in Path("deployed").iterdir()}
    pages = [*Path("explained").glob("*.html"), *Path("card").glob("*.html"), Path("pilot/report.html")]
    assert len(pages) >= 3
    assert all(page.stat().st_size > 1000 for page in pages)
