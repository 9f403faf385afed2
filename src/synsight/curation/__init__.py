"""Audit and repair of what a catalog holds: images, captions, splits."""

from synsight.curation.audit import audit
from synsight.curation.repair import repair

__all__ = ["audit", "repair"]
