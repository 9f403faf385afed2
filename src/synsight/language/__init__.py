"""From captions to named concepts (clean text, noun synsets of WordNet 3.0 or sub-words, the vocabulary of a
model) and to neighbours (sentence embeddings, and which captions are near each other).
"""

from synsight.language.clean import clean_caption
from synsight.language.corenet import CorenetMatcher
from synsight.language.embedding import CaptionEncoder, embed_captions
from synsight.language.labelling import find_words
from synsight.language.neighbour_columns import find_neighbours
from synsight.language.neighbours import Neighbours, nearest
from synsight.language.subwords import SubwordMatcher, Subwords
from synsight.language.synsets import SynsetMatcher
from synsight.language.terms import Terms, load_terms
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.language.wordnet import NounTable

__all__ = [
    "find_words",
    "embed_captions",
    "find_neighbours",
    "nearest",
    "Neighbours",
    "Vocabulary",
    "load_vocabulary",
    "CaptionEncoder",
    "Subwords",
    "SubwordMatcher",
    "SynsetMatcher",
    "Terms",
    "load_terms",
    "CorenetMatcher",
    "NounTable",
    "clean_caption",
]
