"""The shifts of `adaptation_domains.py`: which rows are of the old domain, of the new one, or stay away."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synsight.data.catalog import Catalog
from synsight.evaluation.rows import Rows, Splits, read_splits
from synsight.evaluation.shifts import Known, Shift
from synsight.evaluation.shots import few_of
from synsight.models import Model, embed, features_at

LABEL = "category"
SAME = {
    "animals": "animals-nature",
    "food": "food-drink",
    "people": "people-body",
    "signs_and_symbols": "symbols",
    "transportation": "travel-places",
    "recreation": "activities",
    "office": "objects",
    "tools": "objects",
}
"""Class of openclipart -> class of emoji; others stay away, as do emoji of no such class."""


def _vendor(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    catalog = Catalog.open(arguments.emoji)
    splits = read_splits(catalog, LABEL)
    shift = _cut(catalog, splits, features_of(model, catalog, splits), arguments)
    told = (
        f"{', '.join(arguments.old.split(','))} → {arguments.new}: {len(shift.source):,} labelled rows, "
        f"{len(shift.target):,} training and {len(shift.test):,} test rows of the new vendor, "
        f"{shift.num_classes} classes"
    )
    return shift, [model.config.embedding_dim], told


def _text(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    """Images beside captions, where the caption does not name the label."""
    catalog = Catalog.open(arguments.emoji)
    everything = read_splits(catalog, LABEL)
    parts, left_out, total = {}, 0, 0
    for name in ("train", "val", "test"):
        rows: Rows = getattr(everything, name)
        texts = catalog.take(rows.positions, [arguments.text_column])[arguments.text_column].to_pylist()
        silent = np.array(
            [
                not (_words(text) & _words(everything.class_names[label]))
                for text, label in zip(texts, rows.labels, strict=True)
            ]
        )
        left_out, total = left_out + int((~silent).sum()), total + len(rows)
        parts[name] = rows.take(silent)
    splits = replace(everything, **parts)
    images = features_of(model, catalog, splits)
    vectors = [_vectors(catalog, rows) for rows in (splits.train, splits.val, splits.test)]
    both = [np.concatenate(pair, axis=1) for pair in zip(images, vectors, strict=True)]
    shift = _cut(catalog, splits, both, arguments)
    told = (
        f"images beside caption vectors, {arguments.old} → {arguments.new}: of {total:,} rows {left_out:,} "
        "stay away, as their text holds a word of their label's name; "
        f"{len(shift.source):,} labelled rows, {len(shift.test):,} test rows"
    )
    return shift, [model.config.embedding_dim, vectors[0].shape[1]], told


def _clipart(model: Model, arguments: argparse.Namespace) -> tuple[Shift, list[int], str]:
    emoji, clipart = Catalog.open(arguments.emoji), Catalog.open(arguments.clipart)
    names = tuple(sorted(set(SAME.values())))
    new, old = read_splits(emoji, LABEL), read_splits(clipart, LABEL)
    known: dict[str, Known] = {}
    for side, catalog, splits, classes in (
        ("old", clipart, old, SAME),
        ("new", emoji, new, {name: name for name in names}),
    ):
        number = np.array([names.index(classes[one]) if one in classes else -1 for one in splits.class_names])
        features = features_of(model, catalog, splits)
        for part, values in zip(("train", "val", "test"), features, strict=True):
            rows: Rows = getattr(splits, part)
            kept = number[rows.labels] >= 0
            if side == "new":
                kept &= _domains(rows) == arguments.new
            # Groups of two catalogs are of different things, whatever their numbers.
            codes = rows.group_codes + (10**6 if side == "old" else 0)
            renamed = replace(rows, labels=number[rows.labels], group_codes=codes)
            known[f"{side} {part}"] = Known(renamed, values).take(np.flatnonzero(kept))
    source = _few(known["old train"], arguments.source_labels)
    shift = Shift(
        name=arguments.new,
        label=LABEL,
        class_names=names,
        source=source,
        source_val=_few(known["old val"], arguments.source_labels),
        target=known["new train"],
        target_val=known["new val"],
        test=known["new test"],
        unlabelled=known["new train"].features[:0],
    )
    told = (
        f"openclipart → {arguments.new}: {len(source):,} labelled drawings, {len(shift.target):,} training "
        f"and {len(shift.test):,} test emoji, {len(names)} classes"
    )
    return shift, [model.config.embedding_dim], told


SHIFTS = {"vendor": _vendor, "text": _text, "clipart": _clipart}
"""Name -> from a model and the arguments: the rows, the widths of their blocks, a sentence about them."""


def _cut(
    catalog: Catalog, splits: Splits, features: Sequence[np.ndarray], arguments: argparse.Namespace
) -> Shift:
    """The vendors' rows by role; of the old ones so many labels of each class."""
    old = arguments.old.split(",")
    parts = {}
    for part, values in zip(("train", "val", "test"), features, strict=True):
        rows: Rows = getattr(splits, part)
        domains = _domains(rows)
        for side, wanted in (("old", np.isin(domains, old)), ("new", domains == arguments.new)):
            parts[f"{side} {part}"] = Known(rows, values).take(np.flatnonzero(wanted))
    return Shift(
        name=arguments.new,
        label=LABEL,
        class_names=splits.class_names,
        source=_few(parts["old train"], arguments.source_labels),
        source_val=_few(parts["old val"], arguments.source_labels),
        target=parts["new train"],
        target_val=parts["new val"],
        test=parts["new test"],
        unlabelled=parts["new train"].features[:0],
    )


def _few(known: Known, per_class: int) -> Known:
    return known.take(few_of(known.rows.labels, per_class=per_class, seed=0))


def features_of(model: Model, catalog: Catalog, splits: Splits) -> list[np.ndarray]:
    """Of train, val and test, [N, D] each; the catalog keeps them."""
    positions = [rows.positions for rows in (splits.train, splits.val, splits.test)]
    embed(model, catalog, progress=False)
    return features_at(model, catalog, positions, progress=False)


def _vectors(catalog: Catalog, rows: Rows) -> np.ndarray:
    found = catalog.take(rows.positions, ["caption_embedding"])["caption_embedding"].combine_chunks()
    return found.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1).astype(np.float32)


def _domains(rows: Rows) -> np.ndarray:
    """What stands before the first slash of an id."""
    return np.array([one.split("/", 1)[0] for one in rows.ids], dtype=object)


def _words(text: str | None) -> set[str]:
    """Lower case, letters only, a final s less: `animals-nature` holds `animal` and `nature`."""
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", (text or "").lower())}
