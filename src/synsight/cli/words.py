"""`synsight words`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import RenderableType

from synsight.cli.console import Flag, Json, count_text, names, show
from synsight.records import WordsSummary, as_json


def words(
    catalog: Path,
    *,
    vocabulary: str = "synset",
    text_columns: str = "caption",
    min_count: int | None = None,
    compat: Literal["corenet"] | None = None,
    hypernyms: Flag = False,
    json: Json = False,
) -> None:
    """Find the words of the captions and add them to the catalog as classes.

    Args:
        catalog: The catalog's folder.
        vocabulary: Which kind of words: synset (WordNet nouns).
        text_columns: Columns to read, with commas between, as caption,keywords.
        min_count: Rarer words are left out of the vocabulary; chosen by the number of rows unless given.
        compat: Find words exactly as the released CatLIP does (corenet).
        hypernyms: Add what each word is a kind of (a dog is an animal).
        json: Print one JSON object.
    """
    from synsight.language.labelling import words as run

    summary = run(
        catalog,
        vocabulary=vocabulary,
        text_columns=names(text_columns),
        min_count=min_count,
        compat=compat,
        hypernyms=hypernyms,
    )
    show(as_json(summary), as_json=json, table=lambda: _table(summary))


def _table(summary: WordsSummary) -> Iterator[RenderableType]:
    from synsight.reports import fact_table

    yield fact_table(
        {
            "captions": summary.captions,
            "with a word": f"{summary.share_with_word:.1%}",
            "words a caption": f"{summary.words_per_caption:.2f}",
            "vocabulary": f"{summary.vocabulary_size:,} words ({summary.vocabulary})",
            "most frequent": count_text(summary.top[:15]),
            "without a word": count_text(summary.unmatched[:15]),
        }
    )
