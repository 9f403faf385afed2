"""Typed settings to and from plain values, and changes to them by dotted path.

A config is a tree of frozen dataclasses. YAML, JSON and the command line know only plain values and
strings; the types of the fields say how to read them back.
"""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synsight.errors import UsageError, near_names

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """A tree of dataclasses as dicts, lists, strings, numbers and None, fields in their order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    return value


def from_plain(kind: type[T], plain: Any, *, path: str = "") -> T:
    """The dataclass `kind` that `to_plain` took apart; strings are converted to the fields' types.

    Raises:
        UsageError: A field nobody knows, or a value that is not of its field's type.
        ConfigError: From the dataclass's own checks.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(
            f"{path or 'config'}: expected named settings, got {plain!r}; write key: value pairs."
        )
    known = get_type_hints(kind)
    values = {}
    for name, value in plain.items():
        here = f"{path}.{name}" if path else str(name)
        if name not in known:
            raise UsageError(f"no setting is called {here!r}; {near_names(str(name), known)}")
        values[name] = _read(known[name], value, here)
    return kind(**values)


def override(config: T, changes: Mapping[str, object]) -> T:
    """A copy of `config` with some fields changed.

    Args:
        config: Any tree of dataclasses.
        changes: Dotted path of a field to its new value, as `{"optim.lr": "1e-3", "epochs": 5}`; strings
            are converted to the field's type, `"none"` empties a field that may be empty.

    Raises:
        UsageError: An unknown path (the near ones are named), or a value of another type.
    """
    plain = to_plain(config)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = plain
        for name in parents:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            raise UsageError(f"no setting is called {path!r}; {near_names(path, paths(config))}")
        place[last] = value
    return from_plain(type(config), plain)


def paths(config: Any) -> dict[str, Any]:
    """Dotted path of every field that `override` can change, with its present value."""
    return _leaves(to_plain(config), "")


def _leaves(plain: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in plain.items():
        here = f"{prefix}{name}"
        found.update(_leaves(value, f"{here}.") if isinstance(value, Mapping) else {here: value})
    return found


def _read(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{path}: expected one of {', '.join(map(str, get_args(kind)))}; got {value!r}.")
        return value
    if get_origin(kind) is tuple:
        return _read_tuple(get_args(kind), value, path)
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else from_plain(kind, value, path=path)
    return _read_scalar(kind, value, path)


def _read_union(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if type(None) in kinds and (value is None or str(value).lower() in ("none", "null")):
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) == 1:
        return _read(kinds[0], value, path)
    by_name = {kind.name: kind for kind in kinds}
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)
    if name not in by_name:
        raise UsageError(f"{path}.name: {name!r} is unknown; {near_names(str(name), by_name)}")
    return _read(by_name[name], value, path)


def _read_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    parts = (value.split(",") if value else []) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise UsageError(f"{path}: expected a list of values, got {value!r}; write them with commas between.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(parts)
    if len(parts) != len(kinds):
        raise UsageError(f"{path}: expected {len(kinds)} values, got {len(parts)} ({value!r}).")
    return tuple(_read(kind, part, path) for kind, part in zip(kinds, parts, strict=True))


def _read_scalar(kind: Any, value: Any, path: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if kind is int:
            number = float(value)
            if isinstance(value, bool) or number != int(number):
                raise ValueError
            return value if isinstance(value, int) else int(number)
        if kind is float and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise UsageError(f"{path}: expected {words.get(kind, kind)}, got {value!r}.")
