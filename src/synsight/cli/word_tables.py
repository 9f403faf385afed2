"""What `synsight words --explain` shows people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType

if TYPE_CHECKING:
    from synsight.language.explanations import CaptionExplanation, FoundWord, Piece


MOST_SENSES = 5
"""Candidates of a word that people are shown; programs get more."""


def explanation_tables(found: "CaptionExplanation") -> Iterator[RenderableType]:
    """Facts about the caption; its pieces; the words found with their classes."""
    from synsight.reports import fact_table

    facts = {
        "caption": found.caption,
        "cleaned": found.cleaned,
        "language": found.language or "none that can be told",
        "read by": ", ".join(found.rules) or "no rule; sub-words read it (--vocabulary subword)",
    }
    if found.tokens:
        facts["tokens"] = " ".join(found.tokens)
    yield fact_table(facts)
    if found.pieces:
        yield fact_table({f"{n}. {one.text}": _piece(one) for n, one in enumerate(found.pieces, 1)}, title="")
    if found.unmatched:
        yield fact_table(dict(found.unmatched), title="unmatched")
    title = f"words, and classes of the vocabulary {found.vocabulary!r}" if found.vocabulary else "words"
    yield fact_table({one.key: _word(one) for one in found.words} or {"–": "none"}, title=title)


def _piece(piece: "Piece") -> str:
    text = f"{piece.name} ({piece.key})" if piece.key else "no word"
    if piece.reason:
        text += f": {piece.reason}"
    if len(piece.senses) > 1:
        senses = (
            f"{one.name} [{one.kind_of}] {one.key} {one.count if one.count is not None else one.confidence}"
            for one in piece.senses[:MOST_SENSES]
        )
        text += f" – of {'; '.join(senses)}"
    return text


def _word(word: "FoundWord") -> str:
    if word.class_number is not None:
        text = f"{word.name}: class {word.class_number}"
        if word.class_name != word.name:
            text += f" ({word.class_name})"
        return text + (f", weight {word.weight:.2f}" if word.weight < 1 else "")
    return f"{word.name}: {word.note}" if word.note else word.name
