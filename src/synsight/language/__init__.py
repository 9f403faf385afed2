"""From captions to named concepts: clean text, noun synsets of WordNet 3.0, and the vocabulary of a model."""

from synsight.language.clean import clean_caption
from synsight.language.corenet import CorenetMatcher
from synsight.language.labelling import words
from synsight.language.synsets import SynsetMatcher
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.language.wordnet import NounTable

__all__ = [
    "words",
    "Vocabulary",
    "load_vocabulary",
    "SynsetMatcher",
    "CorenetMatcher",
    "NounTable",
    "clean_caption",
]
