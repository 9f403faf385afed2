import subprocess
import sys

import pytest

pytest.importorskip("openvino")
PROGRAM = """
import socket, sys

def refuse(*_, **__):
    raise SystemExit("a connection was opened")

socket.socket.connect = refuse
from synsight.deployment.openvino_quietly import import_openvino

openvino = import_openvino(purpose="a test")
assert openvino.Core().available_devices
sender = sys.modules["openvino.tools.ovc.telemetry_utils"]
assert sender.tm.__name__.endswith("telemetry_stub"), sender.tm
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


def test_openvino_is_imported_without_the_part_that_reports():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
