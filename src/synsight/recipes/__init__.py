"""Recipes: one function per setting, each returning a whole typed run; `pretrain` runs one by its name.

`RECIPES` maps the names users type to the functions.
"""

from synsight.recipes.catlip import catlip, catlip_cc3m, catlip_vit_b16, catlip_vit_h16, catlip_vit_l16
from synsight.recipes.clip import clip, clip_vit_b32, siglip, superclip
from synsight.recipes.language_guided import lgsimclr, lgsimclr_published, lgsimsiam, lgslip, xclr
from synsight.recipes.names import RECIPES
from synsight.recipes.pretrain import pretrain
from synsight.recipes.simclr import (
    linear_rate,
    simclr,
    simclr_batch256,
    simclr_cifar10,
    simclr_imagenet,
    square_root_rate,
)
from synsight.recipes.simsiam import simsiam
from synsight.recipes.superclass import superclass
from synsight.recipes.supervised import supervised

__all__ = [
    "RECIPES",
    "pretrain",
    "simclr",
    "simclr_imagenet",
    "simclr_batch256",
    "simclr_cifar10",
    "simsiam",
    "clip",
    "clip_vit_b32",
    "siglip",
    "superclip",
    "lgsimclr",
    "lgsimclr_published",
    "lgsimsiam",
    "lgslip",
    "xclr",
    "catlip",
    "catlip_cc3m",
    "catlip_vit_b16",
    "catlip_vit_h16",
    "catlip_vit_l16",
    "superclass",
    "supervised",
    "linear_rate",
    "square_root_rate",
]
