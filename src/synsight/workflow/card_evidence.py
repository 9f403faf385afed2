"""What was measured of a model, for its card: results, slices, a watch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synsight import files
from synsight.errors import DataError
from synsight.evaluation import read_results
from synsight.models import Model
from synsight.records import Result
from synsight.reports.card_records import CardNote, CardTable
from synsight.reports.text import shortened

MOST_ROWS = 40
"""Of a table."""
RESULT_HEAD = ("task", "metric", "n_labels", "value", "interval", "baseline", "n", "seed")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured of a model; what was not given is empty."""

    results: Sequence[Result] = ()
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """evaluation.json."""
    slices: Mapping[str, Any] = field(default_factory=dict)
    """slices.json."""
    drift: Mapping[str, Any] = field(default_factory=dict)
    """drift.json."""


def read_evidence(
    model: Model,
    evaluation: Path | None = None,
    slices: Path | None = None,
    monitor: Path | None = None,
) -> Evidence:
    """The records of one model in the folders of verbs.

    An evaluation knows the model by the digest of its weights, or else by its name; slices by the name.

    Raises:
        DataError: A folder that is given holds no such records, or those of other models alone.
    """
    told = {} if evaluation is None else _object(evaluation / "evaluation.json")
    results = [] if evaluation is None else read_results(evaluation)
    # `adapt` judges the encoder with the head it has just fitted, under the encoder's name.
    judged = [*told.get("models", ()), *([told["adapted"]] if "adapted" in told else ())]
    same = {str(one.get("name")) for one in judged if one.get("digest") == model.digest}
    names = same | {model.name}
    own = [one for one in results if one.model in (same or names)]
    if results and not own:
        raise _foreign(evaluation, sorted({one.model for one in results}), model)
    looked = {} if slices is None else _object(slices / "slices.json")
    if looked and looked.get("model") not in names:
        raise _foreign(slices, [str(looked.get("model"))], model)
    kept = {str(one.model) for one in own}
    seen = [one for one in told.get("trained_on", ()) if one.get("model") in kept]
    return Evidence(
        results=own,
        evaluation={**told, "trained_on": seen} if told else {},
        slices=looked,
        drift={} if monitor is None else _object(monitor / "drift.json"),
    )


def _foreign(folder: Path | None, found: Sequence[str], model: Model) -> DataError:
    names = ", ".join(repr(shortened(one, most=60)) for one in found[:3])
    return DataError(
        f"{folder}: expected records of the model {model.name!r} ({model.digest}), found those of {names}; "
        "give the folder that was made with this model."
    )


def result_tables(evidence: Evidence) -> list[CardTable]:
    """Results, slices that are worse, words that mislead."""
    tables = []
    if evidence.results:
        rows = [_result_row(one) for one in evidence.results[:MOST_ROWS]]
        tables.append(CardTable(name="results", head=RESULT_HEAD, rows=rows))
    found = [one for one in _slices(evidence) if one["found"]]
    if found:
        rows = [
            [slice_text(one), f"{one['rows']:,}", _share(one["accuracy"]), _ends(one), _share(one["others"])]
            for one in found[:MOST_ROWS]
        ]
        head = ("slice", "rows", "accuracy", "interval", "others")
        tables.append(CardTable(name="slices", head=head, rows=rows))
    spurious = [one for one in evidence.slices.get("spurious_words", ()) if one["spurious"]]
    if spurious:
        rows = [
            [one["word"], one["label"], one["place"], _odds(one["training"]), _odds(one["elsewhere"])]
            for one in spurious[:MOST_ROWS]
        ]
        head = ("word", "label", "place", "odds", "odds_there")
        tables.append(CardTable(name="spurious", head=head, rows=rows))
    return tables


def slice_text(one: Mapping[str, Any]) -> str:
    """As "camera = B + rust"."""
    names = [
        f"{part['column']} = {part['value']}"
        if part["kind"] == "column"
        else f"{part['kind']}: {part['value']}"
        for part in one["parts"]
    ]
    return " + ".join(shortened(name, most=60) for name in names)


def slice_notes(evidence: Evidence) -> list[CardNote]:
    """What the slices say of the model's limits."""
    if not evidence.slices:
        return [CardNote(key="no_slices")]
    tested = f"{evidence.slices['slices_tested'] + evidence.slices['pairs_tested']:,}"
    found = [one for one in _slices(evidence) if one["found"]]
    notes = [CardNote(key="slices_none", values=(("of", tested),))]
    if found:
        worst = min(found, key=lambda one: float(one["accuracy"]))
        values = (
            ("n", f"{len(found):,}"),
            ("of", tested),
            ("worst", slice_text(worst)),
            ("accuracy", _share(worst["accuracy"])),
        )
        notes = [CardNote(key="slices_found", values=values)]
    spurious = [one for one in evidence.slices.get("spurious_words", ()) if one["spurious"]]
    if spurious:
        words = {one["word"] for one in spurious}
        first = (
            ("word", shortened(spurious[0]["word"], most=60)),
            ("label", shortened(spurious[0]["label"], most=60)),
        )
        notes.append(CardNote(key="spurious", values=(("n", f"{len(words):,}"), *first)))
    return notes


def drift_note(evidence: Evidence) -> CardNote:
    """What the last watch said."""
    drift = evidence.drift
    if not drift:
        return CardNote(key="no_monitor")
    current = drift.get("current", {})
    values = (
        ("moment", str(drift.get("created_at", ""))),
        ("verdict", str(drift.get("verdict", ""))),
        ("p", f"{float(drift.get('p_value', 1)):.3g}"),
        ("rows", f"{int(current.get('rows', 0)):,}"),
        ("catalog", shortened(str(current.get("catalog", "")), most=60)),
    )
    return CardNote(key="drift", values=values)


def seen_images(evidence: Evidence) -> tuple[int, int] | None:
    """Test images that the model was trained on, and all of them; None: nobody looked."""
    told = [one for one in evidence.evaluation.get("trained_on", ()) if "seen_test_rows" in one]
    return (int(told[0]["seen_test_rows"]), int(told[0]["test_rows"])) if told else None


def near_copies(evidence: Evidence) -> tuple[int, int] | None:
    """Test images with a near copy in training, and all of them; None: nobody looked."""
    told = evidence.evaluation.get("near_copies") or {}
    return (int(told["near_copies"]), int(told["test_rows"])) if "near_copies" in told else None


def _object(path: Path) -> Mapping[str, Any]:
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a record, found {type(found).__name__}; run its verb again.")
    return found


def _slices(evidence: Evidence) -> list[Mapping[str, Any]]:
    return [*evidence.slices.get("pairs", ()), *evidence.slices.get("slices", ())]


def _result_row(one: Result) -> list[str]:
    has_interval = one.ci_low is not None and one.ci_high is not None
    return [
        one.task,
        one.metric,
        "–" if one.n_labels is None else f"{one.n_labels:,}",
        f"{one.value:.3f}",
        f"{one.ci_low:.3f} – {one.ci_high:.3f}" if has_interval else "–",
        "–" if one.baseline is None else f"{one.baseline:.3f}",
        f"{one.n_test:,}",
        str(one.seed),
    ]


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"


def _ends(one: Mapping[str, Any]) -> str:
    return f"{_share(one['ci_low'])} – {_share(one['ci_high'])}"


def _odds(one: Mapping[str, Any]) -> str:
    ends = "" if one["low"] is None or one["high"] is None else f" ({one['low']:.2g} – {one['high']:.2g})"
    return f"{one['ratio']:.3g}{ends}"
