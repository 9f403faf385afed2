"""A matplotlib figure as inline SVG that obeys the page: its ink colour, its font, its security policy.

The page forbids inline style, so every style of the drawing becomes a plain attribute. What was drawn in
`INK` takes the colour of the text around it: one drawing serves the light page, the dark page and paper.
"""

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's own text colour; nearly black where the figure is saved as a picture."""

SETTINGS: Any = {
    "svg.fonttype": "none",  # real text: selectable, in the page's font, any script
    "text.parse_math": False,  # a class may be named "$x$"
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
"""What every figure of synsight is drawn with."""

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(?:(?P<weight>bold|[1-9]00) )?(?P<size>[\d.]+px)")


def inline_svg(figure: Figure, *, name: str, description: str) -> Markup:
    """The figure as one `<svg>` element.

    Args:
        figure: Drawn under `SETTINGS`.
        name: Unique on the page; prefixes every id, since all drawings of a page share one name space.
        description: What a screen reader says.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser draws the letters with its own fonts; what matplotlib's font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314  we have just written it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}:
                parent.remove(child)
    for element in root.iter():
        _plain_attributes(element, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib.update({"role": "img", "aria-label": description, "stroke-linejoin": "round"})
    ElementTree.register_namespace("", _SVG)
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup(text.replace(f' xmlns="{_SVG}"', ""))  # noqa: S704  serialised by an XML writer, which escapes


def _plain_attributes(element: ElementTree.Element, name: str) -> None:
    """Turn `style` into attributes, make ids unique, links local and ink the page's colour."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            font = _FONT.match(value)
            if font:
                element.set("font-size", font["size"])
                if font["weight"]:
                    element.set("font-weight", font["weight"])
        elif key and key != "font-family":  # the page's own
            element.set(key, value)
    if link := element.attrib.pop(_LINK, None):
        element.set("href", link)
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == "href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif value.startswith("url(#"):
            element.set(key, value.replace("url(#", f"url(#{name}-"))
        elif value == INK:
            element.set(key, "currentColor")
    if element.tag == f"{{{_SVG}}}text" and "fill" not in element.attrib:
        element.set("fill", "currentColor")
