"""Retrieval between test images and the texts beside them, both ways."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synsight.data.catalog import POSITION, Catalog
from synsight.errors import DataError, UsageError, near_names
from synsight.evaluation.judged import Subject
from synsight.evaluation.row_features import row_features
from synsight.evaluation.rows import group_codes
from synsight.evaluation.scoring import PREDICTIONS, Scored
from synsight.metrics import Scores, score_interval
from synsight.metrics.retrieval import Ranks, chance_recall_at, retrieval_ranks
from synsight.models import Model
from synsight.records import Result, config_hash

TASK = "retrieval"
PLACES = (1, 5, 10)
RULE = "equal texts are one text, right for all images that have it; ties count as wrong"
_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Captioned:
    """Test images and their texts. N images, T distinct texts, R pairs."""

    positions: NDArray[np.int64]
    """[N] in the catalog."""
    ids: NDArray[np.object_]
    """[N]"""
    groups: NDArray[np.object_]
    """[N]; None where a row has no group."""
    group_codes: NDArray[np.int64]
    """[N]"""
    texts: tuple[str, ...]
    """T, each once."""
    image_of_pair: NDArray[np.int64]
    """[R] ascending."""
    text_of_pair: NDArray[np.int64]
    """[R]"""
    without_text: int
    """Test rows that have none; they are left out."""


def retrieval(subject: Subject) -> Scored:
    """Find each test image's text among all texts, and each text's image among all test images.

    Records have CLIP_benchmark's names, `image_retrieval_recall@K` (by a text) and `text_retrieval_recall@K`
    (by an image), K = 1, 5, 10; the share of queries that find a right answer among the first K. An image
    may have several texts, and a text several images: all are right. The same text beside several images is
    one text to be found, and asked once for each of them.

    The predictions' tasks are `image_retrieval` and `text_retrieval`; label and prediction are ids of rows,
    the prediction's probability is the cosine of the first answer, from 0 up.

    Raises:
        UsageError: The model reads no text, only features are known, or there is no such column.
        DataError: The column holds no text, or no test row has one.
        ModelError: The text tower is not on this machine, or damaged.
    """
    model = subject.network
    if not model.reads_text:
        raise UsageError(
            f"{subject.name}: reads no text, so the task retrieval does not apply to it; name a model "
            "trained with clip or siglip, or 'open-clip:NAME/WEIGHTS'."
        )
    rows = read_captioned(subject.catalog, subject.options.columns.text)
    features = row_features(subject, rows.positions, rows.ids, where="split = 'test'")
    began = time.perf_counter()
    texts = model.embed_texts(rows.texts)
    images = _projected(model, features)
    of_images, of_texts = retrieval_ranks(images, texts, rows.image_of_pair, rows.text_of_pair)
    seconds = time.perf_counter() - began
    # Each pair asks for an image by its text; each image for a text.
    sides = {
        "image_retrieval": (_take(of_texts, rows.text_of_pair), rows.image_of_pair, len(rows.ids)),
        "text_retrieval": (of_images, np.arange(len(rows.ids)), len(rows.texts)),
    }
    first_image = _first_of(rows.text_of_pair, rows.image_of_pair, len(rows.texts))
    results, tables = [], []
    for side, (ranks, images_asked, answers) in sides.items():
        results += _records(subject, rows, side, ranks, images_asked, answers, seconds)
        wrong = ranks.best_wrong if side == "image_retrieval" else first_image[ranks.best_wrong]
        tables.append(_predictions(subject, rows, side, ranks, images_asked, wrong))
    return Scored(results, pa.concat_tables(tables))


def read_captioned(catalog: Catalog, column: str) -> Captioned:
    """The test images that have a text.

    Args:
        catalog: Needs the columns `id` and `split`; `group` is used where it is there.
        column: Strings, or lists of strings; blanks are squeezed, null and "" mean: no text.

    Raises:
        UsageError: There is no such column; lists the near ones.
        DataError: It holds no text, or no test row has one.
    """
    if column not in catalog.columns:
        raise UsageError(
            f"{catalog.path}: there is no column {column!r} to take texts from; "
            f"{near_names(column, catalog.columns)}"
        )
    kind = catalog.schema.field(column).type
    if not _is_text(kind) and not (pa.types.is_list(kind) and _is_text(kind.value_type)):
        raise DataError(
            f"{catalog.path}: texts must be strings or lists of strings; column {column!r} holds {kind}; "
            "choose another."
        )
    names = dict.fromkeys(["id", column, *(["group"] if "group" in catalog.columns else [])])
    found: list[tuple[str, str | None, int, list[str]]] = []
    without = 0
    for batch in catalog.scan([*names], where="split = 'test'", with_positions=True):
        for row in batch.to_pylist():
            value = row[column]
            texts = [value] if isinstance(value, str) else value or []
            texts = list(dict.fromkeys(text for one in texts if (text := " ".join((one or "").split()))))
            if texts:
                group = row.get("group")
                found.append((row["id"], None if group is None else str(group), row[POSITION], texts))
            without += not texts
    if not found:
        raise DataError(
            f"{catalog.path}: no test row has a text in {column!r}; choose another column, or ingest with a "
            "split column."
        )
    found.sort(key=lambda one: one[0])
    numbers: dict[str, int] = {}
    text_of_pair = [numbers.setdefault(text, len(numbers)) for *_, texts in found for text in texts]
    ids, groups = (np.array([one[place] for one in found], dtype=object) for place in (0, 1))
    return Captioned(
        positions=np.array([one[2] for one in found], np.int64),
        ids=ids,
        groups=groups,
        group_codes=group_codes(ids, groups),
        texts=tuple(numbers),
        image_of_pair=np.repeat(np.arange(len(found)), [len(one[3]) for one in found]),
        text_of_pair=np.array(text_of_pair, np.int64),
        without_text=without,
    )


def _records(
    subject: Subject,
    rows: Captioned,
    side: str,
    ranks: Ranks,
    images_asked: NDArray[np.int64],
    answers: int,
    seconds: float,
) -> list[Result]:
    column = subject.options.columns.text
    details: Mapping[str, Any] = {
        "text_column": column,
        "queries": len(images_asked),
        "answers": answers,
        "images": len(rows.ids),
        "distinct_texts": len(rows.texts),
        "rows_without_text": rows.without_text,
        "rule": RULE,
    }
    results = []
    for places in PLACES:
        hits = ranks.hits(places)
        groups = rows.group_codes[images_asked]
        interval = score_interval([Scores(hits, np.zeros(len(hits), np.int64), groups)])
        results.append(
            Result(
                model=subject.name,
                dataset=subject.catalog.name,
                task=TASK,
                metric=f"{side}_recall@{places}",
                value=interval.value,
                ci_low=interval.low,
                ci_high=interval.high,
                n_labels=0,
                seed=subject.options.seed,
                n_test=len(hits),
                baseline=chance_recall_at(places, answers, ranks.right),
                catalog_version=subject.version,
                config_hash=config_hash(
                    {"task": TASK, "side": side, "places": places, "text_column": column}
                ),
                seconds=round(seconds, 4),
                details={**details, "interval": interval.method},
            )
        )
    return results


def _predictions(
    subject: Subject,
    rows: Captioned,
    side: str,
    ranks: Ranks,
    images_asked: NDArray[np.int64],
    wrong: NDArray[np.int64],
) -> pa.Table:
    """A right first answer is the row's own id; a wrong one is the id of a row it belongs to."""
    own = rows.ids[images_asked]
    count = len(own)
    place = np.arange(count) - np.searchsorted(images_asked, images_asked)  # images_asked ascends
    columns = [
        [subject.name] * count,
        [f"{one}#{number}" if number else one for one, number in zip(own, place, strict=True)],
        rows.groups[images_asked],
        own,
        np.where(ranks.hits(1), own, rows.ids[wrong]),
        np.clip(ranks.best_score, 0, 1),
        [side] * count,
        [0] * count,
        [subject.options.seed] * count,
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PREDICTIONS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=PREDICTIONS)


def _take(ranks: Ranks, queries: NDArray[np.int64]) -> Ranks:
    return Ranks(
        ranks.wrong_before[queries],
        ranks.best_wrong[queries],
        ranks.best_score[queries],
        ranks.right[queries],
    )


def _first_of(texts: NDArray[np.int64], images: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first image of each text, [T]."""
    first = np.full(count, len(images), np.int64)
    np.minimum.at(first, texts, images)
    return first


def _projected(model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images in the space of the texts, [N, P]."""
    with torch.inference_mode():
        parts = [
            model.project(torch.from_numpy(features[start : start + _ROWS]).to(model.device)).cpu()
            for start in range(0, len(features), _ROWS)
        ]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
