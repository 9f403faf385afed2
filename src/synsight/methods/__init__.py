"""One file per method: how one training step is wired from views, encoder, head and loss.

`METHODS` maps the names users type to the classes. A new method is one file here and one line in the dict.
"""

from synsight.methods.base import Method, Need, Rows, StepLoss
from synsight.methods.catlip import CatLIP, CatLIPConfig
from synsight.methods.clip import CLIP, CLIPConfig
from synsight.methods.distill import Distill, DistillConfig
from synsight.methods.lgsimclr import LGSimCLR, LGSimCLRConfig
from synsight.methods.lgsimsiam import LGSimSiam, LGSimSiamConfig
from synsight.methods.lgslip import LGSLIP, LGSLIPConfig
from synsight.methods.siglip import SigLIP, SigLIPConfig
from synsight.methods.simclr import SimCLR, SimCLRConfig
from synsight.methods.simsiam import SimSiam, SimSiamConfig
from synsight.methods.superclass import SuperClass, SuperClassConfig
from synsight.methods.superclip import SuperCLIP, SuperCLIPConfig
from synsight.methods.supervised import Supervised, SupervisedConfig
from synsight.methods.xclr import XCLR, XCLRConfig

MethodConfig = (
    SimCLRConfig
    | SimSiamConfig
    | CLIPConfig
    | SigLIPConfig
    | LGSimCLRConfig
    | LGSimSiamConfig
    | LGSLIPConfig
    | XCLRConfig
    | CatLIPConfig
    | SuperClassConfig
    | SuperCLIPConfig
    | SupervisedConfig
    | DistillConfig
)

METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "simsiam": SimSiam,
    "clip": CLIP,
    "siglip": SigLIP,
    "lgsimclr": LGSimCLR,
    "lgsimsiam": LGSimSiam,
    "lgslip": LGSLIP,
    "xclr": XCLR,
    "catlip": CatLIP,
    "superclass": SuperClass,
    "superclip": SuperCLIP,
    "supervised": Supervised,
}

TAUGHT: dict[str, type[Method]] = {"distill": Distill}
"""Methods that need another model to learn from, so that no recipe names them by itself."""


def method_class(name: str) -> type[Method]:
    """The class of a method by the name in its config."""
    return METHODS[name] if name in METHODS else TAUGHT[name]


__all__ = [
    "METHODS",
    "TAUGHT",
    "method_class",
    "Method",
    "MethodConfig",
    "Need",
    "Rows",
    "StepLoss",
    "SimCLR",
    "SimCLRConfig",
    "SimSiam",
    "SimSiamConfig",
    "CLIP",
    "CLIPConfig",
    "SigLIP",
    "SigLIPConfig",
    "LGSimCLR",
    "LGSimCLRConfig",
    "LGSimSiam",
    "LGSimSiamConfig",
    "LGSLIP",
    "LGSLIPConfig",
    "XCLR",
    "XCLRConfig",
    "CatLIP",
    "CatLIPConfig",
    "SuperClass",
    "SuperClassConfig",
    "SuperCLIP",
    "SuperCLIPConfig",
    "Supervised",
    "SupervisedConfig",
    "Distill",
    "DistillConfig",
]
