"""Fonts that travel inside a page, so that Japanese is readable where no Japanese font is installed.

The Japanese letters come from IPAexGothic (IPA Font License v1.0), which `matplotlib-fontja` brings; only the
letters that a page uses are embedded, for showing that page (article 2, paragraph 5 of the licence: whoever
passes the page on has no further duties). Latin letters of a PDF come from DejaVu Sans, which matplotlib
brings.
"""

import base64
import io
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import matplotlib as mpl
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import font_manager

JAPANESE_FAMILY = "Page Japanese"
LATIN_FAMILY = "Page Latin"

PRINTABLE = "".join(map(chr, range(0x20, 0x7F))) + "•–—…−✓✗"

EAST_ASIAN_RANGE = "U+2E80-9FFF, U+F900-FAFF, U+FF00-FFEF"
_EAST_ASIAN = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def japanese_font() -> Path | None:
    """The file of IPAexGothic; None where `matplotlib-fontja` is not installed."""
    found = find_spec("matplotlib_fontja")  # importing it would change matplotlib's settings
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder, "fonts", "ipaexg.ttf")
        if path.is_file():
            return path
    return None


def is_japanese(text: str) -> bool:
    """Whether some letter needs the Japanese font."""
    return _EAST_ASIAN.search(text) is not None


@cache
def measuring_fonts(locale: str) -> list[str]:
    """Families that matplotlib measures text with; the Japanese one after or before its own."""
    own = ["DejaVu Sans"]
    path = japanese_font()
    if path is None:
        return own
    font_manager.fontManager.addfont(path)
    name = font_manager.FontProperties(fname=path).get_name()
    return [name, *own] if locale == "ja" else [*own, name]


def japanese_face(text: str, *, only_japanese: bool = False) -> str:
    """An `@font-face` rule with the letters of a text; "" where there is no such font or no need.

    Args:
        text: What is to be shown.
        only_japanese: Leave Latin letters to the fonts that come after it.
    """
    path = japanese_font()
    if path is None or not is_japanese(text):
        return ""
    extent = f"unicode-range: {EAST_ASIAN_RANGE}; " if only_japanese else ""
    return _face(JAPANESE_FAMILY, path, PRINTABLE + text, more=extent)


def latin_faces(text: str) -> str:
    """`@font-face` rules of DejaVu Sans, normal and bold."""
    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    return "".join(
        _face(LATIN_FAMILY, folder / name, PRINTABLE + text, more=f"font-weight: {weight}; ")
        for name, weight in (("DejaVuSans.ttf", "normal"), ("DejaVuSans-Bold.ttf", "bold"))
    )


def _face(family: str, path: Path, text: str, *, more: str = "") -> str:
    data = base64.b64encode(subset_font(path, text)).decode()
    return (
        f'@font-face {{ font-family: "{family}"; {more}'
        f'src: url("data:font/woff;base64,{data}") format("woff"); }}\n'
    )


def subset_font(path: Path, text: str) -> bytes:
    """The letters of a text that a font has, as WOFF; the same text gives the same bytes."""
    options = subset.Options()
    options.flavor = "woff"
    options.hinting = False
    options.recalc_timestamp = False
    options.notdef_outline = True
    options.drop_tables += ["FFTM"]  # the font editor's time stamps
    options.layout_features = ["kern", "palt", "vert"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # with its copyright and licence
    options.name_languages = ["*"]
    with TTFont(path, recalcTimestamp=False, lazy=True) as font:
        chooser = subset.Subsetter(options)
        chooser.populate(unicodes=sorted({ord(one) for one in text}))
        chooser.subset(font)
        font.flavor = "woff"
        buffer = io.BytesIO()
        font.save(buffer, reorderTables=False)
    return buffer.getvalue()
