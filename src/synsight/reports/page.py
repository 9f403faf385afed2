"""One self-contained HTML page from records: no script, no network, every foreign string escaped."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synsight.files import write_text
from synsight.records import Example, Gate, IngestSummary, Result, RunSummary, Version, WordsSummary
from synsight.reports import figures
from synsight.reports.copy_records import CopyFacts
from synsight.reports.monitors import monitors_chart
from synsight.reports.summary import CHANCE, difference_table, differences, result_table, verdict
from synsight.reports.text import sentence, shortened, visible

PACKAGES = ("synsight", "torch", "timm", "numpy", "scikit-learn", "pyarrow", "pylance", "pillow")
"""Whose versions a page names."""

POLICY = "default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
"""What a browser may load for the page: the one style sheet inside it and the images inside it."""


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Everything a page may show; an empty part is left out."""

    title: str
    subject: str = "Captions"
    """What the first paired difference judges; begins the headline."""
    results: Sequence[Result] = ()
    """Measured values and paired differences; the first difference makes the headline."""
    runs: Sequence[RunSummary] = ()
    ingest: IngestSummary | None = None
    words: WordsSummary | None = None
    examples: Sequence[Example] = ()
    copies: CopyFacts | None = None
    gates: Sequence[Gate] = ()
    versions: Sequence[Version] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    created_at: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Package -> version; see `package_versions`."""


def write_report(path: str | Path, page: ReportPage) -> Path:
    """Write the page as one HTML file, atomically.

    Raises:
        StorageError: The disk refused.
    """
    path = Path(path)
    write_text(path, render(page))
    return path


def render(page: ReportPage) -> str:
    """The page's HTML."""
    charts = {
        "results": figures.result_chart(page.results),
        "labels": figures.label_curve(page.results, first=[run.name for run in page.runs]),
        "vocabulary": figures.vocabulary_chart(page.words) if page.words else None,
    }
    readings = [(run, monitors_chart(run, number=number)) for number, run in enumerate(page.runs)]
    runs = readings
    if len(runs) > 1:  # side by side there is room for the deciding reading only
        runs = [(run, figures.training_chart(run, number=number)) for number, run in enumerate(page.runs)]
    return render_template(
        "report.html.j2",
        page=page,
        verdict=verdict(page.results, subject=page.subject),
        table=result_table(page.results),
        differences=difference_table(page.results),
        judged=next((one.model for one in differences(page.results)), ""),
        charts=charts,
        runs=runs,
        readings=readings if len(runs) > 1 else [],
        chance=CHANCE,
    )


def render_template(name: str, *, more_style: str = "", **values: Any) -> str:
    """A page's HTML from a template.

    Its security policy allows the one style sheet inside it (by hash), images inside it, fonts inside it if
    the style has any, and nothing else.

    Args:
        name: Of the template.
        more_style: Rules of our own making to put behind those that every page has.
        values: What the template asks for.
    """
    style = resources.files("synsight.reports").joinpath("templates/report.css").read_text(encoding="utf-8")
    style += more_style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = POLICY.format(digest=digest) + ("; font-src data:" if "@font-face" in more_style else "")
    own = Markup(style)  # noqa: S704  our own files
    return _environment().get_template(name).render(style=own, policy=policy, **values)


def package_versions() -> dict[str, str]:
    """Installed versions of the packages a result depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("synsight.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= {
        "shortened": lambda text, most: shortened(text, most=most),
        "picture": _picture,
        "setting": _setting,
        "number": _number,
        "moment": _moment,
        "ended": _ended,
        "signed": "{:+.3f}".format,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Every string that reaches the page passes here; none can be forgotten."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _picture(data: bytes) -> str | None:
    """A data address for an image we know; None for anything else."""
    kinds = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
    kind = next((kind for magic, kind in kinds.items() if data.startswith(magic)), None)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}" if kind else None


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _ended(reason: str) -> str:
    """Why a run ended, as a sentence."""
    return "It took all its steps." if reason == "finished" else sentence(reason)


def _moment(text: str) -> str:
    """A time as people write it: "2026-11-22 14:37", in UTC."""
    return text[:16].replace("T", " ")


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
