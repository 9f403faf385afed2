"""What a text tower is to those who train it or encode with it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


class TextModule(nn.Module, ABC):
    """A module from captions as token ids to features, [B, L] -> [B, D].

    Ids are all it needs: where a caption ends is seen from them. Rows of one call are padded with `pad_id` to
    its longest caption, and columns that are padding in all rows of a batch cost nothing.

    Attributes:
        embedding_dim: D.
        context_length: Tokens of a caption that are read, start and end included.
        pad_id: What rows are filled up with.
        pretrained: Whether the weights were learnt elsewhere; such weights are best not decayed (Zhai et al.
            2023, section 4.5, https://arxiv.org/abs/2303.15343).
        settings: JSON values from which `rebuild_text_tower` makes a tower into which `state_dict` fits.
    """

    embedding_dim: int
    context_length: int
    pad_id: int
    pretrained: bool
    settings: Mapping[str, Any]

    @abstractmethod
    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Captions as token ids, int64 [N, L] on the CPU; L is the longest caption's, `context_length` at
        most.
        """

    @abstractmethod
    def lengths(self, tokens: Tensor) -> Tensor:
        """How many tokens of each row count, int64 [B], for tokens [B, L]; the others are padding."""

    @abstractmethod
    def forward(self, tokens: Tensor) -> Tensor:
        """Features [B, D], not normalised by us, of token ids [B, L]."""

    @abstractmethod
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute activations again in the backward pass rather than keep them."""

    def no_weight_decay(self) -> set[str]:
        """Parameters, beside biases and norms, that are not to be decayed."""
        return set()

    def tune_for_processor(self) -> None:
        """Be told that captions are going to be encoded on a processor, without gradients."""
        return

    def trimmed(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L] without the columns that are padding in all rows; at least one is left."""
        longest = int(self.lengths(tokens).max()) if len(tokens) else 1
        return tokens[:, : max(longest, 1)]
