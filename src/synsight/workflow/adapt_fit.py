"""One adaptation: from a method's name and the rows to a model that predicts raw images.

Whatever the method, what comes back is a `Model` with a head of labels, and its answers to the test rows.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synsight.adaptation import ESTIMATORS
from synsight.adaptation.gated import GatedLogistic
from synsight.adaptation.words_head import WordsHead
from synsight.data.catalog import Catalog
from synsight.data.trained_rows import trained_rows
from synsight.errors import UsageError, near_names
from synsight.evaluation.rows import Rows
from synsight.evaluation.shots import ShotProblem
from synsight.finetuning.lora import LoraSettings, fit_lora, read_pixels
from synsight.finetuning.supervised import predict_rows
from synsight.models import Model

AUTO, WORDS, LORA, GATED = "auto", "words", "lora", "gated"
BASELINE = "logistic"
NOT_COMPARED = (
    "logistic regression is taken, because fewer than two labels of each class of the new domain are known, "
    "and what is best on the old one says little about it"
)
Combine = Literal["concat", "gated"]
"""How features of several encoders are read: side by side, or each by itself and then weighed by a gate."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learnt, by whom."""

    model: Model
    catalog: Catalog
    problem: ShotProblem
    class_names: Sequence[str]
    test: Rows
    """Where the test images are; their labels are nobody's business here."""
    unlabelled: NDArray[np.int64]
    """Positions of the rows whose features are `problem.unlabelled_features`."""
    combine: Combine = "concat"
    budget: float | None = None
    """Seconds that `auto` may take; None: its own default."""
    progress: bool = True


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a method made of it."""

    model: Model
    probabilities: NDArray[np.float32]
    """[M, C] of the test rows."""
    method: str
    """What was fitted; where `auto` was asked for, what it chose."""
    details: Mapping[str, Any]
    """What a reader must know to repeat it."""
    reason: str = ""
    """Why this method, in one sentence; "": it was asked for."""


def methods() -> list[str]:
    """All names that `fit_method` knows."""
    return [AUTO, *(one for one in ESTIMATORS if one != AUTO), WORDS, LORA]


def check_method(method: str) -> None:
    """Know its name, before anything slow.

    Raises:
        UsageError: There is no such method.
    """
    if method not in methods():
        raise UsageError(f"there is no method {method!r}; {near_names(method, methods())}")


def fit_method(method: str, task: Task) -> Fitted:
    """Fit one method on the training rows of a task, and answer its test rows.

    Raises:
        UsageError: There is no such method, or it does not apply to the model.
        MissingDependency: peft, for `lora`, is not installed.
        DataError: Features or labels that cannot be used.
    """
    check_method(method)
    if task.combine == "gated":
        return _fit_head(GATED, _gated(method, task), task)
    if method == LORA:
        return _fit_lora(task)
    if method == AUTO and _says_nothing_of_the_target(task.problem):
        return replace(_fit_head(BASELINE, _estimator(BASELINE, task), task), reason=NOT_COMPARED)
    estimator = _words_head(task.model) if method == WORDS else _estimator(method, task)
    return _fit_head(method, estimator, task)


def _says_nothing_of_the_target(problem: ShotProblem) -> bool:
    """Whether held-out rows would nearly all be of the old domain: what is best there may be worst here."""
    target = int(problem.train_is_target.sum())
    return target < len(problem.train_labels) and target < 2 * len(np.unique(problem.train_labels))


def widths_of(model: Model) -> list[int]:
    """Features of each of its encoders."""
    return [int(part["embedding_dim"]) for part in model.config.parts] or [model.config.embedding_dim]


def fit_estimator(estimator: Any, problem: ShotProblem) -> tuple[Any, bool]:
    """Fit an estimator of scikit-learn's shape, and tell it whatever it can make use of: groups, validation
    rows (of classes that have training rows), and the target's rows without labels.

    Returns:
        The estimator, and whether it was shown rows without labels.
    """
    known = inspect.signature(estimator.fit).parameters
    more: dict[str, Any] = {}
    if "groups" in known:
        more["groups"] = problem.train_groups
    seen = np.isin(problem.val_labels, problem.train_labels)
    if "validation" in known and seen.any():
        more["validation"] = (problem.val_features[seen], problem.val_labels[seen])
    shown = "X_unlabelled" in known and len(problem.unlabelled_features) > 0
    if shown:
        more["X_unlabelled"] = problem.unlabelled_features
    if "in_target" in known:
        more["in_target"] = problem.train_is_target
    return estimator.fit(problem.train_features, problem.train_labels, **more), shown


def probabilities_of(fitted: Any, problem: ShotProblem) -> NDArray[np.float32]:
    """What a fitted estimator says of the test rows, [M, C]; zero for a class without a training row."""
    found = np.zeros((len(problem.test_features), problem.num_classes), np.float32)
    found[:, fitted.classes_] = fitted.predict_proba(problem.test_features)
    return found


def _fit_head(method: str, estimator: Any, task: Task) -> Fitted:
    problem, model, catalog = task.problem, task.model, task.catalog
    fitted, shown = fit_estimator(estimator, problem)
    names = [task.class_names[one] for one in fitted.classes_]
    chosen = str(getattr(fitted, "method_", method))
    learnt = [problem.train_rows.positions, *([task.unlabelled] if shown else [])]
    adapted = model.adapted(
        fitted.head(),
        names,
        method=f"adapt:{chosen}",
        trained_on=_trained_on(catalog, problem, shown=shown),
        trained_rows=trained_rows(catalog, np.concatenate(learnt)),
    )
    details = {**_settings(fitted), "unlabelled_rows_used": len(problem.unlabelled_features) * shown}
    if isinstance(fitted, WordsHead):
        details |= _words_details(fitted, task)
    return Fitted(
        adapted, probabilities_of(fitted, problem), chosen, details, str(getattr(fitted, "reason_", ""))
    )


def _fit_lora(task: Task) -> Fitted:
    model, problem, catalog = task.model, task.problem, task.catalog
    positions = problem.train_rows.positions
    classes, labels = np.unique(problem.train_rows.labels, return_inverse=True)
    settings = LoraSettings()
    learnt = fit_lora(
        model,
        read_pixels(model, catalog, positions),
        labels.astype(np.int64),
        groups=problem.train_rows.group_codes,
        settings=settings,
        seed=problem.seed,
        progress=task.progress,
    )
    # The words were read from the features of the encoder as it was.
    bare = replace(model.config, head=None, classes=0, words=0, head_layers=(), text={}, projection_dim=0)
    encoder = Model(learnt.encoder, bare, trained_rows=model.trained_rows, name=model.name)
    adapted = encoder.adapted(
        learnt.head,
        [task.class_names[one] for one in classes],
        method="adapt:lora",
        trained_on=_trained_on(catalog, problem, shown=False),
        trained_rows=trained_rows(catalog, positions),
    )
    details = {
        "rank": settings.rank,
        "alpha": settings.alpha,
        "lr": settings.lr,
        "steps": learnt.steps,
        "trained_share": round(learnt.trained_share, 5),
        "words_kept": False,
    }
    answers = predict_rows(adapted, catalog, task.test, task.class_names)
    return Fitted(adapted, answers, LORA, details)


def _estimator(method: str, task: Task) -> Any:
    """An unfitted estimator, told what it can be told: blocks, seed, budget."""
    make: Callable[..., Any] = ESTIMATORS[method]
    known = inspect.signature(make).parameters
    widths = widths_of(task.model)
    told: dict[str, Any] = {"seed": task.problem.seed, "seconds": task.budget}
    if len(widths) > 1:
        told["blocks"] = widths
    return make(**{name: value for name, value in told.items() if name in known and value is not None})


def _gated(method: str, task: Task) -> GatedLogistic:
    widths = widths_of(task.model)
    if len(widths) < 2 or method not in (AUTO, "logistic"):
        raise UsageError(
            f"combine 'gated' weighs the logistic regressions of several encoders; found {len(widths)} "
            f"and the method {method!r}; name several MODELs and no other method, or leave --combine out."
        )
    return GatedLogistic(blocks=widths, seed=task.problem.seed)


def _words_head(model: Model) -> WordsHead:
    if model.word_head is None or model.vocabulary is None:
        raise UsageError(
            f"{model.name}: knows no words, so no head of words can be made; use a model that catlip or "
            "superclass trained, or another method."
        )
    return WordsHead.of(model.word_head, model.vocabulary.names)


def _words_details(fitted: WordsHead, task: Task) -> dict[str, Any]:
    words = {
        task.class_names[int(one)]: [f"{name} {weight:+.2f}" for name, weight in fitted.words_of(one)]
        for one in fitted.classes_
    }
    return {"words_used": fitted.words_used_, "words_of_classes": words}


def _settings(fitted: Any) -> dict[str, Any]:
    """Settings and what was chosen, as JSON values; what is not one is left out."""
    values = dict(fitted.get_params(deep=False)) if hasattr(fitted, "get_params") else {}
    chosen = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
    plain = (bool, int, float, str)
    return {
        name: value
        for name, value in {**values, **chosen}.items()
        if isinstance(value, plain) and name not in ("reason_", "method_", "n_features_in_")
    }


def _trained_on(catalog: Catalog, problem: ShotProblem, *, shown: bool) -> dict[str, Any]:
    """For the model's card."""
    return {
        "catalog": catalog.name,
        "version": catalog.version,
        "rows": len(problem.train_labels),
        "target_rows": int(problem.train_is_target.sum()),
        "unlabelled_rows": len(problem.unlabelled_features) if shown else 0,
    }
