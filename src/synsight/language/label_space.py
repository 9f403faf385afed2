"""What words can be: the rule that finds them, their keys, their readable names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from synsight.errors import ConfigError, UsageError, near_names
from synsight.language.corenet import CorenetMatcher
from synsight.language.matches import Matches
from synsight.language.subwords import SubwordMatcher, Subwords, subword_names
from synsight.language.synsets import SynsetMatcher
from synsight.language.vocabulary import default_min_count, subword_key, unique_names
from synsight.language.wordnet import key_of

Compat = Literal["corenet"]


class Matcher(Protocol):
    """A rule from captions to words, each a number: a synset's offset or a sub-word's id."""

    def match(self, captions: Sequence[str]) -> Matches:
        """The words of each caption."""

    def join(self, texts: Iterable[str | None]) -> str:
        """Several texts of one row as one caption."""


MATCHERS: Mapping[Compat | None, Callable[[], Matcher]] = {
    None: SynsetMatcher.load,
    "corenet": CorenetMatcher.load,
}
"""`compat` -> the rule for synsets."""
VOCABULARIES = ("synset", "subword")


@dataclass(frozen=True)
class LabelSpace:
    """One kind of words; picklable."""

    name: str
    """As in the column `words_<name>`."""
    matcher: Callable[[], Matcher]
    """Loads the rule, where it is wanted."""
    settings: Mapping[str, object]
    """What the rule's results depend on, as JSON values."""
    key_of: Callable[[int], str]
    """A word's number -> its key in the vocabulary."""
    names_of: Callable[[list[int]], list[str]]
    """Numbers -> readable names, each unique."""
    min_count: Callable[[int], int]
    """Train rows -> fewest of them that have a class, where the user says nothing."""
    has_ancestors: bool = field(default=False)
    """Whether words are kinds of other words."""


def label_space(name: str, *, compat: Compat | None = None, tokeniser: Subwords | None = None) -> LabelSpace:
    """A kind of words by its name.

    Args:
        name: `synset` or `subword`.
        compat: `corenet`: find synsets as CatLIP's released code does.
        tokeniser: Cuts captions into sub-words.

    Raises:
        UsageError: An unknown name, or a rule that this kind of words does not have.
        ConfigError: Sub-words without a tokeniser.
    """
    if name not in VOCABULARIES:
        raise UsageError(f"there is no vocabulary {name!r}; {near_names(name, VOCABULARIES)}")
    if compat not in MATCHERS:
        raise UsageError(
            f"there is no rule {compat!r} to be compatible with; {near_names(str(compat), ['corenet'])}"
        )
    if name == "synset":
        return LabelSpace(
            name, MATCHERS[compat], {"compat": compat}, key_of, unique_names, default_min_count, True
        )
    if compat is not None:
        raise UsageError(f"compat {compat!r} is a rule for synsets; leave it out with vocabulary 'subword'.")
    if tokeniser is None:
        raise ConfigError(
            "the vocabulary 'subword' needs a tokeniser, as synsight.models.text.TextTokeniser()."
        )
    return LabelSpace(
        name,
        partial(SubwordMatcher, tokeniser),
        {"tokeniser": "clip-bpe"},
        subword_key,
        partial(subword_names, tokeniser=tokeniser),
        _every_subword,
    )


def _every_subword(_: int) -> int:
    """SuperClass leaves out none; one that no train row has can be learnt by none."""
    return 1
