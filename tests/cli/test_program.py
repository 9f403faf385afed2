"""The program as a process: its start, its help, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

from small_source import TINY

PROGRAM = [sys.executable, "-m", "synsight"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

VERBS = (
    "pilot",
    "sample",
    "ingest",
    "audit",
    "repair",
    "words",
    "pretrain",
    "embed",
    "evaluate",
    "sweep",
    "compare",
    "adapt",
    "explain",
    "slices",
    "card",
    "export",
    "distill",
    "serve",
    "monitor",
    "catalog",
)


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)


def test_help_lists_the_verbs_in_the_order_of_the_work():
    done = call("--help")
    assert done.returncode == 0
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ")]
    assert [word for word in listed if word in VERBS] == list(VERBS)


def test_version_is_the_packages():
    from importlib.metadata import version

    assert call("--version").stdout.strip() == version("synsight")


def test_neither_the_package_nor_its_help_imports_torch():
    code = (
        "import sys, synsight, synsight.cli\n"
        "heavy = {'torch', 'lance', 'pyarrow', 'matplotlib', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert callable(synsight.sample) and 'pilot' in dir(synsight)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=ENVIRONMENT)


def test_every_public_name_is_what_it_says():
    import synsight

    for name in synsight.__all__:
        assert getattr(synsight, name).__name__ == name


def test_ctrl_c_while_training_saves_and_the_same_run_goes_on_to_the_same_end(catalog, tmp_path):
    words = ["pretrain", "catlip", "--data", str(catalog), "--steps", "60", "--seed", "3", *TINY]
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*PROGRAM, *words, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not (metrics.exists() and metrics.stat().st_size > 200):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "--resume" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr

    resumed = call("pretrain", "--out", out, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["steps"] == 60
    straight = call(*words, "--out", tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr

    def rows(path):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        timed = ("_seconds", "_per_second", "_bytes")
        return [{name: row[name] for name in row if not name.endswith(timed)} for row in lines]

    assert rows(out) == rows(tmp_path / "straight")
