"""The evaluation's folder: what was measured, and what was answered.

EVALUATION/         results.json, results.parquet    the records
                    predictions.parquet              one row for each test row and question
                    evaluation.json                  models, rows, settings
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.written_reports import note_report
from synsight.errors import DataError, UsageError
from synsight.evaluation.scoring import PREDICTIONS
from synsight.records import Result, as_json

SETTINGS, ANSWERS = "evaluation.json", "predictions.parquet"
RESULTS = pa.schema(
    [
        ("model", pa.string()),
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("n_labels", pa.int64()),
        ("seed", pa.int64()),
        ("n_test", pa.int64()),
        ("baseline", pa.float64()),
        ("catalog_version", pa.int64()),
        ("config_hash", pa.string()),
        ("seconds", pa.float64()),
        ("details", pa.string()),
    ]
)
"""Columns of results.parquet: the fields of a `records.Result`, the details as JSON."""


def check_out(folder: Path, catalog: Path) -> None:
    """Before anything is computed: see that no evaluation of another catalog would be replaced.

    Args:
        folder: Of the evaluation to be written, which replaces an earlier one of the same catalog.
        catalog: The catalog's folder.

    Raises:
        UsageError: Another catalog's evaluation stands there, or a file does.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder for the evaluation, found a file; name another --out.")
    if not (folder / SETTINGS).is_file():
        return
    told = files.read_json(folder / SETTINGS)
    former = told.get("catalog") if isinstance(told, dict) else None
    if not isinstance(former, str) or Path(former).resolve() == Path(catalog).resolve():
        return
    # A catalog that was moved since keeps its name.
    if Path(former).exists() or Path(former).name != Path(catalog).name:
        raise UsageError(
            f"{folder}: holds the evaluation of {former}, which that of {catalog} would replace; name "
            "another --out, or delete this folder first."
        )


def write_evaluation(
    folder: Path,
    results: Sequence[Result],
    predictions: pa.Table,
    *,
    settings: Mapping[str, Any] | None = None,
    catalog: Catalog | None = None,
) -> None:
    """Write an evaluation's folder; results.json comes last, so where it stands the rest is whole.

    Args:
        folder: Made when needed.
        results: What was measured.
        predictions: What was answered, see `PREDICTIONS`.
        settings: For evaluation.json; None: an earlier one stays.
        catalog: Whose rows were asked about; a purge of some of them then names the files with ids.

    Raises:
        StorageError: The disk refused.
    """
    if catalog is not None:
        # Settings tell of near copies by their ids.
        note_report(catalog, folder, verb="evaluate", names=[ANSWERS, SETTINGS])
    with files.replacing(folder / ANSWERS) as temporary:
        pq.write_table(predictions.cast(PREDICTIONS), temporary)
    if settings is not None:
        files.write_json(folder / SETTINGS, dict(settings))
    write_results(folder, results)


def write_results(folder: Path, results: Sequence[Result]) -> None:
    """Write results.parquet, then results.json.

    Raises:
        StorageError: The disk refused.
    """
    rows = [as_json(one) for one in results]
    flat = [{**row, "details": json.dumps(row["details"], ensure_ascii=False)} for row in rows]
    with files.replacing(folder / "results.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(flat, schema=RESULTS), temporary)
    files.write_json(folder / "results.json", rows)


def read_results(folder: str | Path) -> list[Result]:
    """The records of an evaluation's folder.

    Raises:
        DataError: There is no whole results.json.
    """
    path = Path(folder) / "results.json"
    try:
        return [Result(**row) for row in files.read_json(path)]
    except TypeError as error:
        raise DataError(
            f"{path}: expected a list of result records, found something else ({error}); evaluate again."
        ) from None


def read_predictions(folder: str | Path) -> pa.Table:
    """The predictions of an evaluation's folder, schema `PREDICTIONS`.

    Raises:
        DataError: There is no whole predictions.parquet.
    """
    path = Path(folder) / ANSWERS
    try:
        return pq.read_table(path).cast(PREDICTIONS)
    except FileNotFoundError:
        raise DataError(
            f"{path}: expected the predictions of an evaluation, found no file (a purge with --reports takes "
            "it away); evaluate again, or run the pilot into a new folder."
        ) from None
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path}: expected the predictions of an evaluation, but {str(error).splitlines()[0]}; "
            "evaluate again."
        ) from None
