"""Image backbones by name (timm, open_clip), heads, the saved model, and the features of a catalog."""

from synsight.models.backbones import build_backbone, default_stem, embedding_dim, pixel_statistics
from synsight.models.config import ModelConfig
from synsight.models.features import Embedded, catalog_features, embed, features_at
from synsight.models.heads import ProjectionHead, linear_head
from synsight.models.loading import build_start, check_start, load
from synsight.models.saved import Model
from synsight.models.starting import StartingEncoder
from synsight.models.text_side import TextSide

__all__ = [
    "Embedded",
    "Model",
    "ModelConfig",
    "ProjectionHead",
    "StartingEncoder",
    "TextSide",
    "build_backbone",
    "build_start",
    "catalog_features",
    "check_start",
    "default_stem",
    "embed",
    "embedding_dim",
    "features_at",
    "linear_head",
    "load",
    "pixel_statistics",
]
