"""The verb `repair`: captions cleaned, borrowed or made anew, and the better one kept. Nothing is lost.

    caption_clean           what is left of the caption without templates, addresses and parts of file names,
                            its misspelt words put right
    caption_removed         what was taken out or put right: `template`, `url`, `spelling`, ...
    caption_repaired        the caption to use; null: none
    caption_origin          where it comes from: original, cleaned, keywords, near-image, captioner:NAME; or
                            `dropped`, where the caption teaches nothing and there is nothing better
    caption_repaired_score  its image-text score, 0 to 1; null: nobody scored it
    caption_clean_score     that of `caption_clean` by the same scorer, where both were compared

`caption` is never written; `caption_score` stays the audit's.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from synsight.curation.repair.choosing import ModelScorer, PairScorer
from synsight.curation.repair.clean_column import clean_captions
from synsight.curation.repair.cleaning import CLEAN
from synsight.curation.repair.endpoint import KEY_VARIABLE, EndpointCaptioner
from synsight.curation.repair.examples import pictures_of
from synsight.curation.repair.own_scores import CatalogScorer
from synsight.curation.repair.spelling import words_of
from synsight.curation.repair.steps import EMPTY, FLAGS, MISMATCH, Repair
from synsight.data.catalog import Catalog
from synsight.data.written_reports import note_report
from synsight.errors import ConfigError, UsageError, near_names
from synsight.files import append_json_line, replacing, write_json, write_text
from synsight.language.terms import Terms, load_terms
from synsight.language.texts import check_text_columns
from synsight.models.captioners import Captioner, HubCaptioner
from synsight.records import RepairSummary, as_json
from synsight.reports.repair_page import repair_page
from synsight.stages import Runner

CHANGES, SUMMARY, REPORT = "changes.jsonl", "repair.json", "repair.html"
BORROW = ("keywords", "near-image")
"""Where a caption may be borrowed from."""
DROP = (EMPTY, MISMATCH)
"""Captions that may be worse than none: cleaning leaves nothing of them, or the audit flagged a mismatch."""


def repair(
    catalog: str | Path | Catalog,
    *,
    text_columns: Sequence[str] = ("caption",),
    spelling: bool = True,
    vocabulary: str = "synset",
    keywords_column: str = "keywords",
    borrow: Sequence[str] = BORROW,
    drop: Sequence[str] = (),
    captioner: str | Captioner | None = None,
    endpoint: str | None = None,
    endpoint_model: str = "",
    endpoint_key: str = KEY_VARIABLE,
    concurrency: int = 4,
    recaption: Literal["useless", "all"] = "useless",
    with_context: bool = False,
    score_model: str | PairScorer | None = None,
    batch_size: int = 8,
    device: str | None = None,
    runner: Runner | None = None,
    out: str | Path | None = None,
) -> RepairSummary:
    """Repair the captions of a catalog: new columns beside the caption, which stays.

    A caption is useless where there is none, where cleaning leaves nothing of it, or where the audit flagged
    it as `mismatch` or `no-known-noun`. Such rows borrow: first their keywords, then the caption of a
    near-identical image (by the audit's `image_hash`); then a captioner is asked, if there is one. With a
    score model all of these and the caption itself compete, and ties go to the caption. Where nothing better
    is found the caption stays, or is dropped as asked: `caption_repaired` is null. Stopped or killed at any
    moment, the same call goes on where it was; a finished call does nothing.

    Args:
        catalog: Its folder, or an open catalog.
        text_columns: String or list-of-string columns that are the caption.
        spelling: Put misspelt words right, where the catalog's own words tell what was meant.
        vocabulary: `terms:FILE`: the company's own words, as for `words`, are spelt as they should be.
        keywords_column: Column to borrow keywords from, if the catalog has it.
        borrow: Where to borrow: `keywords`, `near-image`, or neither.
        drop: Which captions go where there is nothing better: of which cleaning leaves nothing (`empty`),
            which the audit flagged, which has to be there (`mismatch`), or neither.
        captioner: "hf-hub:ID" or "local-dir:PATH" of an image-to-text model, or a `Captioner`.
        endpoint: URL of an OpenAI-compatible endpoint; images of the rows to be captioned are sent there, and
            nowhere else.
        endpoint_model: Name of the model there.
        endpoint_key: Environment variable with the key.
        concurrency: Requests at the endpoint at a time.
        recaption: Which rows the captioner is asked about: the `useless` ones, or `all`, which needs
            a score model.
        with_context: Show the captioner the caption as found, as data that it need not believe. Chat models
            and endpoints alone can read it.
        score_model: Name of a CLIP-like model as for `load`; "catalog": what this catalog's own images and
            captions teach, cross-fitted; or a `PairScorer`.
        batch_size: Images that a local captioner computes at a time.
        device: Where it computes; None: a GPU if there is one.
        runner: Where the stages over text run; None: threads of this process. Captioners run in this process.
        out: Folder for `repair.html`, `repair.json` and `changes.jsonl`; None: nothing is written.

    Raises:
        DataError: A text column is missing or holds no text, the file of terms is wrong, or the captioner
            says the same of everything.
        ConfigError: A number or URL is not as it must be.
        UsageError: An unknown name, or options that exclude each other.
        CatalogError: There is no catalog.
        ModelError: There is no such captioner or score model, or it fails.
        MissingDependency: transformers is not installed.
    """
    _check(captioner, endpoint, recaption, score_model, borrow, drop, concurrency, batch_size)
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    check_text_columns(opened, text_columns)
    if MISMATCH in drop and FLAGS not in opened.columns:
        raise UsageError(
            f"{opened.path}: no audit has said which captions are a mismatch; run `synsight audit "
            f"{opened.path}` first, or leave {MISMATCH!r} out of what is dropped."
        )
    asked = _captioner(captioner, endpoint, endpoint_model, endpoint_key, device, batch_size)
    scorer = _scorer(score_model)
    terms = _terms(vocabulary)
    clean_captions(
        opened,
        tuple(text_columns),
        spelling=spelling,
        own_words=words_of(terms) if terms and spelling else (),
        runner=runner,
    )
    job = Repair(
        catalog=opened,
        text_columns=tuple(text_columns),
        spelling=spelling,
        terms=terms,
        keywords_column=keywords_column if "keywords" in borrow else None,
        near_images="near-image" in borrow,
        drop=frozenset(drop),
        captioner=asked,
        is_remote=isinstance(asked, EndpointCaptioner),
        concurrency=concurrency,
        recaption_all=recaption == "all",
        with_context=with_context,
        scorer=scorer,
        runner=runner,
    )
    summary = job.finished_summary() or job.run()
    return summary if out is None else _written(job, summary, Path(out))


def _check(
    captioner: object,
    endpoint: str | None,
    recaption: str,
    score_model: object,
    borrow: Sequence[str],
    drop: Sequence[str],
    concurrency: int,
    batch_size: int,
) -> None:
    """Whatever is wrong is said before anything is done."""
    if captioner is not None and endpoint is not None:
        raise UsageError("expected one captioner, found a model and an endpoint; give one of them.")
    for one in borrow:
        if one not in BORROW:
            raise UsageError(f"there is nothing to borrow from {one!r}; {near_names(one, BORROW)}")
    for one in drop:
        if one not in DROP:
            raise UsageError(f"there are no captions {one!r} to drop; {near_names(one, DROP)}")
    if recaption not in ("useless", "all"):
        raise UsageError(f"unknown rows to recaption: {recaption!r}; known: all, useless")
    if recaption == "all" and captioner is None and endpoint is None:
        raise UsageError("to recaption all rows a captioner is needed; give one, or leave recaption out.")
    if recaption == "all" and score_model is None:
        raise UsageError(
            "to recaption all rows a score model is needed, which says whether the new caption is better; "
            "give open-clip:NAME/WEIGHTS, a model folder or 'catalog', or recaption the useless ones."
        )
    for name, value in (("concurrency", concurrency), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"{name} must be >= 1; got {value!r}.")


def _terms(vocabulary: str) -> Terms | None:
    kind, _, file = vocabulary.partition(":")
    if vocabulary == "synset":
        return None
    if kind != "terms" or not file:
        raise UsageError(
            f"expected synset, or terms:FILE with your own words, as the vocabulary; got {vocabulary!r}."
        )
    return load_terms(file)


def _captioner(
    captioner: str | Captioner | None,
    endpoint: str | None,
    model: str,
    key: str,
    device: str | None,
    batch_size: int,
) -> Captioner | None:
    if endpoint is not None:
        return EndpointCaptioner(url=endpoint, model=model, key_variable=key)
    if isinstance(captioner, str):
        return HubCaptioner(captioner, device=device, batch_size=batch_size)
    return captioner


def _scorer(score_model: str | PairScorer | None) -> PairScorer | CatalogScorer | None:
    if score_model == CatalogScorer().name:
        return CatalogScorer()
    return ModelScorer(score_model) if isinstance(score_model, str) else score_model


def _written(job: Repair, summary: RepairSummary, out: Path) -> RepairSummary:
    """The page, the summary and all changes as files; the same for the same catalog."""
    note_report(job.catalog, out, verb="repair", names=(CHANGES, SUMMARY, REPORT))
    changes = out / CHANGES
    with replacing(changes) as temporary:
        temporary.touch()
        for change in job.changes():
            append_json_line(temporary, as_json(change))
    pictures = pictures_of(job.catalog, summary.examples)
    write_text(out / REPORT, repair_page(summary, pictures=pictures, title=job.catalog.name))
    summary = replace(summary, out=str(out), report=str(out / REPORT))
    write_json(out / SUMMARY, as_json(summary))
    return summary


__all__ = ["BORROW", "CLEAN", "repair"]
