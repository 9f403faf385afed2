"""`synsight words`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter
from rich.console import RenderableType

from synsight.cli.console import Flag, Json, count_text, names, show
from synsight.records import CaptionNeighbours, WordsSummary, as_json


def words(
    catalog: Path,
    *,
    vocabulary: str = "synset",
    text_columns: str = "caption",
    min_count: int | None = None,
    compat: Literal["corenet"] | None = None,
    hypernyms: Flag = False,
    caption_encoder: Annotated[str | None, Parameter(name=["--embed-captions", "--caption-encoder"])] = None,
    neighbours: int | None = None,
    exclude_neighbours: str = "duplicates,group",
    similarity_floor: float = 0.4,
    index: Literal["auto", "exact", "lists"] = "auto",
    json: Json = False,
) -> None:
    """Find the words of the captions and add them to the catalog as classes.

    Args:
        catalog: The catalog's folder.
        vocabulary: Which kind of words: synset (WordNet nouns) or subword (CLIP's byte pairs).
        text_columns: Columns to read, with commas between, as caption,keywords.
        min_count: Rarer words are left out of the vocabulary; chosen by the number of rows unless given.
        compat: Find words exactly as the released CatLIP does (corenet).
        hypernyms: Add what each word is a kind of (a dog is an animal).
        caption_encoder: Also embed the captions with this text encoder, as minilm.
        neighbours: Also find so many nearest captions of each, by their embeddings.
        exclude_neighbours: Which captions are no neighbours: duplicates, those of one group; or none of them.
        similarity_floor: Captions whose cosine is below are no neighbours; -1 allows any.
        index: How to search for neighbours; lists is faster and states its recall.
        json: Print one JSON object.
    """
    from synsight.language.neighbour_columns import Exclusion
    from synsight.models.captions import words as run

    excluded = names(exclude_neighbours) if exclude_neighbours != "none" else ()
    summary = run(
        catalog,
        vocabulary=vocabulary,
        text_columns=names(text_columns),
        min_count=min_count,
        compat=compat,
        hypernyms=hypernyms,
        caption_encoder=caption_encoder,
        neighbours=neighbours,
        exclude_neighbours=cast(tuple[Exclusion, ...], excluded),
        similarity_floor=similarity_floor,
        index=index,
    )
    show(as_json(summary), as_json=json, table=lambda: _table(summary))


def _table(summary: WordsSummary) -> Iterator[RenderableType]:
    from synsight.reports import fact_table

    facts = {
        "captions": summary.captions,
        "with a word": f"{summary.share_with_word:.1%}",
        "words a caption": f"{summary.words_per_caption:.2f}",
        "vocabulary": f"{summary.vocabulary_size:,} words ({summary.vocabulary})",
        "most frequent": count_text(summary.top[:15]),
        "without a word": count_text(summary.unmatched[:15]),
    }
    if made := summary.embeddings:
        facts["embedded"] = (
            f"{made.rows_with_text:,} captions in {made.dimensions} dimensions ({made.encoder})"
        )
    if summary.neighbours:
        facts["neighbours"] = _neighbours(summary.neighbours)
    yield fact_table(facts)


def _neighbours(found: CaptionNeighbours) -> str:
    text = f"{found.rows_with_one:,} of {found.rows:,} captions have one, {found.neighbours_per_row:.1f} each"
    if found.mean_similarity is not None:
        text += f"; cosine to the nearest {found.mean_similarity:.2f}"
    return f"{text}; recall {found.recall:.3f} ({found.index})"
