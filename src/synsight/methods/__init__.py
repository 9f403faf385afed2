"""One file per method: how one training step is wired from views, encoder, head and loss.

`METHODS` maps the names users type to the classes. A new method is one file here and one line in the dict.
"""

from synsight.methods.base import Method, StepLoss
from synsight.methods.catlip import CatLIP, CatLIPConfig
from synsight.methods.simclr import SimCLR, SimCLRConfig
from synsight.methods.supervised import Supervised, SupervisedConfig

MethodConfig = SimCLRConfig | CatLIPConfig | SupervisedConfig

METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "catlip": CatLIP,
    "supervised": Supervised,
}

__all__ = [
    "METHODS",
    "Method",
    "MethodConfig",
    "StepLoss",
    "SimCLR",
    "SimCLRConfig",
    "CatLIP",
    "CatLIPConfig",
    "Supervised",
    "SupervisedConfig",
]
