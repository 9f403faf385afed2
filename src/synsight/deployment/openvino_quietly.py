"""OpenVINO without its reports: its Python package tells its makers over the network that it was imported."""

import sys
from types import ModuleType
from typing import cast

from synsight.errors import MissingDependency

REPORTING = "openvino_telemetry"
"""The package that sends; OpenVINO goes on without it where it is not installed."""


def import_openvino(*, purpose: str) -> ModuleType:
    """OpenVINO's package, imported so that nothing leaves the machine.

    Args:
        purpose: Ends the sentence "... needs openvino" where it is missing.

    Raises:
        MissingDependency: It is not installed.
    """
    # None in place of a module makes its import fail, upon which OpenVINO takes a stub that sends nothing.
    sys.modules.setdefault(REPORTING, cast(ModuleType, None))
    try:
        import openvino
    except ImportError:
        raise MissingDependency("openvino", extra="openvino", purpose=purpose) from None
    return cast(ModuleType, openvino)
