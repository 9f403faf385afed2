"""Recipes: one function per setting, each returning a whole typed run; `pretrain` runs one by its name.

`RECIPES` maps the names users type to the functions.
"""

from synsight.recipes.catlip import catlip
from synsight.recipes.pretrain import RECIPES, pretrain
from synsight.recipes.simclr import linear_rate, simclr, square_root_rate
from synsight.recipes.supervised import supervised

__all__ = ["RECIPES", "pretrain", "simclr", "catlip", "supervised", "linear_rate", "square_root_rate"]
