"""The released rule as the benchmark re-implements it with nltk, opened once for the tests."""

import importlib.util
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

_PATH = Path(__file__).parents[2] / "benchmarks" / "words.py"
_SPEC = importlib.util.spec_from_file_location("benchmark_words", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
_BENCHMARK = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_BENCHMARK)

WORDNET: Path = _BENCHMARK.WORDNET


@cache
def released_rule() -> Any:
    folder = tempfile.TemporaryDirectory()
    _BENCHMARK.open_wordnet(Path(folder.name))
    rule = _BENCHMARK.ReleasedRule([])
    rule.folder = folder  # lives as long as the rule
    return rule
