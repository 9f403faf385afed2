"""Sentences around the names of classes, and names for classes: defaults, and CLIP_benchmark's files.

    templates     ["a photo of a {c}.", "the {c}"]          or {"DATASET": ["a photo of a {c}.", ...], ...}
    class names   {"LABEL": "name", "OTHER": ["name", "synonym"]}
                  or ["name of class 0", "name of class 1"] or {"DATASET": ["name of class 0", ...], ...}

Both are JSON; the forms with data sets are those of `<lang>_zeroshot_classification_templates.json` and
`<lang>_classnames.json` in CLIP_benchmark. "{}" and "{c}" stand for the name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synsight import files
from synsight.errors import DataError, UsageError, near_names

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "a photo of a {}.",
        "a photo of the {}.",
        "a close-up photo of a {}.",
        "a picture of a {}.",
        "a drawing of a {}.",
    ),
    "ja": ("{}の写真", "{}のクローズアップ写真", "{}の画像", "{}の絵", "これは{}です"),
}
"""Language -> sentences that suit photographs and drawings of anything."""
NAME_MARKS = ("{}", "{c}")
MOST_CHARACTERS = 2000
"""Of a template or a name."""


def default_templates(language: str) -> tuple[str, ...]:
    """The sentences of a language.

    Raises:
        UsageError: There are none.
    """
    if language not in TEMPLATES:
        raise UsageError(f"there are no sentences in {language!r}; {near_names(language, TEMPLATES)}")
    return TEMPLATES[language]


def read_templates(path: str | Path, *, dataset: str | None = None) -> tuple[str, ...]:
    """Sentences with "{}" for the name, from a file.

    Args:
        path: JSON as above.
        dataset: Which of the file's data sets; None: the only one.

    Raises:
        DataError: The file is missing, or of another form; names what was found.
        UsageError: The file has no such data set, or several, and none was named.
    """
    path = Path(path)
    value = files.read_json(path)
    if isinstance(value, Mapping):
        value = _of_dataset(path, value, dataset)
    if not _are_texts(value):
        raise _no_templates(path, value)
    templates = tuple(one.replace("{c}", "{}") for one in value)
    for template in templates:
        if template.count("{}") == 0 or len(template) > MOST_CHARACTERS:
            raise _no_templates(path, template)
    return templates


def read_class_names(
    path: str | Path, labels: Sequence[str], *, dataset: str | None = None
) -> list[tuple[str, ...]]:
    """The names of each label, from a file.

    A list names the classes by number: a label that is a number is its place, other labels take the names in
    their sorted order.

    Args:
        path: JSON as above.
        labels: Values of the label column, C, sorted.
        dataset: Which of the file's data sets; None: the only one.

    Raises:
        DataError: The file is missing or of another form, or a label has no name there.
        UsageError: As `read_templates`.
    """
    path = Path(path)
    value = files.read_json(path)
    if isinstance(value, Mapping) and not (dataset is None and set(labels) & set(value)):
        value = _of_dataset(path, value, dataset)
    if isinstance(value, Mapping):
        return [_names(path, label, value.get(label)) for label in labels]
    if not _are_texts(value):
        raise DataError(
            f"{path}: expected names of classes as a JSON object of labels or a list, found {_shown(value)}; "
            'write {"LABEL": "name", ...}.'
        )
    places = [int(label) for label in labels] if all(map(_is_number, labels)) else range(len(labels))
    if max(places, default=-1) >= len(value) or (isinstance(places, range) and len(labels) != len(value)):
        raise DataError(
            f"{path}: expected a name for each of {len(labels)} labels, found {len(value)} names; write an "
            'object {"LABEL": "name", ...}, which says which is which.'
        )
    return [_names(path, label, value[place]) for label, place in zip(labels, places, strict=True)]


def names_of_labels(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Labels that name themselves; what stands for a blank in them is one."""
    return [(" ".join(label.replace("_", " ").split()) or label,) for label in labels]


def _of_dataset(path: Path, value: Mapping[str, Any], dataset: str | None) -> Any:
    if dataset is None and len(value) == 1:
        return next(iter(value.values()))
    if dataset is None:
        raise UsageError(
            f"{path}: holds {len(value)} data sets ({', '.join(list(value)[:5])} ...), and none was named; "
            "say which one is meant, or keep it alone in a file."
        )
    if dataset not in value:
        raise UsageError(f"{path}: there is no data set {dataset!r}; {near_names(dataset, value)}")
    return value[dataset]


def _names(path: Path, label: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not _are_texts(names) or not all(one.strip() and len(one) <= MOST_CHARACTERS for one in names):
        raise DataError(
            f"{path}: expected a name, or a list of names, for the label {label!r}, found {_shown(value)}; "
            "add it."
        )
    return tuple(names)


def _no_templates(path: Path, value: Any) -> DataError:
    return DataError(
        f"{path}: expected a JSON list of sentences that hold '{{}}' or '{{c}}' for the name, found "
        f'{_shown(value)}; write ["a photo of a {{c}}."].'
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str) for one in value)


def _is_number(label: str) -> bool:
    return label.isdecimal() and label.isascii()


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value!r:.80}"
