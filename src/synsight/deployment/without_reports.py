"""Libraries that tell their makers over the network that they were imported or used, imported so that they do
not.

Measured in a network namespace without routes: `import onnxruntime` (1.32) looks up the host of its makers'
event collector from a thread of its own, and `import openvino` (2026.4) sends an event.
"""

import os
import sys
from types import ModuleType
from typing import cast

from synsight.errors import MissingDependency

SILENT = {"ORT_DISABLE_TELEMETRY": "1"}
"""Read by ONNX Runtime when its library is loaded; what the user has set stays."""
SENDER = "openvino_telemetry"
"""The package by which OpenVINO sends; OpenVINO goes on without it where it is not installed."""


def import_onnxruntime(*, purpose: str) -> ModuleType:
    """ONNX Runtime's package, imported so that nothing leaves the machine.

    Args:
        purpose: Ends the sentence "... needs onnxruntime" where it is missing.

    Raises:
        MissingDependency: It is not installed.
    """
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency("onnxruntime", extra="export", purpose=purpose) from None
    onnxruntime.disable_telemetry_events()
    return cast(ModuleType, onnxruntime)


def import_openvino(*, purpose: str) -> ModuleType:
    """OpenVINO's package, imported so that nothing leaves the machine.

    Args:
        purpose: Ends the sentence "... needs openvino" where it is missing.

    Raises:
        MissingDependency: It is not installed.
    """
    # None in place of a module makes its import fail, upon which OpenVINO takes a stub that sends nothing.
    sys.modules.setdefault(SENDER, cast(ModuleType, None))
    try:
        import openvino
    except ImportError:
        raise MissingDependency("openvino", extra="openvino", purpose=purpose) from None
    return cast(ModuleType, openvino)
