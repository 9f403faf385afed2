"""Which arguments of an architecture may come from a config file that somebody else wrote."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import timm

from synsight.errors import ModelError

MAX_NUMBER = 2**16
MAX_LAYERS = 512
LAYERS = {"depth", "depths", "layers", "num_layers"}
MAX_LENGTH = 256


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise a ModelError unless the arguments can do no more than shape a timm architecture.

    An argument `checkpoint_path`, say, would make timm unpickle the file it names, and `pretrained` would
    make it ask the network. So no argument of timm's own factory passes, nor text that could be a path.
    """
    factory = {*inspect.signature(timm.create_model).parameters, "features_only"}
    factory |= set(inspect.signature(timm.models.build_model_with_cfg).parameters)
    for key, value in arguments.items():
        largest = MAX_LAYERS if key in LAYERS else MAX_NUMBER
        if key in factory or not _is_harmless(value, largest):
            raise ModelError(
                f"{name}: expected arguments that shape an architecture, found {key!r} = {value!r:.60}; "
                "use a model without this argument."
            )


def _is_harmless(value: Any, largest: int) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= MAX_LENGTH and all(_is_harmless(one, largest) for one in value)
    if isinstance(value, str):
        return re.fullmatch(r"\w{0,64}", value) is not None
    return value is None or (isinstance(value, int | float) and abs(value) <= largest)
