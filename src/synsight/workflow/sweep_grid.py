"""The grid of a sweep: settings with several values are axes, and the runs are their product."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from synsight.errors import ConfigError, UsageError, near_names
from synsight.recipes import RECIPES
from synsight.training import RunConfig, override, paths
from synsight.training.run_folder import FREE_ON_RESUME

SHORT = {"projection_dim": "method.projection_dim"}
"""Short names of settings that sweeps are often about."""

SQL = frozenset({"where", "train_where"})
"""Settings whose text has commas of its own."""

LONGEST_NAME = 90
"""Characters of a cell's name before it is cut; a folder's name may have 255 bytes."""


@dataclass(frozen=True)
class Cell:
    """One combination of the grid's values, the seed apart."""

    name: str
    """Of its folders; the same when values are added to the grid later."""
    title: str
    """What it is called in tables: its recipe, and what differs within the grid."""
    recipe: str
    encoder: str
    settings: Mapping[str, Any]
    """Dotted path -> value: what is changed in the recipe, the seed apart."""
    axes: Mapping[str, Any]
    """Those of the settings that vary within the grid."""
    config: RunConfig | None
    """The whole run; None when the recipe does not accept the settings."""
    refused: str = ""
    """Why not."""


@dataclass(frozen=True)
class Grid:
    """All combinations, and what a reader must know about them."""

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[Any, ...]]
    """Dotted path -> one value or several, the seed apart."""
    notes: tuple[str, ...]
    """Settings that some recipes do not have."""

    @property
    def frame(self) -> dict[str, Any]:
        """What may not change while values are added: which settings there are, and those with one value.

        The encoder is part of every cell's name, so encoders may be added to a single one; what changes no
        number of a run (as `workers`) is free.
        """
        axes = [path for path, several in self.values.items() if len(several) > 1 and path != "encoder"]
        free = {*axes, "encoder", *FREE_ON_RESUME}
        return {
            "axes": sorted(axes),
            "fixed": {path: _text(several) for path, several in self.values.items() if path not in free},
        }

    @property
    def flags(self) -> list[str]:
        """The grid as words of a command line."""
        words = ["--recipe", ",".join(dict.fromkeys(cell.recipe for cell in self.cells))]
        for path, several in self.values.items():
            words += [f"--{path.replace('_', '-')}", _text(several)]
        return [*words, "--seed", ",".join(map(str, self.seeds))]


def build_grid(
    recipes: Sequence[str] | str, settings: Mapping[str, object], *, given: Mapping[str, object]
) -> Grid:
    """Spell a grid out; whatever is wrong with its names or the types of its values is said here.

    A setting that some of the recipes do not have is left out for them.

    Args:
        recipes: Names of recipes, or one string with commas between them.
        settings: Dotted path -> value, or several: a list, or a string with commas between them. Where the
            value itself is a list or SQL, a string parts them by ";". `seed` may be among them.
        given: Settings that every run gets besides, as the label.

    Raises:
        UsageError: A recipe or setting that does not exist, or a value of another type.
        ConfigError: No recipe accepts any combination.
    """
    names = _distinct(_values("recipe", recipes, whole=False))
    for name in names:
        if name not in RECIPES:
            raise UsageError(f"no recipe is called {name!r}; {near_names(str(name), RECIPES)}")
    known = {str(name): paths(RECIPES[str(name)]()) for name in names}
    values = _read(settings, known)
    seeds = tuple(dict.fromkeys(_whole_number(seed) for seed in values.pop("seed", (0,))))
    axes = tuple(path for path, several in values.items() if len(several) > 1)
    cells = [
        _cell(recipe, dict(zip(chosen, combination, strict=True)), axes, values, given)
        for recipe, own in known.items()
        for chosen in [[path for path in values if path in own]]
        for combination in product(*(values[path] for path in chosen))
    ]
    if all(cell.refused for cell in cells):
        raise ConfigError(cells[0].refused)
    return Grid(
        cells=tuple({cell.name: cell for cell in cells}.values()),
        seeds=seeds,
        values=values,
        notes=tuple(_notes(values, known)),
    )


def _read(
    settings: Mapping[str, object], known: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[object, ...]]:
    every = {path: value for own in known.values() for path, value in own.items()}
    values = {}
    for name, value in settings.items():
        path = SHORT.get(name, name)
        if path not in every or path in ("recipe", "data"):
            whose = f"the recipe{'s' * (len(known) > 1)} {', '.join(known)}"
            raise UsageError(f"no setting of {whose} is called {name!r}; {near_names(name, every)}")
        whole = isinstance(every[path], list) or path.rpartition(".")[2] in SQL
        values[path] = _distinct(_values(path, value, whole=whole))
    return values


def _values(name: str, value: object, *, whole: bool) -> list[Any]:
    """The values of one axis; `whole`: a comma belongs to the value."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(";" if whole else ",")]
        several: list[Any] = [part for part in parts if part]
    elif isinstance(value, list) or (isinstance(value, tuple) and not whole):
        several = list(value)
    else:
        several = [value]
    if not several:
        raise UsageError(f"{name}: expected at least one value, got none; write them with commas between.")
    return several


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({str(value): value for value in values}.values())


def _whole_number(seed: object) -> int:
    try:
        return int(str(seed))
    except ValueError:
        raise UsageError(f"seed: expected whole numbers, got {seed!r}; write them as 0,1,2.") from None


def _cell(
    recipe: str,
    settings: dict[str, Any],
    axes: Sequence[str],
    values: Mapping[str, Sequence[object]],
    given: Mapping[str, object],
) -> Cell:
    varied = [path for path in axes if path in settings and path != "encoder"]
    try:
        config = override(RECIPES[recipe](), {**given, **settings})
        typed, refused = paths(config), ""
    except ConfigError as error:
        config, refused, typed = None, str(error), paths(RECIPES[recipe]()) | settings
    said = [f"{_last(path, axes)} {_said(typed[path])}" for path in varied]
    encoder = str(typed["encoder"])
    parts = [recipe, *([encoder] if len(values.get("encoder", ())) > 1 else []), *said]
    return Cell(
        name=_folder_name("-".join([recipe, encoder, *said]).replace(" ", "_")),
        title=", ".join(parts),
        recipe=recipe,
        encoder=encoder,
        settings=settings,
        axes={path: typed[path] for path in axes if path in settings},
        config=config,
        refused=refused,
    )


def _last(path: str, axes: Sequence[str]) -> str:
    """The path without its groups, where that still tells it from the other axes."""
    last = path.rpartition(".")[2]
    return last if [one.rpartition(".")[2] for one in axes].count(last) == 1 else path


def _said(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _text(several: Sequence[object]) -> str:
    """Values as they are typed."""
    said = [",".join(map(str, value)) if isinstance(value, list | tuple) else str(value) for value in several]
    return (";" if any("," in value for value in said) else ",").join(said)


def _folder_name(text: str) -> str:
    """The text as one name of a folder; what had to be changed in it is made up for by its hash."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:LONGEST_NAME]
    return name if name == text else f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _notes(values: Iterable[str], known: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for path in values:
        lacking = [recipe for recipe, own in known.items() if path not in own]
        if lacking:
            yield f"{path} is no setting of {', '.join(lacking)}, and is left out there."
