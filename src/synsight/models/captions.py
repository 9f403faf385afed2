"""The verb `words`: what captions say, as classes, as vectors, as neighbours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.language.embedding import CaptionEncoder, caption_embeddings, embed_captions, is_embedded
from synsight.language.explaining import explain_caption
from synsight.language.explanations import CaptionExplanation
from synsight.language.label_space import Compat, label_space
from synsight.language.labelling import find_words
from synsight.language.neighbour_columns import (
    EXCLUSIONS,
    SIMILARITY_FLOOR,
    Exclusion,
    check_search,
    embeddings_of,
    find_neighbours,
)
from synsight.language.neighbours import Index
from synsight.language.routing import Language
from synsight.language.subwords import Subwords
from synsight.language.vocabulary import load_vocabulary
from synsight.language.word_columns import why_no_class
from synsight.records import WordsSummary
from synsight.stages import Runner


def words(
    catalog: str | Path | Catalog,
    *,
    vocabulary: str = "synset",
    text_columns: Sequence[str] = ("caption",),
    min_count: int | None = None,
    compat: Compat | None = None,
    hypernyms: bool = False,
    language: Language = "auto",
    unknown_words: bool = False,
    vocabulary_file: str | Path | None = None,
    caption_encoder: str | CaptionEncoder | None = None,
    neighbours: int | None = None,
    exclude_neighbours: Sequence[Exclusion] = EXCLUSIONS,
    similarity_floor: float | None = SIMILARITY_FLOOR,
    index: Index = "auto",
    runner: Runner | None = None,
) -> WordsSummary:
    """Find the words of every row's text; on request also embed the captions and find their neighbours.

    Adds the columns `words_<vocabulary>` and `language`, and on request `caption_embedding`, `neighbours` and
    `neighbour_similarity`, each step in one commit; see `find_words`, `embed_captions` and `find_neighbours`.
    Stopped or killed at any moment, the same call goes on where it was; what is finished is not done again.

    Args:
        catalog: Its folder, or an open catalog.
        vocabulary: Kind of words; `synset`: the noun synsets of WordNet 3.0, `subword`: the sub-words of
            CLIP's byte-pair encoding, `terms:FILE`: synsets and a company's own words.
        text_columns: String or list-of-string columns to read.
        min_count: Fewest train rows of a class; None: for synsets by the number of rows, for sub-words 1.
        compat: Of synsets; None: our rule, `corenet`: labels exactly as CatLIP's released code makes them.
        hypernyms: Add what each synset is a kind of ("dog": also "canine", "animal", ...), with weights.
        language: Which rule reads a row; `auto`: by the language of its text, `en` or `ja`: that one.
        unknown_words: Frequent English words that WordNet lacks become classes too.
        vocabulary_file: An edited vocabulary whose rows are the classes; None: counted anew.
        caption_encoder: Embed the captions with this: a name as for `load_text_encoder` ("minilm"), or a
            callable with a `name`; None: do not.
        neighbours: Most neighbours of a row, found by the caption embeddings; None: do not look for any.
        exclude_neighbours: Which rows are none: `duplicates` (the same caption), `group` (the same group).
        similarity_floor: Least cosine of a neighbour; None: any.
        index: How to search: `exact`, `lists` (with the recall measured), `auto` (by the number of rows).
        runner: Where the stages run; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text, no class is frequent enough, or neighbours are
            asked for without caption embeddings.
        ConfigError: A number is out of its range.
        UsageError: An unknown vocabulary, rule, exclusion or index.
        CatalogError: There is no catalog.
        ModelError: There is no such encoder.
        MissingDependency: The extra `text` is wanted and not installed.
    """
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    search: _Search = {
        "exclude": exclude_neighbours,
        "similarity_floor": similarity_floor,
        "index": index,
    }
    # Whatever is wrong with a later step is said before the first.
    if neighbours is not None:
        check_search(neighbours, **search)
        if caption_encoder is None:
            embeddings_of(opened)
    encoder = NamedEncoder(caption_encoder) if isinstance(caption_encoder, str) else caption_encoder
    if isinstance(encoder, NamedEncoder) and not is_embedded(opened, encoder, text_columns=text_columns):
        encoder.load()
    summary = find_words(
        opened,
        vocabulary=vocabulary,
        text_columns=text_columns,
        min_count=min_count,
        compat=compat,
        hypernyms=hypernyms,
        language=language,
        unknown_words=unknown_words,
        vocabulary_file=vocabulary_file,
        tokeniser=_tokeniser() if vocabulary == "subword" else None,
        runner=runner,
    )
    if encoder is not None:
        embeddings = embed_captions(opened, encoder, text_columns=text_columns, runner=runner)
        summary = replace(summary, embeddings=embeddings)
    if neighbours is not None:
        found = find_neighbours(opened, neighbours=neighbours, **search)
        summary = replace(summary, embeddings=caption_embeddings(opened), neighbours=found)
    return summary


def explain_words(
    caption: str,
    *,
    catalog: str | Path | Catalog | None = None,
    vocabulary: str = "synset",
    compat: Compat | None = None,
    hypernyms: bool = False,
    language: Language = "auto",
    unknown_words: bool = False,
) -> CaptionExplanation:
    """Every decision about one caption: how it is read, and which classes of a catalog it gets.

    Args:
        caption: Its text.
        catalog: Whose vocabulary is asked for the classes, as the newest `words` made it; None: no classes.
        vocabulary: As of `words`; so are the others.
        compat: See `words`.
        hypernyms: See `words`.
        language: See `words`.
        unknown_words: See `words`.

    Raises:
        DataError: The catalog has no words of this kind yet, or the file of terms is wrong.
        UsageError: An unknown vocabulary, rule or language.
        CatalogError: There is no catalog.
        MissingDependency: Sub-words or Japanese are asked for, and their extra is not installed.
    """
    space = label_space(
        vocabulary,
        compat=compat,
        language=language,
        unknown_words=unknown_words,
        tokeniser=_tokeniser() if vocabulary == "subword" else None,
    )
    if catalog is None:
        return explain_caption(caption, space)
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    return explain_caption(
        caption,
        space,
        vocabulary=load_vocabulary(opened, space.name),
        hypernyms=hypernyms,
        rare=why_no_class(opened, space.name),
    )


class NamedEncoder:
    """The text encoder of a name, loaded when it is first wanted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._encoder: CaptionEncoder | None = None

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """See `TextEncoder`."""
        return self.load()(texts)

    def load(self) -> CaptionEncoder:
        """The encoder itself.

        Raises:
            ModelError: There is none of that name.
            MissingDependency: The extra `text` is not installed.
        """
        if self._encoder is None:
            from synsight.models.text.loading import load_text_encoder

            self._encoder = load_text_encoder(self.name)
        return self._encoder


class _Search(TypedDict):
    exclude: Sequence[Exclusion]
    similarity_floor: float | None
    index: Index


def _tokeniser() -> Subwords:
    from synsight.models.text.tokens import TextTokeniser

    return TextTokeniser.load()
