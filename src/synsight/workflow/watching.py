"""The verb `monitor`: has what the model sees changed, in words, and what should be done?

OUT/  report.html       the page
      drift.json        what was found, with `verdict`, `p_value`, `words` first
      collect.parquet   images worth a label, most novel first
      history.jsonl     one line a call
"""

import base64
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.lineage import now
from synsight.data.trained_rows import content_hashes
from synsight.data.written_reports import note_report
from synsight.deployment.monitoring import Evidence, Found, Predicted, find_drift
from synsight.deployment.named_rows import check_label
from synsight.deployment.prometheus_text import write_prometheus
from synsight.deployment.watched_rows import WatchedRows, joint_codes, read_watched_rows
from synsight.deployment.word_drift import SeenWords, check_asked, seen_words
from synsight.errors import DataError, ImageError, StorageError, UsageError, near_names
from synsight.files import append_json_line, disk_errors, read_json_lines, replacing, write_json, write_text
from synsight.metrics.exchanges import EXCHANGES
from synsight.models.loading import load
from synsight.models.saved import Model
from synsight.records import as_json
from synsight.reports.drift_page import drift_page
from synsight.reports.drift_records import DriftSummary, EarlierRun, NovelImage
from synsight.reports.locales import locale_of
from synsight.workflow.examples import thumbnail
from synsight.workflow.probing import crossed_probabilities
from synsight.workflow.watched_quality import flags, look, measures

REPORT, SUMMARY, COLLECT, HISTORY = "report.html", "drift.json", "collect.parquet", "history.jsonl"
SHOWN = 18
"""Novel images on the page."""
EARLIER = 30
"""Former calls on the page."""
WORDS_OF_AN_IMAGE = 3


def monitor(
    model: str | Path | Model,
    *,
    reference: str | Path | Catalog,
    current: str | Path | Catalog,
    out: str | Path,
    where: str | None = None,
    current_where: str | None = None,
    label: str | None = None,
    words: Sequence[str] = (),
    group_column: str = "group",
    alpha: float = 0.03,
    rows: int = 2000,
    exchanges: int = EXCHANGES,
    collect: int = 100,
    prometheus: str | Path | None = None,
    locale: str = "en",
    seed: int = 0,
    progress: bool = True,
) -> DriftSummary:
    """Compare current images with a reference, and say what has changed and what to do.

    Catalogs are read and not changed, but for a note in the current one of where its images are shown, by
    which a purge finds them. All files are replaced whole. One call at a time works in a folder.

    Args:
        model: A model, or a name that `load` knows.
        reference: How it was when the model was judged: a catalog, or its folder.
        current: How it is; may be the same catalog with another condition.
        out: Folder for report.html, drift.json, collect.parquet and history.jsonl.
        where: SQL condition on the reference rows; rows that the model has not learnt from are best.
        current_where: SQL condition on the current rows.
        label: Column with classes in the reference; for the class mix and the estimated accuracy. A model
            whose labels stand each by themselves is not asked for either.
        words: Names to look for, two or more, with a model that reads text; none: the model's own words.
        group_column: Column that says which rows belong together; "": every row by itself.
        alpha: Largest share of false alarms.
        rows: Most rows of a side that are looked at, drawn by chance.
        exchanges: Of the permutation tests; p-values go down to 1 / (exchanges + 1).
        collect: Most images in collect.parquet.
        prometheus: File for the textfile collector of node_exporter, as drift.prom.
        locale: `en` or `ja`: language of the page.
        seed: Of all that is drawn.
        progress: Show a bar.

    Raises:
        UsageError: No such locale or label column, or words for a model that reads none.
        ConfigError: Alpha or the number of exchanges is out of its range.
        DataError: No row matches, labels that the model does not know, or images that cannot be decoded.
        CatalogError: There is no catalog, or a condition is not understood.
        ModelError: There is no such model.
        StorageError: Another call works in the folder, or the disk refused.
    """
    began = time.perf_counter()
    locale_of(locale)  # a wrong one is said before the work
    out = Path(out)
    loaded = model if isinstance(model, Model) else load(model)
    if words:
        check_asked(loaded, words)
    reference, current = (
        one if isinstance(one, Catalog) else Catalog.open(one) for one in (reference, current)
    )
    with _alone(out):
        read = partial(
            read_watched_rows,
            loaded,
            group_column=group_column,
            most=rows,
            seed=seed,
            look=look,
            progress=progress,
        )
        if label is not None:
            check_label(reference, label)
        several = loaded.config.head == "labels" and loaded.config.label_scores == "sigmoid"
        before = read(reference, where=where, label=None if several else label)
        after = read(current, where=current_where)
        seen = seen_words(loaded, (reference, before), (current, after), asked=words)
        evidence = Evidence(
            words=seen,
            predicted=_predicted(loaded, reference, (before, after), label),
            measures=measures(before, after),
            flags=flags(before, after),
        )
        found = find_drift(
            before,
            after,
            evidence,
            model=loaded.name,
            alpha=alpha,
            exchanges=exchanges,
            collect=collect,
            seed=seed,
        )
        note_report(current, out, verb="monitor", names=(REPORT, SUMMARY, COLLECT))
        settings = {"label": label, "group_column": group_column, "rows": rows, "exchanges": exchanges}
        summary = replace(
            found.summary,
            novel_images=_shown(current, after, found, seen),
            earlier=_earlier(out / HISTORY),
            settings={**settings, "seed": seed, "digest": loaded.digest},
            created_at=now(),
            out=str(out),
            report=str(out / REPORT),
            seconds=time.perf_counter() - began,
        )
        _write(out, summary, found, after, seen, locale=locale, prometheus=prometheus)
    return summary


def _predicted(
    model: Model, catalog: Catalog, sides: tuple[WatchedRows, WatchedRows], label: str | None
) -> Predicted | None:
    """By the model's own head of labels; by a probe where it has none and the reference has labels."""
    reference, current = sides
    if model.config.head == "labels":
        names = tuple(model.class_names)
        if model.config.label_scores == "sigmoid":
            found = [_probabilities(model, one.features) for one in sides]
            return Predicted(names, found[0], found[1], None, "model", one_of=False)
        labels = _codes(reference.labels, names) if label is not None else None
        if labels is not None and not (labels >= 0).any():
            known = sorted({one for one in reference.labels if one is not None})
            raise DataError(
                f"{catalog.path}: none of the values of column {label!r} is a label of the model "
                + (f"({known[0]!r}: {near_names(known[0], names)})" if known else "(it has no values)")
                + "; give the column that the model was adapted to."
            )
        found = [_probabilities(model, one.features) for one in sides]
        share = _trained_share(model, catalog, reference) if labels is not None else 0.0
        return Predicted(names, found[0], found[1], labels, "model", share)
    if label is None:
        return None
    names = tuple(sorted({one for one in reference.labels if one is not None}))
    if len(names) < 2:
        raise UsageError(
            f"{catalog.path}: column {label!r} has {len(names)} different values among the reference rows; a "
            "class mix needs two, so choose another label."
        )
    labels = _codes(reference.labels, names)
    groups = joint_codes(reference, current)
    probabilities = crossed_probabilities(
        reference.features, labels, groups[0], current.features, groups[1], num_classes=len(names)
    )
    return Predicted(names, *probabilities, labels, "probe")


def _codes(labels: NDArray[np.object_], names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(names)}
    return np.array([place.get(one, -1) for one in labels], np.int64)


def _probabilities(model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = model.probabilities(torch.from_numpy(features)).cpu().numpy()
    return found


def _trained_share(model: Model, catalog: Catalog, rows: WatchedRows) -> float:
    """Of the reference images that the model has learnt from; 0 where nobody knows."""
    trained = model.trained_rows
    if trained is None or not len(trained.hashes):
        return 0.0
    return float(trained.holds(content_hashes(catalog, rows.positions)).mean())


def _shown(catalog: Catalog, rows: WatchedRows, found: Found, seen: SeenWords | None) -> list[NovelImage]:
    chosen = found.collect[:SHOWN]
    if not len(chosen):
        return []
    images = catalog.take(rows.positions[chosen], ["image"])["image"].to_pylist()
    return [
        NovelImage(
            id=str(rows.ids[row]),
            rank=float(found.novelty.ranks[row]),
            distance=float(found.novelty.current[row]),
            words=_words_of(seen, int(row)),
            thumbnail=_data_url(image),
        )
        for row, image in zip(chosen.tolist(), images, strict=True)
    ]


def _words_of(seen: SeenWords | None, row: int) -> list[str]:
    if seen is None:
        return []
    best = np.argsort(-seen.current[row], kind="stable")[:WORDS_OF_AN_IMAGE]
    return [seen.names[one] for one in best.tolist() if seen.current[row, one] > 0]


def _data_url(image: bytes | None) -> str:
    try:
        return f"data:image/webp;base64,{base64.b64encode(thumbnail(image or b'')).decode()}"
    except ImageError:
        return ""


def _earlier(path: Path) -> list[EarlierRun]:
    names = EarlierRun.__dataclass_fields__
    rows = read_json_lines(path)[-EARLIER:]
    return [
        EarlierRun(**{name: row[name] for name in names})
        for row in rows
        if all(name in row for name in names)
    ]


def _write(
    out: Path,
    summary: DriftSummary,
    found: Found,
    current: WatchedRows,
    seen: SeenWords | None,
    *,
    locale: str,
    prometheus: str | Path | None,
) -> None:
    _write_collection(out / COLLECT, found, current, seen)
    write_text(out / REPORT, drift_page(summary, locale=locale))
    if prometheus is not None:
        write_prometheus(prometheus, summary)
    write_json(out / SUMMARY, as_json(summary))
    line = {"created_at": summary.created_at, "verdict": summary.verdict, "p_value": summary.p_value}
    append_json_line(out / HISTORY, {**line, "auc": summary.auc, "novel": summary.novel})


def _write_collection(path: Path, found: Found, rows: WatchedRows, seen: SeenWords | None) -> None:
    chosen = found.collect
    table = pa.table(
        {
            "id": pa.array([str(one) for one in rows.ids[chosen]], pa.string()),
            "rank": pa.array(found.novelty.ranks[chosen], pa.float64()),
            "distance": pa.array(found.novelty.current[chosen], pa.float64()),
            "like_current": pa.array(found.scores[chosen], pa.float64()),
            "words": pa.array([_words_of(seen, int(row)) for row in chosen], pa.list_(pa.string())),
        }
    )
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder for one call; the system lets go of it when the process dies."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StorageError(
            f"{out}: another monitor is at work here; wait for it, or choose another folder."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
