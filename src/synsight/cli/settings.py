"""Any setting of a run as a flag, as `--optim.lr 1e-3`: read from the words that are no flag of the verb."""

from collections.abc import Collection, Sequence
from typing import Annotated

from cyclopts import Parameter

from synsight.errors import UsageError, near_names

Recipe = Annotated[str, Parameter(allow_leading_hyphen=True, name="RECIPE")]
"""The words of `pretrain` that are no flag of it: a recipe and settings."""

Source = Annotated[str, Parameter(allow_leading_hyphen=True, name="SOURCE")]
"""The words of `pilot` that are no flag of it: a source and settings."""


def read_words(
    words: Sequence[str], *, what: str, flags: Collection[str]
) -> tuple[str | None, dict[str, str]]:
    """Part the one plain word from the settings.

    Args:
        words: As ("catlip", "--optim.lr", "1e-3", "--steps=40").
        what: What the plain word is, for messages.
        flags: The verb's own flags, to name a near one.

    Returns:
        The plain word, if there is one, and the settings: {"optim.lr": "1e-3", "steps": "40"}.

    Raises:
        UsageError: A setting without a value, or a second plain word.
    """
    plain: list[str] = []
    settings: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            plain.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(
                    f"{word} is no flag here, and has no value for a setting; {_near(name, flags)}"
                )
            value = rest.pop(0)
        settings[name.replace("-", "_")] = value
    if len(plain) > 1:
        raise UsageError(f"expected one {what}, got {' and '.join(map(repr, plain))}; give one.")
    return (plain[0] if plain else None), settings


def check_settings(settings: Collection[str], *, flags: Collection[str]) -> None:
    """A misspelt flag is not taken for a setting: "--epoch 3" is told about --epochs.

    Raises:
        UsageError: A name that is no setting of any recipe.
    """
    from synsight.recipes import RECIPES
    from synsight.training.settings import paths

    known = {path for recipe in RECIPES.values() for path in paths(recipe())}
    for name in sorted(set(settings) - known):
        near = near_names(name, {*known, *flags})
        raise UsageError(f"--{name} is no flag here, and no setting of a run; {near}")


def _near(name: str, flags: Collection[str]) -> str:
    return near_names(name.replace("-", "_"), flags)
