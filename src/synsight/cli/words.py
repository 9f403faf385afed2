"""`synsight words`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter
from rich.console import RenderableType

from synsight.cli.console import Flag, Json, count_text, names, show
from synsight.cli.word_tables import explanation_tables
from synsight.errors import UsageError
from synsight.records import CaptionNeighbours, WordsSummary, as_json


def words(
    catalog: Path | None = None,
    *,
    vocabulary: str = "synset",
    text_columns: str = "caption",
    min_count: int | None = None,
    compat: Literal["corenet"] | None = None,
    hypernyms: Flag = False,
    language: Literal["auto", "en", "ja"] = "auto",
    unknown_words: Flag = False,
    vocabulary_file: Path | None = None,
    explain: str | None = None,
    caption_encoder: Annotated[str | None, Parameter(name=["--embed-captions", "--caption-encoder"])] = None,
    neighbours: int | None = None,
    exclude_neighbours: str = "duplicates,group",
    similarity_floor: float = 0.4,
    index: Literal["auto", "exact", "lists"] = "auto",
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Find the words of the captions and add them to the catalog as classes.

    Args:
        catalog: The catalog's folder.
        vocabulary: Which kind of words: synset (WordNet nouns), subword (CLIP's byte pairs) or terms:FILE
            (synsets and your own words, a CSV with the columns term, synonyms, concept, parent).
        text_columns: Columns to read, with commas between, as caption,keywords.
        min_count: Rarer words are left out of the vocabulary; chosen by the number of rows unless given.
        compat: Find words exactly as the released CatLIP does (corenet).
        hypernyms: Add what each word is a kind of (a dog is an animal).
        language: How captions are read; auto chooses for each.
        unknown_words: Frequent English words that WordNet lacks become classes too.
        vocabulary_file: An edited vocabulary: rows removed are no classes, rows of one name are one class.
        explain: Show every decision about this caption; changes nothing, and needs no catalog.
        caption_encoder: Also embed the captions with this text encoder, as minilm.
        neighbours: Also find so many nearest captions of each, by their embeddings.
        exclude_neighbours: Which captions are no neighbours: duplicates, those of one group; or none of them.
        similarity_floor: Captions whose cosine is below are no neighbours; -1 allows any.
        index: How to search for neighbours; lists is faster and states its recall.
        runner: Where captions are read: local (this process), processes (one a core) or ray (a cluster).
        address: Of the Ray cluster; that of RAY_ADDRESS unless given, else one on this machine.
        json: Print one JSON object.
    """
    from synsight import stages
    from synsight.language.neighbour_columns import Exclusion
    from synsight.models.captions import explain_words
    from synsight.models.captions import words as run

    if explain is not None:
        explanation = explain_words(
            explain,
            catalog=catalog,
            vocabulary=vocabulary,
            compat=compat,
            hypernyms=hypernyms,
            language=language,
            unknown_words=unknown_words,
        )
        show(as_json(explanation), as_json=json, table=lambda: explanation_tables(explanation))
        return
    if catalog is None:
        raise UsageError("words needs a catalog, as `synsight words cat/`, or a caption to --explain.")
    excluded = names(exclude_neighbours) if exclude_neighbours != "none" else ()
    summary = run(
        catalog,
        vocabulary=vocabulary,
        text_columns=names(text_columns),
        min_count=min_count,
        compat=compat,
        hypernyms=hypernyms,
        language=language,
        unknown_words=unknown_words,
        vocabulary_file=vocabulary_file,
        caption_encoder=caption_encoder,
        neighbours=neighbours,
        exclude_neighbours=cast(tuple[Exclusion, ...], excluded),
        similarity_floor=similarity_floor,
        index=index,
        runner=stages.runner(runner, address=address),
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
    if set(summary.languages) - {"en", "none"}:
        facts["languages"] = count_text(summary.languages)
        facts["no class"] = count_text(summary.without_word)
    if summary.unread:
        facts["unread"] = _unread(summary)
    if made := summary.embeddings:
        facts["embedded"] = (
            f"{made.rows_with_text:,} captions in {made.dimensions} dimensions ({made.encoder})"
        )
    if summary.neighbours:
        facts["neighbours"] = _neighbours(summary.neighbours)
    yield fact_table(facts)


def _unread(summary: WordsSummary) -> str:
    """What no rule for words reads, and what does."""
    text = f"{count_text(summary.unread)}: sub-words read every language (--vocabulary subword)"
    if "ja" in summary.unread:
        text += '; for Japanese: pip install "synsight[ja]"'
    return text


def _neighbours(found: CaptionNeighbours) -> str:
    text = f"{found.rows_with_one:,} of {found.rows:,} captions have one, {found.neighbours_per_row:.1f} each"
    if found.mean_similarity is not None:
        text += f"; cosine to the nearest {found.mean_similarity:.2f}"
    return f"{text}; recall {found.recall:.3f} ({found.index})"
