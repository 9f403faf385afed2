"""A card as one HTML page, under the same security policy as every report."""

from dataclasses import dataclass

from synsight.reports.card_records import Card
from synsight.reports.page import render_template
from synsight.reports.page_words import page_words, with_letters

STYLE = """
.card-facts th { color: var(--soft); font-weight: 400; width: 14rem; }
.card-facts th, .card-facts td { padding: 0.3rem 1rem 0.3rem 0; font-size: 0.92rem; vertical-align: top; }
.asked { margin: 0.9rem 0 0; font-weight: 600; }
.said { margin: 0.15rem 0 0; white-space: pre-line; }
.said.open { font-style: italic; }
.small th { white-space: nowrap; overflow-wrap: normal; }
.small td:not(:last-child) { overflow-wrap: break-word; min-width: 3.5rem; }
caption { text-align: left; font-weight: 600; padding: 0.9rem 0 0.3rem; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
:lang(ja) { line-break: strict; }
"""


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What the base template asks for."""

    title: str
    created_at: str


def card_page(card: Card, *, locale: str = "en") -> str:
    """The page's HTML.

    Raises:
        UsageError: There is no such locale.
    """
    words = page_words("card", locale)
    title = words.say(f"title.{card.kind}", subject=words.name_of(card.subject))
    page = _Page(title=title, created_at=card.created_at)

    def draw(style: str) -> str:
        return render_template(
            "card.html.j2", more_style=style, page=page, card=card, locale=locale, say=words.say
        )

    return with_letters(draw, style=STYLE, locale=locale)
