"""Captions to sentence embeddings, as fast as the processor can: for neighbours, soft targets and caches."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.errors import ConfigError
from synsight.models.text.module import TextModule
from synsight.progress import progress_bar

Precision = Literal["auto", "bf16", "fp32"]

CHUNK = 8192
"""Captions tokenised and sorted at a time; the memory needed beside the result does not grow with them."""
CACHED_TOKENS = 512
"""Tokens of a batch for each processor thread: what a layer makes of them stays in its cache."""
FILLED = 0.85
"""Share of the longest caption's tokens that the shortest of a batch has at least."""


class TextEncoder:
    """A frozen text tower that turns captions into unit vectors.

    Each distinct caption is encoded once, in batches of almost equal length, in bfloat16 where the processor
    computes in it: a cosine of 0.9999 with float32 for MiniLM. What else is in a batch changes the last
    digits, in float32 too.

    Attributes:
        name: From which it was loaded.
        dimensions: E.
        precision: `bf16` or `fp32`.

    Args:
        tower: Is the encoder's from then on: in evaluation mode, without gradients, in its precision.
        name: What the user calls it.
        device: Where it computes; None: a GPU if there is one.
        precision: `auto`: bfloat16 where the device computes in it, else float32.

    Raises:
        ConfigError: The device does not compute in the precision.
    """

    def __init__(
        self,
        tower: TextModule,
        *,
        name: str,
        device: torch.device | str | None = None,
        precision: Precision = "auto",
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        able = _computes_bfloat16(self.device)
        if precision == "bf16" and not able:
            raise ConfigError(f"precision bf16 is not computed by {self.device}; use fp32, or auto.")
        self.name, self.dimensions = name, tower.embedding_dim
        self.precision = ("bf16" if able else "fp32") if precision == "auto" else precision
        self.tower = tower.to(self.device).eval().requires_grad_(False)
        if self.device.type == "cpu":
            tower.tune_for_processor()
        if self.precision == "bf16":
            # Weights alone: rotary frequencies and their kin are buffers and need their float32.
            for parameter in tower.parameters():
                parameter.data = parameter.data.to(torch.bfloat16)

    def __call__(self, texts: Sequence[str | None]) -> NDArray[np.float32]:
        """`encode` with its defaults."""
        return self.encode(texts)

    def encode(
        self, texts: Sequence[str | None], *, batch_size: int = 64, progress: bool = False
    ) -> NDArray[np.float32]:
        """Embed captions.

        Args:
            texts: N captions.
            batch_size: Captions computed at a time, at most; on a processor long ones go in smaller batches.
            progress: Show a bar on stderr.

        Returns:
            float32 [N, E]; rows have length 1, but for captions that are missing or blank: these say nothing
            and are zero vectors, similar to none.
        """
        distinct = list(dict.fromkeys(text for text in texts if text and not text.isspace()))
        places = {text: place for place, text in enumerate(distinct)}
        # One row more than captions, zero: blank ones have place -1.
        embeddings = np.zeros((len(distinct) + 1, self.dimensions), np.float32)
        with progress_bar("encode captions", total=len(distinct), shown=progress) as bar:
            for start in range(0, len(distinct), CHUNK):
                tokens = self.tower.tokenise(distinct[start : start + CHUNK])
                lengths = self.tower.lengths(tokens).numpy()
                for rows in _batches(lengths, most_rows=batch_size, most_tokens=self._most_tokens()):
                    embeddings[start + rows] = self._embed(tokens[rows])
                    bar.advance(len(rows))
        return embeddings[[places.get(text, -1) if text else -1 for text in texts]]

    @torch.inference_mode()
    def _embed(self, tokens: torch.Tensor) -> NDArray[np.float32]:
        features = self.tower(tokens.to(self.device)).float()
        unit: NDArray[np.float32] = torch.nn.functional.normalize(features, dim=1).cpu().numpy()
        return unit

    def _most_tokens(self) -> int | None:
        return None if self.device.type != "cpu" else CACHED_TOKENS * torch.get_num_threads()


def _batches(
    lengths: NDArray[np.int64], *, most_rows: int, most_tokens: int | None
) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of almost equal length, the longest first in all and in each."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        fitting = most_rows if most_tokens is None else min(most_rows, max(most_tokens // max(longest, 1), 1))
        rows = order[start : start + fitting]
        rows = rows[lengths[rows] >= FILLED * longest]
        yield rows
        start += len(rows)


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
