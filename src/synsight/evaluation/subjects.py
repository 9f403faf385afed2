"""The models of an evaluation: loaded, named, and joined with their features of the labelled rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.errors import UsageError
from synsight.evaluation.given_features import features_digest, read_features
from synsight.evaluation.judged import Judged, Subject
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import Rows, Splits
from synsight.models import Model, embed, features_at, load

FeatureSource = Callable[[Model, Catalog], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""Positions [N], ascending, and features [N, D] of a catalog's rows."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A model, or a file of features, under the name it has in the records."""

    name: str
    source: str
    """As it was named: a MODEL folder, a timm name, a Parquet file."""
    digest: str
    model: Model | None
    """None: a file of features."""


def load_subjects(
    models: Sequence[str | Path],
    features: Sequence[str | Path],
    *,
    names: Mapping[str, str],
    image_size: int | None,
    seed: int,
) -> list[Named]:
    """Load the models, and check that the files are there.

    Args:
        models: MODEL folders, timm names and the like.
        features: Parquet files.
        names: Model or file -> its name; else a model is called as it was given, and a file by its stem.
        image_size: Of models that are no folder; None: that of the folders, where they agree.
        seed: Of untrained weights.

    Raises:
        UsageError: Nothing to judge, or two things with one name.
        ModelError: A model that cannot be loaded.
        DataError: A file that is not there.
    """
    called = [names.get(str(model), str(model)) for model in models]
    called += [names.get(str(path), Path(path).stem) for path in features]
    if not called:
        raise UsageError(
            "evaluate needs a model; name a MODEL folder, 'random:resnet18' or a timm name, or a file of "
            "features with --features."
        )
    sources = [str(one) for one in [*models, *features]]
    if twice := sorted({one for one in called if called.count(one) > 1}):
        alike = [source for source, name in zip(sources, called, strict=True) if name == twice[0]]
        if len(set(alike)) == 1:
            raise UsageError(f"{alike[0]} is to be judged twice; name it once.")
        raise UsageError(
            f"two things to be judged are called {twice[0]!r} ({' and '.join(alike)}); rename a file, or "
            "from Python give each its own name with names={...}."
        )
    digests = [features_digest(path) for path in features]  # before anything slow
    loaded = _load_all(models, image_size, seed)
    found = [model.digest for model in loaded] + digests
    return [
        Named(name=name, source=source, digest=digest, model=model)
        for name, source, digest, model in zip(
            called, sources, found, [*loaded, *[None] * len(features)], strict=True
        )
    ]


def judge(subject: Subject, named: Named, splits: Splits | None, *, source: FeatureSource | None) -> Subject:
    """With the labelled rows and the way to their features, where there is a label."""
    if splits is None:
        return subject
    catalog = subject.catalog

    def compute() -> Features:
        if named.model is None:
            return read_features(named.source, catalog, splits)
        return model_features(named.model, catalog, splits, source=source, progress=subject.progress)

    told: dict[str, Any] = {one.name: getattr(subject, one.name) for one in fields(subject)}
    return Judged(**told, splits=splits, compute=compute)


def model_features(
    model: Model,
    catalog: Catalog,
    splits: Splits,
    *,
    source: FeatureSource | None = None,
    progress: bool = True,
) -> Features:
    """One model's features of the labelled rows, from the source if there is one.

    Else, where most rows have a label, the features of all rows are computed once and kept in the catalog;
    where few have one, only theirs are computed, unless the catalog keeps them already.
    """
    if source is None:
        labelled = len(splits.train) + len(splits.val) + len(splits.test)
        if 2 * labelled >= catalog.count_rows():
            embed(model, catalog, progress=progress)
        where = f"`{splits.label}` IS NOT NULL"
        wanted = [one.positions for one in (splits.train, splits.val, splits.test)]
        train, val, test = features_at(model, catalog, wanted, where=where, progress=progress)
        return Features(train=train, val=val, test=test)
    positions, features = source(model, catalog)

    def of(rows: Rows) -> Any:
        return features[np.searchsorted(positions, rows.positions)]

    return Features(train=of(splits.train), val=of(splits.val), test=of(splits.test))


def _load_all(models: Sequence[str | Path], image_size: int | None, seed: int) -> list[Model]:
    """Folders first, since they say at which size the others are looked at."""
    folders = {number: load(model) for number, model in enumerate(models) if Path(model).is_dir()}
    sizes = {model.config.image_size for model in folders.values()}
    size = image_size or (sizes.pop() if len(sizes) == 1 else None)
    return [
        folders[number] if number in folders else load(model, image_size=size, seed=seed)
        for number, model in enumerate(models)
    ]
