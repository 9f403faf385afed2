"""The pilot's three gates: what was found, put as stop or go."""

from collections.abc import Mapping, Sequence

from synsight.records import Gate, IngestSummary, Result, RunSummary, WordsSummary
from synsight.reports import verdict
from synsight.training import DryRun
from synsight.workflow.caption_facts import LEAK_SHARE, CaptionFacts

MOST_REJECTED = 0.2
"""With more rows than this rejected the source was probably misunderstood."""

LEAST_WITH_WORD = 0.3
"""With fewer rows than this having a word, most of the images would teach nothing."""

MOST_REPEATED = 0.5
"""With more captions than this repeated, they tell images apart less than they tell them alike."""


def data_gate(
    *,
    ingest: IngestSummary,
    labelled: Mapping[str, int],
    classes: int,
    words: WordsSummary | None,
    facts: CaptionFacts | None,
    leaks: Mapping[str, float],
) -> Gate:
    """Can these data teach and prove anything?

    Args:
        ingest: What was read.
        labelled: Split -> rows with a label.
        classes: Of the label.
        words: What the captions hold; None: no recipe reads them.
        facts: Repetition among the captions.
        leaks: Text column -> share of the rows where it names the label.
    """
    read = ingest.rows + ingest.rejected
    checks = [
        (
            "images",
            f"{ingest.rows:,} usable, {ingest.rejected:,} rejected",
            ingest.rejected <= MOST_REJECTED * read,
        ),
        (
            "labels",
            f"{classes} classes; "
            + ", ".join(f"{count:,} rows in {split}" for split, count in labelled.items()),
            True,
        ),
    ]
    if words is not None:
        checks.append(
            (
                "words",
                f"{words.share_with_word:.1%} of the rows have one; {words.words_per_caption:.1f} a row, "
                f"{words.vocabulary_size:,} in the vocabulary",
                words.share_with_word >= LEAST_WITH_WORD,
            )
        )
    if facts is not None:
        checks.append(
            (
                "captions",
                f"{facts.without_caption:.1%} empty, {facts.repeated:.1%} shared with another group, "
                f"{facts.boilerplate:.1%} boilerplate",
                facts.without_caption + facts.repeated <= MOST_REPEATED,
            )
        )
    for column, share in leaks.items():
        left_out = share > LEAK_SHARE
        found = f"{column!r} names the label in {share:.1%} of the rows" + (": left out" if left_out else "")
        checks.append(("label leak", found, not left_out))
    stops = [f"{what}: {found}" for what, found, well in checks if not well and what in ("images", "words")]
    if stops:
        return Gate(name="data", go=False, sentence=f"Stop: {'; '.join(stops)}.", checks=checks)
    coverage = f"; {words.share_with_word:.1%} of the rows have a word" if words is not None else ""
    sentence = f"Go: {ingest.rows:,} images in {classes} classes{coverage}."
    return Gate(name="data", go=True, sentence=sentence, checks=checks)


def pretraining_gate(
    runs: Sequence[RunSummary], *, untrained: Result | None, quotes: Mapping[str, DryRun]
) -> Gate:
    """Did pretraining learn something that transfers?

    Args:
        runs: The finished runs, each with the monitor of the validation rows.
        untrained: The monitor's value for the untrained encoder.
        quotes: Run name -> what its dry run said.
    """
    floor = untrained.value if untrained is not None else None
    checks = []
    for run in runs:
        if run.best_value is None or floor is None:
            checks.append((run.name, f"{run.steps:,} steps; {run.monitor}", False))
            continue
        found = f"best kNN acc1 {run.best_value:.3f} (step {run.best_step:,}); untrained {floor:.3f}"
        checks.append((run.name, found, run.best_value > floor))
    for name, quote in quotes.items():
        spent = sum(run.seconds for run in runs if run.name == name)
        checks.append(
            (f"time of {name}", f"{_minutes(quote.total_seconds)} quoted, {_minutes(spent)} taken", True)
        )
    ahead = [run.name for run, (_, _, well) in zip(runs, checks, strict=False) if well]
    if not ahead:
        sentence = "Stop: no run beats the untrained encoder on the validation images; look at its curves."
    else:
        sentence = f"Go: {' and '.join(ahead)} beat the untrained encoder on the validation images."
    return Gate(name="pretraining", go=bool(ahead), sentence=sentence, checks=checks)


def proof_gate(results: Sequence[Result], *, differences: Sequence[Result], subject: str) -> Gate:
    """Was it worth it, on test images that nothing has seen?"""
    said = verdict([*results, *differences], subject=subject)
    checks = [
        (
            f"{one.model} minus {one.details['against']}",
            f"{one.value:+.3f} ({one.ci_low:+.3f} to {one.ci_high:+.3f}) with {one.n_labels} labels a class",
            one.ci_low is not None and one.ci_low > 0,
        )
        for one in differences
        if one.n_labels is not None
    ]
    if said is None:
        return Gate(name="proof", go=False, sentence="Stop: nothing could be compared.", checks=checks)
    go = said.kind == "good"
    return Gate(
        name="proof", go=go, sentence=f"{'Go' if go else 'Stop'}: {said.title} {said.sentence}", checks=checks
    )


def quote_sentence(quotes: Mapping[str, DryRun]) -> str:
    """What pretraining will cost, as measured here."""
    total = _minutes(sum(quote.total_seconds for quote in quotes.values()))
    memory = max(quote.peak_bytes for quote in quotes.values()) / 1e9
    each = ", ".join(f"{name} {_minutes(quote.total_seconds)}" for name, quote in quotes.items())
    return f"Pretraining will take about {total} ({each}) and {memory:.1f} GB of memory on this machine."


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
