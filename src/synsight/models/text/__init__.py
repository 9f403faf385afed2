"""Text towers to train beside an image encoder, and frozen encoders of captions."""

from synsight.models.text.encoders import TextEncoder
from synsight.models.text.loading import (
    TRANSFORMERS,
    build_text_tower,
    load_text_encoder,
    rebuild_text_tower,
)
from synsight.models.text.module import TextModule
from synsight.models.text.tokens import TextTokeniser
from synsight.models.text.tower import CLIP_TEXT_TOWER, TextTower, TextTowerConfig

__all__ = [
    "CLIP_TEXT_TOWER",
    "TRANSFORMERS",
    "TextEncoder",
    "TextModule",
    "TextTokeniser",
    "TextTower",
    "TextTowerConfig",
    "build_text_tower",
    "load_text_encoder",
    "rebuild_text_tower",
]
