"""A drift summary as Prometheus' text exposition format, for the textfile collector of node_exporter.

Reference: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from synsight.deployment.metric_names import Unit, metric_name
from synsight.files import write_text
from synsight.reports.drift_records import DriftSummary
from synsight.reports.text import visible

VERDICTS = {"none": 0, "watch": 1, "drift": 2}
MOST_WORDS = 20
"""Words with a series of their own; more would be as many series in the data base."""


@dataclass(frozen=True)
class _Metric:
    what: str
    unit: Unit
    meaning: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)


def write_prometheus(path: str | Path, summary: DriftSummary) -> None:
    """Replace a file by the text, atomically: a collector reads the former or the new one, never half.

    Raises:
        StorageError: The disk refused.
    """
    write_text(Path(path), prometheus_text(summary))


def prometheus_text(summary: DriftSummary) -> str:
    """Gauges with the labels `model`, `reference` and `current`."""
    common = {
        "model": summary.model,
        "reference": summary.reference.catalog,
        "current": summary.current.catalog,
    }
    lines = []
    for metric in _metrics(summary):
        if not metric.samples:
            continue
        name = metric_name("drift", metric.what, metric.unit)
        lines.append(f"# HELP {name} {metric.meaning}")
        lines.append(f"# TYPE {name} gauge")
        for labels, value in metric.samples:
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in (common | dict(labels)).items())
            lines.append(f"{name}{{{told}}} {value!r}")
    return "\n".join(lines) + "\n"


def _metrics(summary: DriftSummary) -> Iterable[_Metric]:
    none: dict[str, str] = {}
    yield _Metric("verdict", "", "0 none, 1 watch, 2 drift.", [(none, float(VERDICTS[summary.verdict]))])
    yield _Metric("p_value", "", "All tests together.", [(none, summary.p_value)])
    yield _Metric(
        "test_p_value", "", "Of each test.", [({"test": one.name}, one.p_value) for one in summary.tests]
    )
    yield _Metric(
        "classifier_auc", "", "How well reference and current can be told apart.", [(none, summary.auc)]
    )
    yield _Metric("novel_images", "ratio", "Current images unlike the reference.", [(none, summary.novel)])
    yield _Metric(
        "word_difference",
        "ratio",
        "Current minus reference, words that moved by more than chance.",
        [({"word": one.name}, one.difference) for one in summary.words[:MOST_WORDS]],
    )
    yield _Metric(
        "flagged_images",
        "ratio",
        "Images with a flag of the audit.",
        [
            ({"flag": one.name, "side": side}, value)
            for one in summary.quality
            for side, value in (("reference", one.reference), ("current", one.current))
        ],
    )
    if summary.labels is not None:
        yield _Metric(
            "predicted_images",
            "ratio",
            "Current images predicted as a class.",
            [({"label": one.name}, one.predicted_current) for one in summary.labels.classes],
        )
    if summary.accuracy is not None:
        told = summary.accuracy
        if told.value is not None:
            yield _Metric(
                "estimated_accuracy", "ratio", "Without labels of current images.", [(none, told.value)]
            )
        yield _Metric("reference_accuracy", "ratio", "Measured on the reference.", [(none, told.reference)])
    yield _Metric(
        "rows",
        "",
        "Rows looked at.",
        [
            ({"side": side}, float(facts.looked_at))
            for side, facts in (("reference", summary.reference), ("current", summary.current))
        ],
    )
    moment = datetime.fromisoformat(summary.created_at) if summary.created_at else datetime.now(UTC)
    yield _Metric("last_run", "timestamp_seconds", "When this was found.", [(none, moment.timestamp())])


def _escaped(text: str) -> str:
    """A label's value: backslash, quote and line feed have signs of their own; control characters go."""
    kept = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return visible(kept).replace("\r", " ").replace("\u2028", " ").replace("\u2029", " ")
