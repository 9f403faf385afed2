"""Nothing phones home: what some libraries would send of themselves is not sent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import synsight

SOURCES = Path(synsight.__file__).parent
OPENVINO = """
import socket, sys

def refuse(*_, **__):
    raise SystemExit("a connection was opened")

socket.socket.connect = refuse
from synsight.deployment.without_reports import import_openvino

openvino = import_openvino(purpose="a test")
assert openvino.Core().available_devices
sender = sys.modules["openvino.tools.ovc.telemetry_utils"]
assert sender.tm.__name__.endswith("telemetry_stub"), sender.tm
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""
ONNXRUNTIME = """
import os, sys

assert "onnxruntime" not in sys.modules
from synsight.deployment.without_reports import import_onnxruntime

import_onnxruntime(purpose="a test")
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
"""


@pytest.mark.parametrize(("package", "program"), [("openvino", OPENVINO), ("onnxruntime", ONNXRUNTIME)])
def test_it_is_imported_without_the_part_that_reports(package, program):
    pytest.importorskip(package)
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nobody_imports_them_but_here():
    """What reports must be silenced before it is imported for the first time in a process."""
    for path in sorted(SOURCES.rglob("*.py")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        plain = [line for line in lines if line in ("import onnxruntime", "import openvino")]
        if path.name == "without_reports.py" or path.parent.name == "standalone":
            assert len(plain) in (0, 2), path  # each of them silences what it imports
        else:
            assert not plain, path


RESOLVER = """
import socket, sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    question, asker = server.recvfrom(4096)
    print(question[12:60], flush=True)
    server.sendto(question[:2] + b"\\x81\\x83" + question[4:6] + bytes(6) + question[12:], asker)
"""
WAITING = (
    "import time; from synsight.deployment.without_reports import {name} as f; f(purpose='x'); time.sleep(40)"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["import_onnxruntime", "import_openvino"])
def test_no_name_is_looked_up_within_40_seconds(name, tmp_path):
    """S6: a network namespace that has nothing but a resolver, which writes down what it is asked."""
    address = next(
        (
            line.split()[1]
            for line in Path("/etc/resolv.conf").read_text().splitlines()
            if line.startswith("nameserver")
        ),
        None,
    )
    if address is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("needs a resolver's address and network namespaces")
    (tmp_path / "resolver.py").write_text(RESOLVER)
    (tmp_path / "waiting.py").write_text(WAITING.format(name=name))
    asked = tmp_path / "asked"
    script = (
        f"ip link set lo up; ip addr add {address}/32 dev lo 2>/dev/null; "
        f"{sys.executable} {tmp_path}/resolver.py {address} > {asked} & resolver=$!; sleep 1; "
        f"{sys.executable} {tmp_path}/waiting.py; kill $resolver"
    )
    clean = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(["unshare", "-rn", "sh", "-c", script], check=True, env=clean, timeout=120)
    assert asked.read_text() == ""
