"""The simulated experiments of benchmarks/coverage.py, which are no part of the package."""

import importlib.util
import sys
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


def coverage_benchmark():
    """The benchmark as a module; skips where there is none."""
    if not _PATH.exists():
        pytest.skip("the benchmarks are not part of the package")
    if "coverage_benchmark" not in sys.modules:
        sys.path.insert(0, str(_PATH.parent))
        spec = importlib.util.spec_from_file_location("coverage_benchmark", _PATH)
        module = importlib.util.module_from_spec(spec)
        sys.modules["coverage_benchmark"] = module
        spec.loader.exec_module(module)
        sys.path.remove(str(_PATH.parent))
    return sys.modules["coverage_benchmark"]
