"""Why a model answers as it does: named evidence, contributions of words, where, like what, why not.

    explainer = Explainer(model, reference=catalog)        # or reference=None
    record = explainer.explain(image, words=5, heat=True, locale="en")   # a PIL image or encoded bytes
    record.as_json()

gives plain values; pictures are data URLs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synsight.explanation.explain import explain
    from synsight.explanation.explainer import Explainer
    from synsight.reports.explanation_records import ExplanationRecord

_HOMES = {
    "Explainer": "synsight.explanation.explainer",
    "ExplanationRecord": "synsight.reports.explanation_records",
    "explain": "synsight.explanation.explain",
}

__all__ = ["Explainer", "ExplanationRecord", "explain"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synsight.explanation' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
