"""Records of slices and cards whose every foreign text is as given."""

from synsight.records import Example
from synsight.reports.card_records import Card, CardField, CardNote, CardSection, CardTable
from synsight.reports.slice_records import CaptionChange, Odds, Part, Slice, SliceSummary, SpuriousWord

PICTURE = b"RIFF....WEBP"


def slice_summary(text) -> SliceSummary:
    """`text()` is the next foreign text."""
    parts = [Part(kind=kind, column=text(), value=text()) for kind in ("column", "word", "seen")]
    example = Example(id=text(), thumbnail=PICTURE, caption=text(), label=text(), predicted=((text(), 0.5),))
    numbers = {"rows": 40, "accuracy": 0.4, "ci_low": 0.25, "ci_high": 0.6, "others": 0.8}
    single = [
        Slice(
            parts=[part],
            **numbers,
            expected=0.7,
            shrunk=0.5,
            p_value=0.0001,
            q_value=0.01,
            found=True,
            same_rows=[Part(kind="word", column=text(), value=text())],
            examples=[example],
        )
        for part in parts
    ]
    pair = Slice(
        parts=parts[:2], **numbers, expected=None, shrunk=None, p_value=0.001, q_value=0.2, found=False
    )
    odds = Odds(ratio=4.0, low=2.0, high=8.0)
    return SliceSummary(
        model=text(),
        dataset=text(),
        label=text(),
        rows=900,
        accuracy=0.75,
        ci_low=0.7,
        ci_high=0.8,
        slices_tested=120,
        found=3,
        worst=single,
        pairs=[pair],
        pairs_tested=4,
        false_discovery_rate=0.05,
        spurious_words=[
            SpuriousWord(
                word=text(),
                label=text(),
                place=text(),
                rows=50,
                training=odds,
                elsewhere=Odds(ratio=1.0, low=None, high=None),
                q_value=0.001,
                spurious=True,
                followed=odds,
            )
        ],
        spurious_tested=9,
        caption_changes=[
            CaptionChange(
                word=text(),
                change="added",
                column=text(),
                value=text(),
                rows=100,
                rate=0.3,
                ci_low=0.2,
                ci_high=0.4,
                other_rate=0.1,
                q_value=0.002,
                found=True,
            )
        ],
        caption_changes_tested=30,
        notes=[text()],
        settings={"columns": [text()], "words": True, "min_rows": 20, "split": "test", "beam": 20, "seed": 0},
        catalog_version=4,
        report="report.html",
    )


def full_card(kind, text) -> Card:
    values = (("n", "3"), ("of", "9"), ("worst", text()), ("accuracy", "40.0%"))
    return Card(
        kind=kind,
        subject=text(),
        sections=[
            CardSection(
                key="details" if kind == "model" else "composition",
                facts=[("name", text()), ("classes", text())],
                tables=[CardTable(name="labels", head=("name", "rows"), rows=[[text(), "5"], [text(), "7"]])],
                notes=[CardNote(key="slices_found", values=values)],
                fields=[
                    CardField(key="details.owner" if kind == "model" else "composition.errors", text=text()),
                    CardField(key="details.contact" if kind == "model" else "composition.people"),
                ],
            )
        ],
        created_at="2026-03-01T10:00:00+00:00",
        version="1.0",
    )
