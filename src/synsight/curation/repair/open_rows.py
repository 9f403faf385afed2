"""Rows whose caption cleaning does not settle, and what each of them could have."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from synsight.curation.repair.choosing import Option, choose

DROPPED = "dropped"
"""Origin of no caption where there was one."""


@dataclass(frozen=True)
class OpenRow:
    """A row whose caption is not settled by cleaning alone."""

    found: str | None
    clean: str | None
    is_useless: bool
    may_go: bool = False
    """Whether it goes where there is nothing better."""
    others: list[Option] = field(default_factory=list)

    def options(self, *, compared: bool) -> list[Option]:
        """What it could have, what is kept when in doubt first.

        Args:
            compared: Whether a score decides; else what was borrowed goes before a useless caption.
        """
        if self.may_go and not self.others:
            return []
        own = [Option(self.clean, _own_origin(self.clean, self.found))] if self.clean else []
        if not own and not self.others and self.found:
            return [Option(self.found, "original")]
        return own + self.others if compared or not self.is_useless else self.others + own


def choice(
    row: OpenRow, scores: Sequence[float], *, gain: float
) -> tuple[str | None, str | None, float | None, float | None]:
    """What a row gets: caption, origin, its score, the score of what cleaning left.

    Args:
        row: With its options.
        scores: One for each of them, 0 to 1; none: the first is taken.
        gain: By how much another has to lead to replace the first.
    """
    options = row.options(compared=bool(scores))
    if not options:
        return None, DROPPED if row.may_go else None, None, None
    best, score = choose(options, scores, smallest_gain=gain)
    own = scores[0] if score is not None and row.clean else None
    return options[best].text, options[best].origin, score, own


def _own_origin(clean: str, found: str | None) -> str:
    return "original" if clean == found else "cleaned"
