"""Several heads on one encoder, each replaceable while requests run.

A request takes its head once and keeps it to its end: names, probabilities and digest are always of one
head. A swap loads, checks and tries the new head first and then changes one reference.

Letters: N images, D dimensions of the features, C classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from synsight.deployment.exported import ExportedModel
from synsight.deployment.onnx_graphs import FEATURES, PROBABILITIES, WORD_PROBABILITIES
from synsight.deployment.serving.engine import Engine, Outputs, encoder_digest
from synsight.deployment.serving.settings import NAME
from synsight.errors import ModelError, UsageError, near_names
from synsight.models.folder import load_folder
from synsight.models.saved import Model

MOST_HEADS = 100


@dataclass(frozen=True, eq=False)
class Head:
    """What names the scores of an encoder's features."""

    name: str
    kind: Literal["labels", "words"]
    names: tuple[str, ...]
    """Of the C probabilities."""
    one_of: bool
    """The probabilities sum to 1: one name is right; else each stands by itself."""
    digest: str
    """Of the model it came from."""
    probabilities: Callable[[Outputs], NDArray[np.float32]]
    """What the encoder gave for N images -> [N, C]."""
    model: Model | None = None
    """For explanations; None: an exported one, which has no gradient, and is explained by occlusion."""

    def likeliest(self, row: NDArray[np.float32], *, top: int) -> list[tuple[str, float]]:
        """Names with their probabilities, likeliest first, from one row [C]."""
        best = np.argsort(-row, kind="stable")[:top]
        return [(self.names[number], float(row[number])) for number in best]


class Heads:
    """The heads by name; the first is meant where a request names none."""

    def __init__(self, engine: Engine, heads: list[Head], *, words: Head | None) -> None:
        self._engine, self._heads, self._lock = engine, {head.name: head for head in heads}, Lock()
        self.words = words
        """Names what an image shows, whatever head predicts; None: the model knows no words."""
        for head in [*heads, *([] if words is None else [words])]:
            _try(head, engine)

    def __iter__(self) -> Iterator[Head]:
        return iter(list(self._heads.values()))

    def get(self, name: str | None) -> Head | None:
        """The head of a name, or the first one; None: there is none."""
        if name is None:
            return next(iter(self._heads.values()), None)
        return self._heads.get(name)

    @property
    def names(self) -> list[str]:
        """Of the heads, the first first."""
        return list(self._heads)

    def put(self, name: str, model: Model) -> Head:
        """Put a model's head in place under a new or a known name.

        Raises:
            ModelError: The model has no head, has another encoder, or there are too many heads.
        """
        head = head_of(model, name=name, engine=self._engine)
        _try(head, self._engine)
        with self._lock:
            if name not in self._heads and len(self._heads) >= MOST_HEADS:
                raise ModelError(f"expected at most {MOST_HEADS} heads, found more; replace one of them.")
            self._heads = {**self._heads, name: head}
        return head


def head_of(model: Model, *, name: str, engine: Engine) -> Head:
    """A model's head over the features of an engine.

    Raises:
        ModelError: The model has no head, or another encoder.
    """
    if model.head is None:
        raise ModelError(f"{model.name}: expected a model with a head, found none; adapt or train it first.")
    found = encoder_digest(model)
    if found != engine.digest:
        raise ModelError(
            f"{model.name}: expected a head on the encoder that is served ({engine.digest}), found one on "
            f"{found}; serve it by itself."
        )
    return Head(
        name=name,
        kind="words" if model.config.head == "words" else "labels",
        names=tuple(model.class_names),
        one_of=model.config.head != "words" and model.config.label_scores == "softmax",
        digest=model.digest,
        probabilities=lambda outputs: model.probabilities(torch.from_numpy(outputs[FEATURES])).numpy(),
        model=model,
    )


def word_head_of(model: Model) -> Head | None:
    """What names the words that a model sees; None: it knows none."""
    if model.word_head is None or model.vocabulary is None:
        return None
    return Head(
        name="words",
        kind="words",
        names=tuple(model.vocabulary.names),
        one_of=False,
        digest=model.digest,
        probabilities=lambda outputs: (
            model.word_logits(torch.from_numpy(outputs[FEATURES])).sigmoid().numpy()
        ),
        model=model,
    )


def exported_heads(model: ExportedModel, *, name: str, digest: str) -> tuple[list[Head], Head | None]:
    """The head of an exported model, if it has any, and what names words."""
    names = model.names

    def reader(output: str) -> Callable[[Outputs], NDArray[np.float32]]:
        return lambda outputs: outputs[output]

    heads = []
    if PROBABILITIES in model.outputs:
        heads.append(
            Head(
                name=name,
                kind="labels" if names.labels else "words",
                names=tuple(model.class_names),
                one_of=bool(names.labels) and names.label_scores == "softmax",
                digest=digest,
                probabilities=reader(PROBABILITIES),
            )
        )
    words = None
    if WORD_PROBABILITIES in model.outputs:
        found = tuple(names.words)
        words = Head("words", "words", found, False, digest, reader(WORD_PROBABILITIES))
    return heads, words


def folder_beneath(heads_folder: Path | None, name: str) -> Path:
    """The model folder that a request names, directly beneath the folder given at start.

    Raises:
        ModelError: No such folder was given at start.
        UsageError: It is no plain name, leads elsewhere, or is not there.
    """
    if heads_folder is None:
        raise ModelError("expected a folder of heads, found none; start the service with --heads FOLDER.")
    known = sorted(one.name for one in heads_folder.iterdir() if NAME.fullmatch(one.name) and one.is_dir())
    path = heads_folder / name
    if name not in known or not path.resolve().is_relative_to(heads_folder.resolve()):
        raise UsageError(
            f"expected the name of a model folder beneath the folder of heads, found {name[:100]!r}; "
            f"{near_names(name[:100], known)}"
        )
    return path


def named_models(models: Mapping[str, Path]) -> dict[str, Model]:
    """The models of several folders, by the names of their heads; the first one's encoder serves all.

    Raises:
        ModelError: A folder is no model, or has another encoder than the first.
    """
    loaded = {name: load_folder(path) for name, path in models.items()}
    first, *others = loaded.values()
    for model in others:
        share_encoder(model, first)
    return loaded


def share_encoder(model: Model, first: Model) -> Model:
    """Let a model use the encoder of another, which must be the same; its own is let go.

    Raises:
        ModelError: It is another one.
    """
    if encoder_digest(model) != encoder_digest(first):
        raise ModelError(
            f"{model.name}: expected a head on the encoder of {first.name}, found another encoder; serve it "
            "by itself."
        )
    model.encoder = first.encoder
    return model


def _try(head: Head, engine: Engine) -> None:
    """One black image: a head that cannot answer is not put in place."""
    size = engine.preparation.image_size
    row = head.probabilities(engine.run(np.zeros((1, 3, size, size), np.uint8)))
    if row.shape != (1, len(head.names)) or not np.isfinite(row).all():
        raise ModelError(
            f"{head.name}: expected {len(head.names)} probabilities, found {list(row.shape)} or numbers that "
            "are none; train the head again."
        )
