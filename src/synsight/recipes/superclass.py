"""SuperClass: the words or sub-words of the captions against each other."""

from synsight.methods import SuperClassConfig
from synsight.recipes.small import crops, small_run
from synsight.training.config import RunConfig


def superclass() -> RunConfig:
    """SuperClass for small machines, on the catalog's synsets.

    Command: `synsight words cat/`, then `synsight pretrain superclass --data cat/ --out run/`; what it
    reached is in docs/results/methods.md. For sub-words as in the paper: `synsight words cat/ --vocabulary
    subword`, then `--words subword`. In the paper words are as good for small models (ViT-S 68.4 against
    67.9 linear), sub-words for large ones.
    """
    return small_run("superclass", SuperClassConfig(), crops())
