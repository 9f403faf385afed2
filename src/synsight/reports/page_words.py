"""The words of one page in one language: `wording/PAGE_LOCALE.json`, the same keys in each language."""

import json
from collections.abc import Callable
from functools import cache
from html import unescape
from importlib import resources

from synsight.errors import UsageError, near_names
from synsight.reports.locales import LOCALES, Locale
from synsight.reports.page_fonts import JAPANESE_FAMILY, japanese_face
from synsight.reports.text import visible


@cache
def page_words(page: str, locale: str) -> Locale:
    """What a page says, with its way of writing numbers.

    Args:
        page: As `slices`.
        locale: `en` or `ja`.

    Raises:
        UsageError: There is no such locale.
    """
    if locale not in LOCALES:
        raise UsageError(f"no locale {locale!r}; {near_names(locale, LOCALES)}")
    file = resources.files("synsight.reports").joinpath(f"wording/{page}_{locale}.json")
    words: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return Locale(locale, words)


def with_letters(draw: Callable[[str], str], *, style: str, locale: str) -> str:
    """A page with the Japanese letters that it shows, where this machine has a font to take them from.

    Args:
        draw: Makes the page's HTML with a style.
        style: The page's own.
        locale: Of the page; on an English one only the Japanese letters come from the font.
    """
    plain = draw(style)
    face = japanese_face(visible(unescape(plain)), only_japanese=locale != "ja")
    if not face:
        return plain
    families = ['"Hiragino Sans", "Yu Gothic UI", Meiryo, "Noto Sans JP"', f'"{JAPANESE_FAMILY}"']
    if locale != "ja":
        families = [f'"{JAPANESE_FAMILY}"', 'system-ui, -apple-system, "Segoe UI", "Noto Sans"']
    return draw(style + face + f"html {{ font-family: {', '.join(families)}, sans-serif; }}\n")
