"""Result files of CLIP_benchmark, read as records.

A file holds one JSON object `{dataset, model, pretrained, task, metrics, language}`; a list of them is read,
too. It has no predictions, so its numbers can only be compared unpaired, and with an interval only if
somebody wrote `n_test` beside them.

Reference: https://github.com/LAION-AI/CLIP_benchmark, `clip_benchmark/cli.py` and `metrics/linear_probe.py`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from synsight import files
from synsight.errors import DataError
from synsight.records import Result

TASKS = {"zeroshot_classification": "zeroshot", "zeroshot_retrieval": "retrieval", "linear_probe": "linear"}
"""CLIP_benchmark's task -> ours."""

PROBE = "lp_"
"""Before the metrics of a linear probe."""

SETTINGS = ("weight_decay", "epochs", "seed", "fewshot_k", "normalized")
"""Settings that a linear probe writes among its metrics."""


def is_foreign(path: Path) -> bool:
    """Whether a path names a result file rather than an evaluation's folder."""
    return path.is_file() and path.suffix.lower() == ".json"


def read_foreign(path: str | Path) -> list[Result]:
    """The records of a CLIP_benchmark result file.

    `acc1` and its like get Wilson's interval where the file holds `n_test` (not CLIP_benchmark's own key).

    Raises:
        DataError: The file is missing, no JSON, or holds something else.
    """
    path = Path(path)
    read = files.read_json(path)
    found = [one for part in (read if isinstance(read, list) else [read]) for one in _records(path, part)]
    if not found:
        raise DataError(f"{path}: expected a metric such as acc1, found none; check the file.")
    return found


def _records(path: Path, part: object) -> list[Result]:
    if not isinstance(part, dict) or not isinstance(part.get("metrics"), dict) or "model" not in part:
        raise DataError(
            f"{path}: expected a result of CLIP_benchmark with 'dataset', 'model', 'task' and 'metrics', "
            "found something else; name an evaluation's folder or a result file."
        )
    metrics: Mapping[str, Any] = part["metrics"]
    shots = metrics.get("fewshot_k", -1)
    few = isinstance(shots, int) and shots > 0
    task = "fewshot" if few else TASKS.get(str(part.get("task")), str(part.get("task")))
    details = {name: metrics[name] for name in SETTINGS if isinstance(metrics.get(name), int | float | str)}
    return [
        Result(
            model=" ".join(str(part[name]) for name in ("model", "pretrained") if part.get(name)),
            dataset=str(part.get("dataset", "")),
            task=task,
            metric=name.removeprefix(PROBE),
            value=float(value),
            **_interval(name.removeprefix(PROBE), float(value), part.get("n_test")),
            n_labels=shots if few else None,
            seed=int(metrics["seed"]) if isinstance(metrics.get("seed"), int) else 0,
            details={**details, "language": str(part.get("language", "")), "format": "CLIP_benchmark"},
        )
        for name, value in metrics.items()
        if name not in SETTINGS and _is_share(value)
    ]


def _is_share(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= 1
    )


def _interval(metric: str, value: float, n_test: object) -> dict[str, Any]:
    if not isinstance(n_test, int) or isinstance(n_test, bool) or n_test < 1:
        return {}
    if not metric.startswith("acc"):
        return {"n_test": n_test}
    ends = binomtest(round(value * n_test), n_test).proportion_ci(method="wilson")
    return {"n_test": n_test, "ci_low": float(ends.low), "ci_high": float(ends.high)}
