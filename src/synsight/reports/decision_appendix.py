"""The appendix of the decision page: every record, plainly, in tables."""

import json

from synsight.reports.decision_records import Decision
from synsight.reports.decision_tables import Cell, Table, table_of
from synsight.reports.locales import PLAIN, POINTS, Locale, has_interval
from synsight.reports.text import shortened


def appendix(decision: Decision, locale: Locale) -> list[Table]:
    """All records, plainly."""
    return [
        table
        for table in (
            _results_table(decision, locale),
            _differences_table(decision, locale),
            _curve_table(decision, locale),
            _sources_table(decision, locale),
            _models_table(decision, locale),
        )
        if table.rows
    ]


def _results_table(decision: Decision, locale: Locale) -> Table:
    rows = [
        _plain(
            locale.name_of(one.model),
            locale.named("task", shortened(one.task, most=30)),
            locale.named("metric", shortened(one.metric, most=40)),
            _per_class(one.n_labels, locale),
            _decimal(one.value),
            _range(one.ci_low, one.ci_high, locale),
            f"{one.n_test:,}",
            _decimal(one.baseline),
            str(one.seed),
            shortened(json.dumps(one.details, ensure_ascii=False, default=str), most=200),
        )
        for one in decision.results
    ]
    columns = ("model", "task", "metric", "per_class", "value", "interval", "n", "chance", "seed", "details")
    return table_of(locale, locale.words["appendix.results"], columns, rows)


def _differences_table(decision: Decision, locale: Locale) -> Table:
    rows = [
        _plain(
            locale.name_of(one.model),
            locale.name_of(one.against),
            locale.named("task", shortened(one.task, most=30)),
            locale.named("metric", shortened(one.metric, most=40)),
            _per_class(one.n_labels, locale),
            locale.value(one.difference, POINTS),
            " ".join(locale.ends(one.difference, POINTS)) if has_interval(one.difference) else "–",
            f"{one.n_test:,}",
            "–" if one.p_holm is None else f"{one.p_holm:.4f}",
            locale.words["paired" if one.paired else "unpaired"],
        )
        for one in decision.differences
    ]
    columns = (
        *("model", "against", "task", "metric", "per_class", "difference", "interval", "n", "p", "said"),
    )
    return table_of(locale, locale.words["appendix.differences"], columns, rows)


def _curve_table(decision: Decision, locale: Locale) -> Table:
    rows = [
        _plain(
            locale.name_of(one.model),
            f"{one.labels:,}",
            PLAIN.bare(one.labels_per_class),
            _decimal(one.accuracy.value),
            _range(one.accuracy.low, one.accuracy.high, locale),
            _decimal(one.fitted),
            str(one.draws),
            f"{one.n_test:,}",
        )
        for one in decision.curve
    ]
    columns = ("model", "labels", "per_class", "value", "interval", "fitted", "draws", "n")
    return table_of(locale, locale.words["appendix.curve"], columns, rows)


def _sources_table(decision: Decision, locale: Locale) -> Table:
    rows = [
        _plain(
            locale.name_of(one.path),
            locale.name_of(one.dataset),
            locale.listed([locale.name_of(name) for name in one.models]),
            *(
                "–" if number is None else f"{number:,}"
                for number in (
                    one.catalog_version,
                    one.classes,
                    one.train_rows,
                    one.test_rows,
                    one.test_groups,
                )
            ),
        )
        for one in decision.sources
    ]
    columns = ("evaluation", "dataset", "model", "version", "classes", "train_rows", "test_rows", "groups")
    return table_of(locale, locale.words["appendix.sources"], columns, rows)


def _models_table(decision: Decision, locale: Locale) -> Table:
    rows = [
        _plain(
            locale.name_of(one.name),
            locale.words[f"role.{one.role}"],
            locale.name_of(one.path),
            _seconds(one.training_seconds),
            _seconds(one.fitting_seconds),
            (one.digest or "–")[:16],
        )
        for one in decision.models
    ]
    columns = ("model", "role", "evaluation", "training_time", "fitting_time", "digest")
    return table_of(locale, locale.words["appendix.models"], columns, rows)


def _plain(*texts: str) -> tuple[Cell, ...]:
    return tuple(map(Cell, texts))


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _range(low: float | None, high: float | None, locale: Locale) -> str:
    if low is None or high is None:
        return "–"
    return f"{low:.4f}～{high:.4f}" if locale.name == "ja" else f"{low:.4f} to {high:.4f}"


def _per_class(n_labels: int | None, locale: Locale) -> str:
    return locale.words["question.all"] if n_labels is None else f"{n_labels:,}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{PLAIN.bare(value)} s"
