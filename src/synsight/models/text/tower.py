"""CLIP's text tower: a small causal transformer, to be trained from scratch beside an image encoder."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from synsight.errors import ConfigError, ShapeError
from synsight.models.text.module import TextModule
from synsight.models.text.tokens import TextTokeniser


@dataclass(frozen=True, kw_only=True)
class TextTowerConfig:
    """Sizes of a text tower."""

    width: int = 256
    """D, of every layer and of the features."""
    layers: int = 4
    heads: int = 4
    """Attention heads of a layer; they share the width."""
    context_length: int = 32
    """Tokens of a caption that are read, start and end included."""
    vocab_size: int = TextTokeniser.vocab_size

    def __post_init__(self) -> None:
        tokens = TextTokeniser.vocab_size
        least_of = {"width": 1, "layers": 1, "heads": 1, "context_length": 2, "vocab_size": tokens}
        for name, least in least_of.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"{name} must be an integer >= {least}; got {value!r}")
        if self.width % self.heads:
            raise ConfigError(f"width must be a multiple of heads; got {self.width} and {self.heads}")


CLIP_TEXT_TOWER = TextTowerConfig(width=512, layers=12, heads=8, context_length=77)
"""The tower beside CLIP's ViT-B."""


class TextTower(TextModule):
    """CLIP's text transformer up to the linear projection, which is the method's.

    Token and learned position embeddings; layers of causal attention and an MLP of four times the width, each
    behind a LayerNorm; a last LayerNorm; and of its rows the one at the caption's end mark. Parameters have
    open_clip's names, so weights of its `TextTransformer` load as they are.

    Departures: GELU, as in open_clip, for the paper's QuickGELU; a batch is as wide as its longest caption,
    not as the context, which changes nothing because no token looks ahead.

    Reference: Radford et al. 2021 (CLIP), section 2.4, https://arxiv.org/abs/2103.00020; initial weights as
    released (https://github.com/openai/CLIP, `initialize_parameters`).
    """

    pad_id = 0
    pretrained = False

    def __init__(self, config: TextTowerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TextTowerConfig()
        self.embedding_dim, self.context_length = config.width, config.context_length
        self.settings = {"tower": "transformer", **asdict(config)}
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = _Transformer(config)
        self.ln_final = nn.LayerNorm(config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """As `TextModule`; needs open_clip's vocabulary."""
        tokens = TextTokeniser.load().encode_batch(texts, self.context_length)
        return self.trimmed(torch.from_numpy(tokens).long())

    def lengths(self, tokens: Tensor) -> Tensor:
        """As `TextModule`: up to the first end mark, the largest id there is."""
        return tokens.argmax(dim=1) + 1

    def forward(self, tokens: Tensor) -> Tensor:
        """As `TextModule`.

        Raises:
            ShapeError: The tokens are not [B, L] with L up to the context length.
        """
        if tokens.ndim != 2 or tokens.shape[1] > self.context_length:
            raise ShapeError(
                f"expected tokens [B, L] with L up to {self.context_length}, got {list(tokens.shape)}; use "
                "`tokenise` of this tower."
            )
        tokens = self.trimmed(tokens)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.transformer(x)
        ends = self.lengths(tokens) - 1
        features: Tensor = self.ln_final(x[torch.arange(len(x), device=x.device), ends])
        return features

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As `TextModule`."""
        self.transformer.checkpointing = enable

    def no_weight_decay(self) -> set[str]:
        """As `TextModule`; as in open_clip."""
        return {"positional_embedding"}


class _Transformer(nn.Module):
    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.checkpointing = False
        self.resblocks = nn.ModuleList(_Block(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return x


class _Block(nn.Module):
    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        width = config.width
        # Two sums a layer go into the residual stream, whose variance would grow with the depth.
        into_stream = width**-0.5 * (2 * config.layers) ** -0.5
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = _CausalAttention(width, config.heads)
        nn.init.normal_(self.attn.out_proj.weight, std=into_stream)
        c_fc, c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        nn.init.normal_(c_fc.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(c_proj.weight, std=into_stream)
        self.mlp = nn.Sequential(OrderedDict(c_fc=c_fc, gelu=nn.GELU(), c_proj=c_proj))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        deeper: Tensor = x + self.mlp(self.ln_2(x))
        return deeper


class _CausalAttention(nn.Module):
    """Self-attention in which a token sees itself and those before it, [B, L, D] -> [B, L, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.normal_(self.in_proj_weight, std=width**-0.5)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        queries_keys_values = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = queries_keys_values.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # [B, heads, L, D / heads]
        mixed: Tensor = self.out_proj(seen.transpose(1, 2).flatten(2))
        return mixed
