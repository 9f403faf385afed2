"""The page of an audit: what the captions are worth, what was found, and examples of each finding."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from synsight.records import AuditSummary
from synsight.reports.audit_figures import KINDS, by_kind, findings_chart
from synsight.reports.page import render_template
from synsight.reports.summary import Verdict

TITLES: Mapping[str, tuple[Any, str]] = {
    "likely": ("good", "Language guidance is likely to pay here."),
    "uncertain": ("open", "Language guidance may or may not pay here."),
    "unlikely": ("bad", "Language guidance is unlikely to pay here as the captions are."),
}
"""Verdict of the audit -> its colour and its sentence."""

DATA_URL = re.compile(r"data:image/(?:png|jpeg|webp);base64,([A-Za-z0-9+/=]+)")
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The record, as the template asks for it."""

    title: str
    created_at: str
    summary: AuditSummary

    def __getattr__(self, name: str) -> Any:
        return getattr(self.summary, name)


def audit_page(summary: AuditSummary, *, title: str = "audit", created_at: str = "") -> str:
    """The page's HTML, under the same security policy as every report.

    Args:
        summary: What was found; thumbnails are data URLs of PNG, JPEG or WebP, others are not shown.
        title: Above the headline.
        created_at: ISO time; "": the page names none.
    """
    kind, sentence = TITLES.get(summary.verdict, ("open", summary.verdict))
    kinds = [
        (name, KINDS[name][0], list(found)) for name, found in groupby(by_kind(summary), lambda one: one.kind)
    ]
    return render_template(
        "audit.html.j2",
        page=_Shown(title=title, created_at=created_at, summary=summary),
        verdict=Verdict(kind, sentence, ""),
        overview=findings_chart(summary),
        absent=[flag for flag, rows in summary.findings.items() if not rows],
        kinds=kinds,
        share=share,
        picture=inline_picture,
    )


def inline_picture(address: str) -> str | None:
    """The address if it is a small picture of a format we know, inside the page; else None."""
    match = DATA_URL.fullmatch(address)
    if match is None:
        return None
    try:
        data = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        return None
    return address if data.startswith(MAGIC) else None


def share(rows: float, of: int) -> str:
    """As "12%", "0.4%" or "under 0.1%"."""
    percent = 100 * rows / max(of, 1)
    if 0 < percent < 0.1:
        return "under 0.1%"
    return f"{percent:.0f}%" if percent >= 10 or percent == int(percent) else f"{percent:.1f}%"
