"""card.yaml: what only people can say of a model and its data; kept whenever the cards are made again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from synsight.errors import DataError
from synsight.files import write_text
from synsight.reports.page_words import page_words

FORM = "card.yaml"
MOST_BYTES = 1 << 20
"""Of the form; it holds some pages of text."""

FIELDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "model": {
        "details": ("owner", "contact", "released", "licence", "citation"),
        "use": ("primary", "users", "out_of_scope"),
        "factors": ("relevant",),
        "metrics": ("reason", "threshold"),
        "evaluation_data": ("reason",),
        "training_data": ("notes",),
        "ethics": ("people", "risks", "mitigations"),
        "caveats": ("recommendations",),
    },
    "data": {
        "motivation": ("purpose", "creators", "funding"),
        "composition": ("instances", "people", "errors"),
        "collection": ("how", "who", "consent", "review"),
        "preprocessing": ("raw", "labelling"),
        "uses": ("other", "unsuitable"),
        "distribution": ("parties", "terms"),
        "maintenance": ("who", "contact", "updates", "retention"),
    },
}
"""Card -> section -> what is asked there."""


def read_form(path: Path) -> dict[str, str]:
    """What people have written: "model.use.primary" -> text; empty where there is no form yet.

    Raises:
        DataError: The file is no form.
    """
    if not path.exists():
        return {}
    problem = f"{path}: expected the form that `synsight card` wrote, found"
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{problem} more than {MOST_BYTES:,} bytes; shorten it.")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" (line {line + 1})"
        raise DataError(f"{problem} text that is no YAML{where}; mend it, or move it away.") from None
    if found is None:
        return {}
    texts: dict[str, str] = {}
    _gather(found, "", texts, problem)
    return texts


def write_form(path: Path, texts: Mapping[str, str], *, locale: str = "en") -> None:
    """Write the form with all questions; what was written before is kept, also under keys we do not ask for.

    Raises:
        StorageError: The disk refused.
    """
    words = page_words("card", locale)
    lines = [f"# {line}" for line in words.words["form"].split("\n")]
    for card, sections in FIELDS.items():
        lines += ["", f"{card}:"]
        for section, names in sections.items():
            lines.append(f"  {section}:")
            for name in names:
                lines.append(f"    # {words.words[f'ask.{card}.{section}.{name}']}")
                lines += _entry(name, texts.get(f"{card}.{section}.{name}", ""))
    known = {f"{card}.{key}" for card in FIELDS for key in keys_of(card)}
    more = {key: text for key, text in texts.items() if key not in known}
    if more:
        lines += ["", yaml.safe_dump({"more": more}, allow_unicode=True).rstrip()]
    write_text(path, "\n".join(lines) + "\n")


def keys_of(card: str) -> list[str]:
    """All fields of a card, as "use.primary"."""
    return [f"{section}.{name}" for section, names in FIELDS[card].items() for name in names]


def _entry(name: str, text: str) -> list[str]:
    if not text:
        return [f"    {name}: "]
    written = yaml.safe_dump({name: text}, allow_unicode=True, default_style=None, width=100).rstrip()
    return [f"    {line}" if line else "" for line in written.split("\n")]


def _gather(found: Any, key: str, texts: dict[str, str], problem: str) -> None:
    if isinstance(found, Mapping):
        for name, value in found.items():
            inner = str(name) if not key or key == "more" else f"{key}.{name}"
            _gather(value, inner, texts, problem)
    elif found is None:
        return
    elif isinstance(found, str | int | float) and key:
        if text := str(found).strip():
            texts[key] = text
    else:
        raise DataError(f"{problem} {type(found).__name__} at {key or 'its top'!r}; write text there.")
