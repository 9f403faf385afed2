"""Losses as pure functions of tensors: they know no model, no file and no configuration.

Gathering across processes is handed in as a function, so that the same line serves one process or many. The
dense forms are the reference; the `tiled_` ones give the same numbers in flat memory.
"""

from synsight.objectives.clip import clip_loss
from synsight.objectives.grad_cache import backward_in_parts
from synsight.objectives.idf_softmax import idf_softmax, weighted_rows
from synsight.objectives.nt_xent import nt_xent
from synsight.objectives.pairwise_bce import pairwise_bce, same_class, semi_hard_negatives, shared_labels
from synsight.objectives.siglip import siglip_loss
from synsight.objectives.simsiam import negative_cosine
from synsight.objectives.sparse_bce import labelled_rows, sparse_bce
from synsight.objectives.supervised_contrastive import supervised_contrastive
from synsight.objectives.tiled import tiled_clip_loss, tiled_nt_xent, tiled_siglip_loss, tiled_xclr_loss
from synsight.objectives.xclr import xclr_loss

__all__ = [
    "nt_xent",
    "clip_loss",
    "siglip_loss",
    "xclr_loss",
    "negative_cosine",
    "sparse_bce",
    "labelled_rows",
    "idf_softmax",
    "weighted_rows",
    "pairwise_bce",
    "supervised_contrastive",
    "same_class",
    "shared_labels",
    "semi_hard_negatives",
    "tiled_nt_xent",
    "tiled_clip_loss",
    "tiled_siglip_loss",
    "tiled_xclr_loss",
    "backward_in_parts",
]
