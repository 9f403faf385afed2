"""Several labels a row: what frozen features know of each, by logistic regression of one against the rest."""

import time

import numpy as np
from numpy.typing import NDArray

from synsight.errors import DataError
from synsight.evaluation.judged import Subject
from synsight.evaluation.multilabel_rows import Multilabel, read_multilabel
from synsight.evaluation.row_features import row_features
from synsight.evaluation.scoring import PREDICTIONS, Scored
from synsight.metrics.average_precision import RESAMPLES, AveragePrecision, average_precisions
from synsight.metrics.one_vs_rest import OneVsRest, fit_one_vs_rest
from synsight.records import Result, config_hash

TASK = "multilabel"
_MOST_WORK = 200_000_000
"""Resamples x test rows x classes; beyond it fewer resamples are drawn."""
_LEAST_RESAMPLES = 200
_MOST_SHOWN = 50


def multilabel(subject: Subject) -> Scored:
    """Learn every label of a column of several, and score the ranking of the test rows by each.

    Records are `mean_average_precision` (mean over the labels) and `micro_average_precision` (all pairs of
    row and label in one list). Labels with fewer than 5 train rows or no test row are left out and counted.
    The baseline is what random scores reach, the share of test rows that have the label (mean over labels,
    or over all pairs). There are no predictions, since a row has no single answer.

    Raises:
        UsageError: There is no such column.
        DataError: No label has enough rows, or there is no val row to choose C on.
    """
    options = subject.options
    column, separator = options.columns.keywords, options.columns.keywords_separator
    rows = read_multilabel(subject.catalog, column, separator=separator)
    if not rows.val.truth.any():
        raise DataError(
            f"{subject.catalog.path}: the task multilabel chooses its regularisation on val rows, and none "
            f"has a label of {column!r} that is learnt; ingest with a split column, or leave the task out."
        )
    parts = (rows.train, rows.val, rows.test)
    features = row_features(
        subject,
        np.concatenate([one.positions for one in parts]),
        np.concatenate([one.ids for one in parts]),
        where=f"`{column}` IS NOT NULL",
    )
    train, val, test = np.split(features, np.cumsum([len(rows.train), len(rows.val)]))
    began = time.perf_counter()
    probe = fit_one_vs_rest(train, rows.train.truth, val, rows.val.truth)
    probabilities = probe.probabilities(test)
    seconds = time.perf_counter() - began
    resamples = int(np.clip(_MOST_WORK // probabilities.size, _LEAST_RESAMPLES, RESAMPLES))
    found = average_precisions(probabilities, rows.test.truth, rows.test.group_codes, resamples=resamples)
    return Scored(_records(subject, rows, probe, found, resamples, seconds), PREDICTIONS.empty_table())


def _records(
    subject: Subject,
    rows: Multilabel,
    probe: OneVsRest,
    found: AveragePrecision,
    resamples: int,
    seconds: float,
) -> list[Result]:
    prevalence: NDArray[np.float64] = rows.test.truth.mean(axis=0)
    shown = {"names": list(rows.class_names)} if len(rows.class_names) <= _MOST_SHOWN else {}
    details = {
        "column": rows.column,
        "C": probe.c,
        "chosen_on": "val",
        "converged": probe.converged,
        "train_rows": len(rows.train),
        "classes": len(rows.class_names),
        "classes_dropped": rows.classes_dropped,
        "labels_per_test_row": round(float(rows.test.truth.sum(axis=1).mean()), 3),
        "unlabelled": rows.unlabelled,
        "resamples": resamples,
        **shown,
    }
    hashed = config_hash(
        {"task": TASK, "label": rows.column, "separator": subject.options.columns.keywords_separator}
    )
    return [
        Result(
            model=subject.name,
            dataset=subject.catalog.name,
            task=TASK,
            metric=metric,
            value=interval.value,
            ci_low=interval.low,
            ci_high=interval.high,
            seed=subject.options.seed,
            n_test=len(rows.test),
            baseline=float(prevalence.mean()),
            catalog_version=subject.version,
            config_hash=hashed,
            seconds=round(seconds, 4),
            details={**details, "interval": interval.method},
        )
        for metric, interval in (
            ("mean_average_precision", found.macro),
            ("micro_average_precision", found.micro),
        )
    ]
