"""Text towers of open_clip's models, as modules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from synsight.errors import ModelError, ShapeError
from synsight.models.text.module import TextModule


class OpenClipTower(TextModule):
    """The text tower of an open_clip model, its projection included: what `encode_text` gives.

    CLIP's own kind (causal, read at the end mark) computes a batch no wider than its longest caption; the
    others (SigLIP, CoCa, transformers' models), which look at their padding or bring their own mask, are
    given the whole context.

    Args:
        text: open_clip's module, from token ids [B, L] to features [B, D].
        tokeniser: From captions and a `context_length` to ids [N, L]; has the attribute `context_length`.
        context_length: Tokens of a caption that are read; only CLIP's own kind can read fewer than it was
            made for. None: all.
        settings: Name from which to build it again.
        pretrained: Whether it has learnt weights.
    """

    pad_id = 0

    def __init__(
        self,
        text: Any,
        *,
        tokeniser: Callable[..., Tensor],
        settings: Mapping[str, Any],
        pretrained: bool,
        context_length: int | None = None,
    ) -> None:
        super().__init__()
        self.text, self.settings, self.pretrained = text, settings, pretrained
        self._tokeniser = tokeniser
        self._is_causal = (
            getattr(text, "pool_type", None) == "argmax"
            and getattr(text, "attn_mask", None) is not None
            and getattr(text, "cls_emb", None) is None
        )
        longest: int = tokeniser.context_length  # type: ignore[attr-defined]
        if context_length is not None and context_length < longest and not self._is_causal:
            raise ModelError(
                f"{settings['tower']}: reads {longest} tokens of a caption and cannot do with fewer; leave "
                f"out context_length {context_length}."
            )
        self.context_length = min(context_length or longest, longest)
        with torch.no_grad():
            self.embedding_dim = self(self.tokenise(["a"])).shape[1]

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """As `TextModule`; other kinds than CLIP's own get the whole context."""
        if not texts:
            return torch.zeros(0, 1, dtype=torch.int64)
        return self.trimmed(self._tokeniser(list(texts), context_length=self.context_length))

    def lengths(self, tokens: Tensor) -> Tensor:
        """As `TextModule`."""
        if self._is_causal:
            return tokens.argmax(dim=1) + 1
        return torch.full_like(tokens[:, 0], tokens.shape[1])

    def forward(self, tokens: Tensor) -> Tensor:
        """As `TextModule`.

        Raises:
            ShapeError: A tower that needs the whole context was given less.
        """
        if self._is_causal:
            return self._causal(self.trimmed(tokens))
        if tokens.shape[1] != self.context_length:
            raise ShapeError(
                f"expected tokens [B, {self.context_length}], got {list(tokens.shape)}; use `tokenise` of "
                "this tower."
            )
        features = self.text(tokens)
        if isinstance(features, tuple):  # CoCa: the features of each token beside those of the caption
            features = features[0]
        result: Tensor = features
        return result

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As `TextModule`."""
        self.text.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """As `TextModule`."""
        names = self.text.no_weight_decay() if hasattr(self.text, "no_weight_decay") else ()
        return {f"text.{name}" for name in names}

    def _causal(self, tokens: Tensor) -> Tensor:
        """open_clip's forward, whose mask would only fit the whole context."""
        text, length = self.text, tokens.shape[1]
        dtype = text.transformer.get_cast_dtype()
        x = text.token_embedding(tokens).to(dtype) + text.positional_embedding[:length].to(dtype)
        x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:length, :length]))
        x = x[torch.arange(len(x), device=x.device), self.lengths(tokens) - 1]
        if isinstance(text.text_projection, torch.nn.Linear):
            x = text.text_projection(x)
        elif text.text_projection is not None:
            x = x @ text.text_projection
        features: Tensor = x
        return features
