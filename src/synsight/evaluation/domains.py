"""Domain shift: a classifier of the other domains' images, asked about the images of one it has not seen.

Each domain (camera, vendor, site) is held out in turn: the classifier learns from the training rows of all
other domains and answers for the test rows of this one. Beside it stands the answer of a classifier that
learnt from the training rows of the same domain. The encoder is the same; it may have seen all domains.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.label_names import label_names
from synsight.errors import UsageError, near_names
from synsight.evaluation.estimators import Estimator, few_labels, linear
from synsight.evaluation.judged import Judged
from synsight.evaluation.questions import Answered, Features, Question, ask
from synsight.evaluation.rows import Rows, Splits
from synsight.evaluation.scoring import Scored, score

HELD_OUT, WITHIN = "domains", "in_domain"
"""Tasks of the records: all domains together, and `domains:NAME` for each by itself."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Domain:
    """The labelled rows as one domain is judged."""

    name: str
    splits: Splits
    """Training and validation rows to learn from, and the test rows of the domain."""
    features: Features
    left_out: int
    """Training rows that stayed away, as a test row of the domain is of their group."""


def domains(judged: Judged) -> Scored:
    """Judge features across domains: a `Task`.

    With all labels the classifier is `linear` (C chosen on validation rows of the domains it learns from, or
    by cross-validation where there are none), with few labels `fewshot`, for each of
    `options.labels_per_class` and each draw. The records of the tasks `domains` and `in_domain` hold all test
    rows, each answered as its domain asks; `details` has the value of each domain and their plain mean. Those
    of `domains:NAME` and `in_domain:NAME` hold one domain's, with the domain in `details`.

    A domain without test rows, or without two classes to learn, is left out and named in `details`.

    Raises:
        UsageError: There is no such column, or fewer than two domains can be judged.
    """
    column = judged.options.columns.domain
    names = {part: domains_of(judged.catalog, column, rows) for part, rows in split_parts(judged.splits)}
    found = [one for one in np.unique(names["test"]) if one]
    if len(found) < 2:
        raise UsageError(
            f"{judged.catalog.path}: expected test rows of two domains or more in {column!r}, found "
            f"{', '.join(map(repr, found)) or 'none'}; choose another column with --domain-column."
        )
    scored = [one for task in (HELD_OUT, WITHIN) for one in _asked(judged, task, found, names)]
    if not scored:
        raise UsageError(
            f"{judged.catalog.path}: no domain in {column!r} leaves two classes to learn from; choose "
            "another column with --domain-column."
        )
    return Scored(
        [one for some in scored for one in some.results],
        pa.concat_tables([some.predictions for some in scored]),
    )


def held_out(judged: Judged, name: str, names: Mapping[str, NDArray[np.object_]], *, within: bool) -> Domain:
    """The rows as a domain is judged.

    Rows of no known domain are never learnt from, as they may be of the domain that is held out.

    Args:
        judged: Whose features, and all labelled rows.
        name: The domain.
        names: Domain of each row of `train`, `val` and `test`; "": not known.
        within: Learn from the domain itself and not from the others.
    """
    splits, features = judged.splits, judged.features
    test = names["test"] == name
    groups = np.unique(splits.test.group_codes[test])

    def learnt(part: str, rows: Rows) -> tuple[Mask, int]:
        is_own = names[part] == name
        wanted = is_own if within else ~is_own & (names[part] != "")
        shares = np.isin(rows.group_codes, groups)
        return wanted & ~shares, int((wanted & shares).sum())

    train, left_out = learnt("train", splits.train)
    val, _ = learnt("val", splits.val)
    rows = replace(
        splits, train=splits.train.take(train), val=splits.val.take(val), test=splits.test.take(test)
    )
    part = Features(train=features.train[train], val=features.val[val], test=features.test[test])
    return Domain(name, rows, part, left_out)


def _asked(
    judged: Judged, task: str, found: Sequence[str], names: Mapping[str, NDArray[np.object_]]
) -> Iterator[Scored]:
    """Every question to every domain: for each question the records of all together, then of each."""
    questions = _questions(judged, task)
    answers: dict[Question, dict[str, Answered]] = {question: {} for question in questions}
    for name in found:
        domain = held_out(judged, name, names, within=task == WITHIN)  # one at a time: a copy of features
        for question in questions:
            if (answer := _answer(judged, question, domain)) is not None:
                answers[question][name] = answer
    for question, of_domains in answers.items():
        if not of_domains:
            continue
        for one in (_together(judged, question, of_domains, found), *of_domains.values()):
            settings = {
                "n_labels": question.n_labels,
                "seed": question.seed,
                "domain_column": judged.options.columns.domain,
            }
            hashed = judged.question_hash(one.question.task, **settings)
            yield score(one, origin=judged.origin, config_hash=hashed)


def _together(
    judged: Judged, question: Question, answers: Mapping[str, Answered], found: Sequence[str]
) -> Answered:
    """One answer of those of all domains."""
    values = {
        name: round(float((one.probabilities.argmax(axis=1) == one.test.labels).mean()), 6)
        for name, one in answers.items()
    }
    details: dict[str, Any] = {
        "domain_column": judged.options.columns.domain,
        "acc1_of_domains": values,
        "acc1_mean_over_domains": round(float(np.mean([*values.values()])), 6),
    }
    if missing := [name for name in found if name not in answers]:
        details["domains_left_out"] = missing
    several = [*answers.values()]
    return Answered(
        question,
        joined_rows([one.test for one in several]),
        np.concatenate([one.train_labels for one in several]),
        np.concatenate([one.probabilities for one in several]),
        sum(one.seconds for one in several),
        details,
    )


def _answer(judged: Judged, question: Question, domain: Domain) -> Answered | None:
    """What is said of one domain; None where there is nothing to learn from, or nothing to ask about."""
    few = question.n_labels is not None
    counts = np.bincount(domain.splits.train.labels, minlength=domain.splits.num_classes)
    learnable = np.flatnonzero(counts >= (question.n_labels or 1))
    if len(learnable) < 2 or not np.isin(domain.splits.test.labels, learnable).any():
        return None
    estimator: Estimator = few_labels if few or not len(domain.splits.val) else linear
    task = f"{question.task}:{domain.name}"
    (answer,) = ask(
        [Question(task, question.n_labels, question.seed)],
        domain.features,
        domain.splits,
        estimators={task: estimator},
    )
    told: dict[str, Any] = {"domain_column": judged.options.columns.domain}
    told["domain_held_out" if question.task == HELD_OUT else "domain"] = domain.name
    if domain.left_out:
        told["train_rows_left_out_for_their_group"] = domain.left_out
    return replace(answer, details={**told, **answer.details})


def _questions(judged: Judged, task: str) -> list[Question]:
    options = judged.options
    few = [
        Question(task, size, options.seed + draw)
        for size in options.labels_per_class
        for draw in range(options.draws)
    ]
    return [Question(task, None, options.seed), *few]


def split_parts(splits: Splits) -> tuple[tuple[str, Rows], ...]:
    """The splits by name."""
    return ("train", splits.train), ("val", splits.val), ("test", splits.test)


def domains_of(catalog: Catalog, column: str, rows: Rows) -> NDArray[np.object_]:
    """The domain of each row; "": not known.

    Raises:
        UsageError: There is no such column, or one that holds lists or numbers with fractions.
    """
    if column not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {column!r} that says where an image is from; "
            f"{near_names(column, catalog.columns)} Name it with --domain-column."
        )
    values = catalog.take(rows.positions, [column])[column]
    kind = values.type
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise UsageError(
            f"{catalog.path}: domains must be strings or integers; column {column!r} holds {kind}; choose "
            "another with --domain-column."
        )
    names = pc.fill_null(label_names(values, where=f"{catalog.path}: column {column!r}"), "")
    found: NDArray[np.object_] = names.to_numpy(zero_copy_only=False).astype(object)
    return found


def joined_rows(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts, one after the other."""
    return Rows(*(np.concatenate([getattr(one, item.name) for one in parts]) for item in fields(Rows)))
