import json
import re
import string
from dataclasses import replace
from importlib import resources

import pytest

from synsight.errors import UsageError
from synsight.reports.drift_page import drift_page
from synsight.reports.drift_records import (
    AccuracyEstimate,
    Advice,
    ClassShare,
    DriftResult,
    DriftSummary,
    EarlierRun,
    LabelShift,
    Moved,
    NovelImage,
    Period,
    SampleFacts,
)
from synsight.reports.drift_sentences import DriftWords, change_text, plain, share, signed

HOSTILE = "<script>alert(1)</script>\"'\u202e{0}%s$x$"


def moved(name, difference, half):
    return Moved(
        name=name,
        difference=difference,
        low=difference - half,
        high=difference + half,
        q_value=0.001,
        reference=0.2,
        current=0.2 + difference,
    )


def summary(text="", *, verdict="drift"):
    facts = SampleFacts(
        catalog=text + "march", version=4, where=text + "x = 1", rows=5000, looked_at=2000, groups=412
    )
    return DriftSummary(
        verdict=verdict,
        p_value=0.001,
        words=[moved(text + "rust", 0.12, 0.04), moved("steel", -0.08, 0.02)] if verdict != "none" else [],
        alpha=0.05,
        least_p_value=0.001,
        tests=[
            DriftResult(name="mmd", value=0.02, p_value=0.001),
            DriftResult(name="words", value=9, p_value=0.4),
        ],
        auc=0.83,
        novel=0.21,
        novel_low=0.17,
        novel_high=0.25,
        reference=facts,
        current=facts,
        model=text + "model",
        words_from="model",
        words_tested=787,
        labels=LabelShift(
            predicted_by="probe",
            method="bbse",
            classes=[
                ClassShare(
                    name=text + "scratch",
                    predicted_reference=0.1,
                    predicted_current=0.3,
                    low=0.15,
                    high=0.25,
                    moved=True,
                    true_reference=0.12,
                    estimate=0.35,
                    estimate_low=0.3,
                    estimate_high=0.4,
                )
            ],
        ),
        accuracy=AccuracyEstimate(
            reference=0.91,
            reference_low=0.89,
            reference_high=0.93,
            value=0.8,
            low=0.75,
            high=0.85,
            error=0.05,
            method="atc",
            labelled_rows=1500,
            reliable=False,
            doubts=["drift"],
            labels_needed=246,
        ),
        quality=[moved("dark", 0.3, 0.1)],
        measures=[moved("darkness", 0.2, 0.1)],
        advice=[
            Advice(kind="check_camera", values={"names": ["dark", "darkness"]}),
            Advice(kind="roll_back", values={"value": 0.8, "reference": 0.91}),
            Advice(kind="collect", values={"images": 40, "novel": 0.21}),
            Advice(kind="relabel", values={"labels": 246}),
            Advice(kind="readapt", values={"classes": [text + "scratch"]}),
        ],
        periods=[
            Period(name=name, sample=sample, rows=99, novel=0.1, low=0.05, high=0.2)
            for name, sample in (("2026-02", "reference"), ("2026-03", "current"))
        ],
        novel_images=[
            NovelImage(id=text + "id7", rank=0.999, distance=9.0, words=[text + "rust"], thumbnail=text)
        ],
        collected=40,
        earlier=[EarlierRun(created_at="2026-02-01T04:00:00+00:00", verdict="none", p_value=0.4, auc=0.51)],
        settings={"rows": 2000, "exchanges": 999},
        created_at="2026-03-14T09:30:00+00:00",
    )


def wording(locale):
    file = resources.files("synsight.reports").joinpath(f"wording/drift_{locale}.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_both_languages_say_the_same_with_the_same_places_to_fill():
    english, japanese = wording("en"), wording("ja")
    assert set(english) == set(japanese)
    for key, text in english.items():
        places = [
            {name for _, name, _, _ in string.Formatter().parse(one) if name} for one in (text, japanese[key])
        ]
        assert places[0] == places[1], key
        assert text.count("|") == japanese[key].count("|"), key


def test_the_page_reads_as_people_speak_of_drift():
    html = drift_page(summary())
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    for part in (
        "In words: rust +0.12 [0.08, 0.16], steel −0.08 [−0.10, −0.06].",
        "a classifier tells which is which in 83 of 100 cases",
        "Look at the camera and the light first: dark and darkness changed.",
        "The model is likely to be right in 80% of the cases now, against 91% on the reference",
        "the 40 images of collect.parquet",
        "Do not rely on it: drift was found",
        "march, version 4: 2,000 of 5,000 rows, 412 groups; rows where x = 1",
        "35% (30% to 40%)",
        "+20.0 (+15.0 to +25.0)",
        "2026-02-01 04:00",
    ):
        assert part in text, part


def withheld():
    known = summary()
    accuracy = replace(
        known.accuracy, value=None, low=None, high=None, doubts=["outside"], labels_needed=385, others={}
    )
    return replace(known, accuracy=accuracy, labels=replace(known.labels, one_of=False, method=""))


def test_an_accuracy_that_cannot_be_estimated_is_said_and_not_shown():
    text = " ".join(re.sub(r"<[^>]+>", " ", drift_page(withheld())).split())
    assert "on the current images: cannot be estimated" in text
    assert "lie outside of what the reference covers" in text
    assert "Only labels do." in text
    assert "(ATC)" not in text
    assert "None" not in text
    assert "Each label stands by itself" in text
    assert dict(DriftWords.of("en").facts(withheld()))["estimated accuracy"] == "cannot be estimated"
    assert "推定できません" in drift_page(withheld(), locale="ja")


@pytest.mark.parametrize(
    ("labels", "images", "sentence"),
    [
        (246, 5000, "Label 246 current images drawn by chance"),
        (385, 30, "Label all 30 current images"),
        (0, 5000, "Label some 250 current images"),
        (0, 30, "Label all 30 current images"),
    ],
)
def test_no_more_images_are_to_be_labelled_than_there_are(labels, images, sentence):
    told = [Advice(kind="relabel", values={"labels": labels, "images": images})]
    (said,) = DriftWords.of("en").advice(replace(summary(), advice=told))
    assert said.startswith(sentence)


def test_the_japanese_page_is_japanese():
    html = drift_page(summary(), locale="ja")
    assert '<html lang="ja">' in html
    for part in (
        "ドリフトあり",
        "言葉で表すと：rust +0.12 [0.08, 0.16]、steel",
        "まずカメラと照明",
        "暗い、暗さが変化",
    ):
        assert part in html
    assert "What to do" not in html
    with pytest.raises(UsageError, match="no locale 'fr'"):
        drift_page(summary(), locale="fr")


@pytest.mark.parametrize("verdict", ["none", "watch", "drift"])
@pytest.mark.parametrize("locale", ["en", "ja"])
def test_every_verdict_has_a_page(verdict, locale):
    html = drift_page(summary(verdict=verdict), locale=locale)
    assert wording(locale)[f"verdict.{verdict}"] in html
    assert "<svg" in html


def test_hostile_names_are_shown_and_not_run():
    html = drift_page(summary(HOSTILE))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html


def test_numbers_have_the_digits_they_need():
    assert signed(0.123) == "+0.12"
    assert signed(-0.0123) == "−0.012"
    assert plain(0.0004) == "0.0004"
    assert change_text(moved("x", 0.018, 0.0132)) == "+0.018 [0.005, 0.031]"
    assert [share(one) for one in (0.5, 0.042, 0.001, 0.05)] == ["50%", "4.2%", "0.1%", "5%"]


def test_a_certain_p_value_is_called_at_most():
    said = DriftWords.of("en").lead(summary())[0]
    assert "in at most 0.1% of cases; below 5%" in said
