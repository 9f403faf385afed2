"""Losses as pure functions of tensors: they know no model, no file and no configuration.

Gathering across processes is handed in as a function, so that the same line serves one process or many.
"""

from synsight.objectives.nt_xent import nt_xent
from synsight.objectives.sparse_bce import labelled_rows, sparse_bce

__all__ = ["nt_xent", "sparse_bce", "labelled_rows"]
