"""The verb `slices`: where a model is worse than elsewhere, in words; what its captions may teach wrongly.

OUT/    report.html    the page
        slices.json    the records, all slices among them
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.lineage import now
from synsight.data.written_reports import note_report
from synsight.deployment.caption_bias import caption_changes
from synsight.deployment.slice_listing import MOST_SHOWN, pair_records, shown, single_records, with_examples
from synsight.deployment.slice_parts import GROUP, WORDS, Parts, parts_of
from synsight.deployment.slice_rows import SPLITS, JudgedRows, judged_by_evaluation, judged_by_model
from synsight.deployment.slice_search import BEAM, paired_slices, single_slices
from synsight.deployment.spurious_words import spurious_words
from synsight.errors import ConfigError, UsageError, near_names
from synsight.metrics import Scores, score_interval
from synsight.metrics.intervals import Interval
from synsight.models import Model, load
from synsight.records import as_json
from synsight.reports.page_words import page_words
from synsight.reports.slice_page import slice_page
from synsight.reports.slice_records import SliceSummary, SpuriousWord

REPORT, RECORDS = "report.html", "slices.json"
RESAMPLES = 1000


def slices(
    model: str | Path | Model | None = None,
    *,
    data: str | Path | Catalog,
    label: str,
    out: str | Path,
    predictions: str | Path | None = None,
    columns: Sequence[str] | None = None,
    words: bool = True,
    min_rows: int = 20,
    split: str | None = None,
    places: Sequence[str] | None = None,
    false_discovery_rate: float = 0.05,
    model_name: str | None = None,
    task: str | None = None,
    examples: int = 6,
    locale: str = "en",
    seed: int = 0,
) -> SliceSummary:
    """Measure a model by group, by column and by word, and write the page.

    Args:
        model: A model with a head of labels, or a name for `load`; None: see `predictions`.
        data: The catalog, or its folder.
        label: Column with the true labels.
        out: Folder for report.html and slices.json.
        predictions: Folder of an evaluation whose answers are looked at in place of a model's.
        columns: Columns to cut by; None: all with at most 200 values, and `group`.
        words: Cut by the words of captions (columns `words_...`) and by those that the model sees, too.
        min_rows: Fewest rows of a slice.
        split: `test`, `val`, `train` or `all`; None: `test`, or `all` if `split` is among the columns.
        places: Columns that say where images come from, for spurious words; None: by the usual names.
        false_discovery_rate: Share of the slices called worse that may be no worse, in expectation.
        model_name: Which model of the evaluation; None: the only one.
        task: Which task of the evaluation; None: the first.
        examples: Pictures for each slice found.
        locale: Language of the page: `en` or `ja`.
        seed: Of the halves, the intervals and the examples.

    Raises:
        UsageError: A column, split, locale, model or task that is not there; neither model nor predictions.
        ConfigError: A number out of its range.
        ModelError: The model predicts no labels.
        DataError: No labelled row, or predictions of other rows.
        StorageError: The disk refused.
    """
    _check(model, predictions, split, min_rows, false_discovery_rate)
    page_words("slices", locale)
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    rows = _judged(model, catalog, label, predictions, split, columns, model_name, task)
    parts, same = parts_of(rows, catalog, label=label, columns=columns, words=words, min_rows=min_rows)
    labels = np.unique(rows.labels.astype(str), return_inverse=True)[1].astype(np.int64)
    singles = single_slices(rows.hits, labels, rows.groups, parts.members)
    kinds = _kinds(parts)
    pairs = paired_slices(rows.hits, rows.groups, parts.members, kinds, min_rows=min_rows, seed=seed)
    single = single_records(parts, same, singles, false_discovery_rate)
    paired = pair_records(parts, pairs, false_discovery_rate)
    found = [one for one in (*single, *paired) if one.found]
    spurious, looked = _spurious(rows, catalog, label, words, places, min_rows, false_discovery_rate)
    changes, compared = caption_changes(
        catalog,
        columns=_described(parts),
        min_rows=min_rows,
        false_discovery_rate=false_discovery_rate,
    )
    whole = _interval(rows, np.arange(len(rows)), seed)
    out = Path(out)
    summary = SliceSummary(
        model=rows.model,
        dataset=catalog.name,
        label=label,
        rows=len(rows),
        accuracy=whole.value,
        ci_low=whole.low,
        ci_high=whole.high,
        slices_tested=len(parts),
        found=len(found),
        worst=with_examples(rows, catalog, parts, shown(single), examples, seed),
        pairs=with_examples(rows, catalog, parts, shown(paired), examples, seed),
        pairs_tested=len(paired),
        false_discovery_rate=false_discovery_rate,
        spurious_words=spurious[:MOST_SHOWN],
        spurious_tested=looked,
        caption_changes=changes[:MOST_SHOWN],
        caption_changes_tested=compared,
        notes=rows.notes,
        settings={
            "columns": "auto" if columns is None else list(columns),
            "words": words,
            "min_rows": min_rows,
            "split": _split(split, columns) if predictions is None else "test",
            "beam": BEAM,
            "seed": seed,
        },
        catalog_version=catalog.version,
        report=str(out / REPORT),
    )
    note_report(catalog, out, verb="slices", names=[REPORT, RECORDS])
    files.write_text(out / REPORT, slice_page(summary, locale=locale, created_at=now()))
    files.write_json(out / RECORDS, as_json(summary) | {"slices": [as_json(one) for one in single]})
    return summary


def _check(
    model: object, predictions: object, split: str | None, min_rows: int, false_discovery_rate: float
) -> None:
    if (model is None) == (predictions is None):
        raise UsageError(
            "slices needs a model that predicts labels, or --predictions EVALUATION; give one of the two."
        )
    if split is not None and split not in SPLITS:
        raise UsageError(f"there is no split {split!r}; {near_names(split, SPLITS)}")
    if min_rows < 2 or not 0 < false_discovery_rate < 1:
        raise ConfigError(
            f"min_rows must be >= 2 and false_discovery_rate in 0 to 1; got {min_rows!r} and "
            f"{false_discovery_rate!r}."
        )


def _split(split: str | None, columns: Sequence[str] | None) -> str:
    return split or ("all" if columns is not None and "split" in columns else "test")


def _judged(
    model: str | Path | Model | None,
    catalog: Catalog,
    label: str,
    predictions: str | Path | None,
    split: str | None,
    columns: Sequence[str] | None,
    model_name: str | None,
    task: str | None,
) -> JudgedRows:
    if predictions is not None:
        return judged_by_evaluation(predictions, catalog, label=label, model=model_name, task=task)
    assert model is not None
    opened = model if isinstance(model, Model) else load(model)
    return judged_by_model(opened, catalog, label=label, split=_split(split, columns))


def _kinds(parts: Parts) -> np.ndarray:
    """Values of one column exclude each other; words do not."""
    columns = [f"{one.kind} {one.column}" if one.kind == "column" else "" for one in parts.names]
    codes = np.unique(np.array(columns, dtype=str), return_inverse=True)[1].astype(np.int64)
    return np.where([one == "" for one in columns], -1, codes) if len(parts) else codes


def _described(parts: Parts) -> list[str]:
    """Columns that cut the rows, without the groups, of which there are too many to compare."""
    columns = dict.fromkeys(one.column for one in parts.names if one.kind == "column")
    return [name for name in columns if name != GROUP]


def _interval(rows: JudgedRows, inside: np.ndarray, seed: int) -> Interval:
    strata = np.zeros(len(inside), np.int64)
    return score_interval(
        [Scores(rows.hits[inside], strata, rows.groups[inside])], resamples=RESAMPLES, seed=seed
    )


def _spurious(
    rows: JudgedRows,
    catalog: Catalog,
    label: str,
    words: bool,
    places: Sequence[str] | None,
    min_rows: int,
    false_discovery_rate: float,
) -> tuple[list[SpuriousWord], int]:
    found: list[SpuriousWord] = []
    looked = 0
    for column in [name for name in catalog.columns if name.startswith(WORDS)] if words else []:
        more, count = spurious_words(
            catalog,
            label=label,
            column=column,
            places=places,
            judged=rows,
            min_rows=min_rows,
            false_discovery_rate=false_discovery_rate,
        )
        found, looked = [*found, *more], looked + count
    return sorted(found, key=lambda one: not one.spurious), looked
