"""The verb `card`: a model card and a data sheet from what is recorded, and a form for what is not.

OUT/    model_card.md, model_card.html     the headings of Mitchell et al. 2019, arXiv 1810.03993
        data_sheet.md, data_sheet.html     those of Gebru et al. 2018, arXiv 1803.09010, if a catalog is given
        card.yaml                          what only people can say; kept whenever the cards are made again
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from synsight import files
from synsight.data.catalog import Catalog
from synsight.data.lineage import now, package_version
from synsight.models import Model, load
from synsight.reports.card_markdown import card_markdown
from synsight.reports.card_page import card_page
from synsight.reports.card_records import Card, CardField, CardSection, CardSummary
from synsight.reports.page_words import page_words
from synsight.workflow.card_data import data_sections
from synsight.workflow.card_evidence import read_evidence
from synsight.workflow.card_form import FIELDS, FORM, keys_of, read_form, write_form
from synsight.workflow.card_model import model_sections

NAMES: Mapping[str, str] = {"model": "model_card", "data": "data_sheet"}


def card(
    model: str | Path | Model,
    *,
    out: str | Path,
    data: str | Path | Catalog | None = None,
    evaluation: str | Path | None = None,
    slices: str | Path | None = None,
    monitor: str | Path | None = None,
    label: str | None = None,
    locale: str = "en",
) -> CardSummary:
    """Write a model card, a data sheet if there is a catalog, and the form card.yaml.

    Nothing is made up: what no record says is marked as not stated until somebody fills the form.

    Args:
        model: A model, or a name that `load` knows.
        out: Folder; a form that is there is read and kept.
        data: The catalog it was trained on, or its folder.
        evaluation: Folder of `evaluate`.
        slices: Folder of `slices`.
        monitor: Folder of `monitor`.
        label: Column whose values the data sheet counts; None: `label`, if it is there.
        locale: `en` or `ja`.

    Raises:
        UsageError: There is no such locale.
        ModelError: A model that cannot be loaded.
        DataError: A folder without records or with another model's, or a form that is no YAML.
        StorageError: The disk refused.
    """
    page_words("card", locale)
    out = Path(out)
    texts = read_form(out / FORM)
    folder = None if isinstance(model, Model) or not Path(model).is_dir() else Path(model)
    opened = model if isinstance(model, Model) else load(model)
    folders = (None if one is None else Path(one) for one in (evaluation, slices, monitor))
    evidence = read_evidence(opened, *folders)
    cards = [_card("model", opened.name, model_sections(opened, folder, evidence), texts)]
    if data is not None:
        catalog = data if isinstance(data, Catalog) else Catalog.open(data)
        cards.append(_card("data", catalog.name, data_sections(catalog, label=label), texts))
    written = []
    for one in cards:
        for name, text in (
            (f"{NAMES[one.kind]}.md", card_markdown(one, locale=locale)),
            (f"{NAMES[one.kind]}.html", card_page(one, locale=locale)),
        ):
            files.write_text(out / name, text)
            written.append(str(out / name))
    write_form(out / FORM, texts, locale=locale)
    asked = [f"{one.kind}.{key}" for one in cards for key in keys_of(one.kind)]
    return CardSummary(
        model=opened.name,
        files=written,
        stated=sum(key in texts for key in asked),
        open_fields=[key for key in asked if key not in texts],
        form=str(out / FORM),
    )


def _card(
    kind: Literal["model", "data"], subject: str, sections: Sequence[CardSection], texts: Mapping[str, str]
) -> Card:
    """With the fields of each section, as far as people have filled them."""
    filled = [
        replace(
            one,
            fields=[
                CardField(key=f"{one.key}.{name}", text=texts.get(f"{kind}.{one.key}.{name}", ""))
                for name in FIELDS[kind].get(one.key, ())
            ],
        )
        for one in sections
    ]
    return Card(kind=kind, subject=subject, sections=filled, created_at=now(), version=package_version())
