"""Hostile text made showable: captions, file names and class names come from anywhere."""

import re

INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls, which reorder their surroundings
    "\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"  # marks without a shape
)
"""What has no place on a page. Joiners and variation selectors stay: emoji are written with them."""


def visible(text: str) -> str:
    """The text without control and bidirectional characters, and encodable as UTF-8.

    It is not escaped: that is the template's work, and happens once.
    """
    return INVISIBLE.sub("", text.encode("utf-8", "replace").decode("utf-8"))


def shortened(text: str, *, most: int) -> str:
    """The text on one line, cut to at most `most` characters with an ellipsis."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """The text with a capital at its begin and one full stop at its end."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
