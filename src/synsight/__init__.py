"""From images and their messy captions to a vision model of your own that says in words what it sees.

Every verb of the command line is a function here: `sample`, `ingest`, `audit`, `words`, `pretrain`, `embed`,
`evaluate`, `explain`, `compare`, `sweep`, `pilot`. `load` opens a model, `Catalog` a catalog. Names are
looked up when first used, since torch takes seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synsight.curation.audit.auditing import audit
    from synsight.curation.repair.repairing import repair
    from synsight.data.catalog import Catalog
    from synsight.data.ingestion import ingest
    from synsight.data.samples import sample
    from synsight.deployment.export import export
    from synsight.deployment.serving import serve
    from synsight.deployment.slices import slices
    from synsight.explanation.explain import explain
    from synsight.finetuning.distillation import distill
    from synsight.models import load
    from synsight.models.captions import words
    from synsight.models.features import embed
    from synsight.recipes.pretrain import pretrain
    from synsight.workflow.adapting import adapt
    from synsight.workflow.cards import card
    from synsight.workflow.compare import compare
    from synsight.workflow.judging import evaluate
    from synsight.workflow.pilot import pilot
    from synsight.workflow.sweep import sweep
    from synsight.workflow.watching import monitor

_HOMES = {
    "Catalog": "synsight.data.catalog",
    "adapt": "synsight.workflow.adapting",
    "audit": "synsight.curation.audit.auditing",
    "card": "synsight.workflow.cards",
    "compare": "synsight.workflow",
    "distill": "synsight.finetuning.distillation",
    "embed": "synsight.models.features",
    "evaluate": "synsight.workflow.judging",
    "explain": "synsight.explanation.explain",
    "export": "synsight.deployment.export",
    "ingest": "synsight.data.ingestion",
    "load": "synsight.models",
    "monitor": "synsight.workflow.watching",
    "pilot": "synsight.workflow",
    "pretrain": "synsight.recipes",
    "repair": "synsight.curation.repair.repairing",
    "sample": "synsight.data.samples",
    "serve": "synsight.deployment.serving",
    "slices": "synsight.deployment.slices",
    "sweep": "synsight.workflow",
    "words": "synsight.models.captions",
}

__all__ = [
    "Catalog",
    "adapt",
    "audit",
    "card",
    "compare",
    "distill",
    "embed",
    "evaluate",
    "explain",
    "export",
    "ingest",
    "load",
    "monitor",
    "pilot",
    "pretrain",
    "repair",
    "sample",
    "serve",
    "slices",
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
