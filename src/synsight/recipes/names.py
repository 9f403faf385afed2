"""The recipes by the names that users type."""

from collections.abc import Callable

from synsight.recipes.catlip import catlip, catlip_cc3m, catlip_vit_b16, catlip_vit_h16, catlip_vit_l16
from synsight.recipes.clip import clip, clip_vit_b32, siglip, superclip
from synsight.recipes.language_guided import lgsimclr, lgsimclr_published, lgsimsiam, lgslip, xclr
from synsight.recipes.simclr import simclr, simclr_batch256, simclr_cifar10, simclr_imagenet
from synsight.recipes.simsiam import simsiam
from synsight.recipes.superclass import superclass
from synsight.recipes.supervised import supervised
from synsight.training.config import RunConfig

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "simclr": simclr,
    "simsiam": simsiam,
    "clip": clip,
    "siglip": siglip,
    "lgsimclr": lgsimclr,
    "lgsimsiam": lgsimsiam,
    "lgslip": lgslip,
    "xclr": xclr,
    "catlip": catlip,
    "superclass": superclass,
    "superclip": superclip,
    "supervised": supervised,
    "simclr-imagenet": simclr_imagenet,
    "simclr-batch256": simclr_batch256,
    "simclr-cifar10": simclr_cifar10,
    "clip-vit-b32": clip_vit_b32,
    "catlip-vit-b16": catlip_vit_b16,
    "catlip-vit-l16": catlip_vit_l16,
    "catlip-vit-h16": catlip_vit_h16,
    "catlip-cc3m": catlip_cc3m,
    "lgsimclr-published": lgsimclr_published,
}
