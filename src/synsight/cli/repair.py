"""`synsight repair`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import RenderableType

from synsight.cli.console import Flag, Json, count_text, names, show
from synsight.records import RepairSummary, as_json

SHOWN = 8
"""Examples printed."""


def repair(
    catalog: Path,
    *,
    text_columns: str = "caption",
    spelling: Annotated[bool, Parameter(negative="--no-spelling")] = True,
    vocabulary: str = "synset",
    keywords_column: str = "keywords",
    borrow: str = "keywords,near-image",
    drop: str = "none",
    captioner: str | None = None,
    endpoint: str | None = None,
    endpoint_model: str = "",
    endpoint_key: Annotated[str, Parameter(name="--endpoint-key-variable")] = "SYNSIGHT_ENDPOINT_KEY",
    concurrency: int = 4,
    recaption: Literal["useless", "all"] = "useless",
    with_context: Flag = False,
    score_model: str | None = None,
    batch_size: int = 8,
    device: str | None = None,
    out: Path | None = None,
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Clean captions, and find better ones where they say nothing; the original stays beside them.

    Args:
        catalog: The catalog's folder.
        text_columns: Columns that are the caption, with commas between.
        spelling: Put misspelt words right, where the catalog's own words tell what was meant.
        vocabulary: terms:FILE: your own words, as for words, which are spelt as they should be.
        keywords_column: Column to borrow keywords from.
        borrow: Where a row without a useful caption may borrow one: keywords, near-image, or none.
        drop: Captions that go where nothing better is found: empty (cleaning leaves nothing), mismatch (the
            flag of an audit before), or none.
        captioner: Make captions with this image-to-text model: hf-hub:OWNER/NAME or local-dir:PATH.
        endpoint: Make captions at this OpenAI-compatible URL, as http://127.0.0.1:8000/v1; images are sent
            there.
        endpoint_model: The model's name there.
        endpoint_key: Environment variable that holds the key, where one is needed.
        concurrency: Requests at the endpoint at a time.
        recaption: Which rows the captioner is asked about; all needs a score model.
        with_context: Show the captioner the caption as found.
        score_model: Keep the better caption by this model of images and text, as open-clip:NAME/WEIGHTS;
            catalog: by what the catalog's own pairs teach.
        batch_size: Images that a local captioner computes at a time.
        device: Where it computes, as cuda:0; a GPU if there is one.
        out: Also write a page (repair.html), repair.json and all changes (changes.jsonl) to this folder.
        runner: Where texts are worked on: local (this process), processes (one a core) or ray (a cluster).
        address: Of the Ray cluster; that of RAY_ADDRESS unless given, else one on this machine.
        json: Print one JSON object.
    """
    from synsight import stages
    from synsight.curation.repair.repairing import repair as run

    summary = run(
        catalog,
        text_columns=names(text_columns),
        spelling=spelling,
        vocabulary=vocabulary,
        keywords_column=keywords_column,
        borrow=names(borrow) if borrow != "none" else (),
        drop=names(drop) if drop != "none" else (),
        captioner=captioner,
        endpoint=endpoint,
        endpoint_model=endpoint_model,
        endpoint_key=endpoint_key,
        concurrency=concurrency,
        recaption=recaption,
        with_context=with_context,
        score_model=score_model,
        batch_size=batch_size,
        device=device,
        out=out,
        runner=stages.runner(runner, address=address),
    )
    show(as_json(summary), as_json=json, table=lambda: _table(summary))


def _table(summary: RepairSummary) -> Iterator[RenderableType | str]:
    from synsight.reports import fact_table

    before, after = summary.diversity["before"], summary.diversity["after"]
    facts: dict[str, object] = {
        "captions": f"{summary.rows:,}, of which {summary.changed:,} changed",
        "origin": count_text(summary.origins),
        "taken out or mended": count_text(summary.removed) or "nothing",
        "left as they are": f"{summary.kept_useless:,} that say nothing, for which there is nothing better",
        "without any": f"{summary.without_caption:,}",
        "distinct": f"{before['distinct_share']:.1%} before, {after['distinct_share']:.1%} after",
        "effective number": f"{before['effective']:,.0f} before, {after['effective']:,.0f} after",
        "distinct word pairs": f"{before['distinct_2']:.1%} before, {after['distinct_2']:.1%} after",
    }
    if summary.recaptioned:
        facts["captioned"] = f"{summary.recaptioned:,} images by {summary.settings['captioner']}"
        if summary.unusable_answers:
            facts["answers not used"] = count_text(summary.unusable_answers)
    if summary.scored:
        facts["compared"] = f"{summary.scored:,} rows by {summary.settings['score_model']}"
    yield fact_table(facts)
    for one in summary.examples[:: max(len(summary.examples) // SHOWN, 1)][:SHOWN]:
        told = "" if one.after is None else f" -> {one.after!r}"
        yield f"  {one.before!r}{told} ({one.origin})"
    if summary.report:
        yield f"report: {summary.report}"
