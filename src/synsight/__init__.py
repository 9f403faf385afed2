"""From images and their messy captions to a vision model of your own that says in words what it sees.

Every verb of the command line is a function here: `sample`, `ingest`, `audit`, `words`, `pretrain`, `embed`,
`evaluate`, `compare`, `sweep`, `pilot`. `load` opens a model, `Catalog` a catalog. Names are looked up when
first used, since torch takes seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synsight.curation.audit import audit
    from synsight.curation.repair import repair
    from synsight.data.catalog import Catalog
    from synsight.data.ingestion import ingest
    from synsight.data.samples import sample
    from synsight.models import load
    from synsight.models.captions import words
    from synsight.models.features import embed
    from synsight.recipes.pretrain import pretrain
    from synsight.workflow.compare import compare
    from synsight.workflow.judging import evaluate
    from synsight.workflow.pilot import pilot
    from synsight.workflow.sweep import sweep

_HOMES = {
    "Catalog": "synsight.data.catalog",
    "audit": "synsight.curation.audit",
    "compare": "synsight.workflow",
    "embed": "synsight.models.features",
    "evaluate": "synsight.workflow.judging",
    "ingest": "synsight.data.ingestion",
    "load": "synsight.models",
    "pilot": "synsight.workflow",
    "pretrain": "synsight.recipes",
    "repair": "synsight.curation.repair",
    "sample": "synsight.data.samples",
    "sweep": "synsight.workflow",
    "words": "synsight.models.captions",
}

__all__ = [
    "Catalog",
    "audit",
    "compare",
    "embed",
    "evaluate",
    "ingest",
    "load",
    "pilot",
    "pretrain",
    "repair",
    "sample",
    "sweep",
    "words",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("synsight")
    if name not in _HOMES:
        raise AttributeError(f"module 'synsight' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
