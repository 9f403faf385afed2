"""A card as Markdown. Every text that is not ours is escaped: it can neither mark up nor link anything."""

import re

from synsight.reports.card_records import Card, CardSection, CardTable
from synsight.reports.locales import Locale
from synsight.reports.page_words import page_words
from synsight.reports.text import visible

MARKS = re.compile(r"[&<>|~^$@{}\\`*_\[\]]|:(?=//)|(?<=mailto):|(?<=(?i:www))\.")
"""What begins something in Markdown or its usual extensions, wherever it stands. All become character
references, which every kind of Markdown knows; backslashes differ between them.
"""
AT_START = re.compile(r"[-+#=:!]|\d+[.)](?=\s|$)")
"""What does so at the begin of a line, by its last sign."""


def escaped(text: str) -> str:
    """The text on one line, as Markdown that shows it as it is."""
    line = " ".join(visible(text).split())
    start = AT_START.match(line)
    if start is None:
        return MARKS.sub(_reference, line)
    sign = start.end() - 1
    return f"{line[:sign]}&#{ord(line[sign])};{MARKS.sub(_reference, line[sign + 1 :])}"


def _reference(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def card_markdown(card: Card, *, locale: str = "en") -> str:
    """The card as one Markdown text.

    Raises:
        UsageError: There is no such locale.
    """
    words = page_words("card", locale)
    parts = [
        f"# {escaped(words.say(f'title.{card.kind}', subject=card.subject))}",
        words.words[f"lead.{card.kind}"],
    ]
    for section in card.sections:
        parts += _section(card, section, words)
    parts.append(f"*{words.say('footer', version=escaped(card.version), moment=escaped(card.created_at))}*")
    return "\n\n".join(parts) + "\n"


def _section(card: Card, section: CardSection, words: Locale) -> list[str]:
    parts = [f"## {words.words[f'{card.kind}.{section.key}']}"]
    if section.facts:
        facts = CardTable(
            name="", head=("", ""), rows=[(words.words[f"fact.{key}"], value) for key, value in section.facts]
        )
        parts.append(_table(facts, words))
    for table in section.tables:
        parts += [f"**{words.words[f'table.{table.name}']}**", _table(table, words)]
    if section.notes:
        notes = [words.say(f"note.{one.key}", **dict(one.values)) for one in section.notes]
        parts.append("\n".join(f"- {escaped(note)}" for note in notes))
    for field in section.fields:
        asked = words.words[f"ask.{card.kind}.{field.key}"]
        said = _paragraphs(field.text) if field.text else words.words["not_stated"]
        parts.append(f"**{asked}** {said}")
    return parts


def _table(table: CardTable, words: Locale) -> str:
    heads = [words.words[f"head.{key}"] if key else " " for key in table.head]
    lines = [heads, ["---"] * len(heads), *([escaped(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _paragraphs(text: str) -> str:
    return "\n\n".join(escaped(part) for part in re.split(r"\n\s*\n", text) if part.strip())
