import re
import string

import pytest

from synsight.errors import UsageError
from synsight.reports.decision_records import NOTES, Estimate
from synsight.reports.locales import (
    COUNT,
    FACTOR,
    LABELS,
    PERIOD,
    POINTS,
    SHARE,
    SMALL_SHARE,
    locale_of,
    money,
    payback_text,
    spoken_money,
)

EN, JA = locale_of("en"), locale_of("ja")

ONLY_JAPANESE = ("note.", "text.", "source.", "unpaired.")
"""Families of words that English has from the records themselves."""


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_languages_have_the_same_words_with_the_same_places_to_fill():
    japanese = {key for key in JA.words if not key.startswith(ONLY_JAPANESE)}
    assert japanese == set(EN.words)
    for key in japanese:
        optional = {"candidate", "baseline", "metric", "n", "question", "value", "size"}
        assert placeholders(JA.words[key]) ^ placeholders(EN.words[key]) <= optional, key


def test_every_note_of_a_decision_has_a_japanese_sentence_filled_from_its_values():
    for key, values in NOTES.items():
        template = JA.words[f"note.{key}"]
        known = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", values)))
        assert placeholders(template) <= known, key


def test_japanese_sentences_hold_no_english_and_end_as_sentences_do():
    for key, template in JA.words.items():
        text = re.sub(r"\{.*?\}", "", template)
        if key.startswith(("said.", "note.", "reason.")):
            assert text.endswith("。"), key
            assert not re.search("[,.;:!?] |[,.]$", text), key
        assert not re.search(r"\b(the|and|of|with|is)\b", text), key


@pytest.mark.parametrize(
    ("one", "english", "japanese"),
    [
        (Estimate(value=310.0, low=220.4, high=420.0), "310 labels (220 to 420)", "310枚（220～420枚）"),
        (Estimate(value=1.0), "1 label", "1枚"),
        (Estimate(value=12_345.0), "12,345 labels", "12,345枚"),
        (
            Estimate(value=500.0, low=231.0, high=500.0, value_sign=">", high_sign=">"),
            "more than 500 labels (231 to more than 500)",
            "500枚超（231～500枚超）",
        ),
        (
            Estimate(value=5.0, low=5.0, high=9.0, value_sign="<", low_sign="<"),
            "less than 5 labels (less than 5 to 9)",
            "5枚未満（5未満～9枚）",
        ),
        (
            Estimate(value=150.0, low=150.0, high=150.0, value_sign=">", low_sign=">", high_sign=">"),
            "more than 150 labels",
            "150枚超",
        ),
        (Estimate(value=None), "not known", "不明"),
        (
            Estimate(value=None, value_sign="never", low_sign="never", high_sign="never"),
            "never reached",
            "到達しない",
        ),
    ],
)
def test_labels_are_read_with_their_interval_and_with_what_lies_beyond_it(one, english, japanese):
    assert EN.estimate(one, LABELS) == english
    assert JA.estimate(one, LABELS) == japanese


def test_units_and_signs():
    gain = Estimate(value=0.056, low=-0.026, high=0.0)
    assert EN.estimate(gain, POINTS) == "+5.6 points (−2.6 to 0.0)"
    assert JA.estimate(gain, POINTS) == "+5.6ポイント（−2.6～0.0ポイント）"
    assert EN.value(Estimate(value=-0.00001), POINTS) == "0.0 points"
    assert EN.estimate(Estimate(value=0.5239), SHARE) == "52.4%"
    assert JA.value(Estimate(value=3.66), FACTOR) == "3.7倍"
    assert EN.value(Estimate(value=0.42), FACTOR) == "0.42 times"
    assert COUNT.bare(-1234.4) == "−1,234"


def test_a_rare_error_never_reads_as_none():
    shares = (0.31, 0.165, 0.004, 0.00021, 0.0000051, 0.0)
    assert [SMALL_SHARE.bare(one) for one in shares] == [
        *("31.0%", "16.5%", "0.40%", "0.021%", "0.00051%", "0%"),
    ]


def test_payback_at_once_soon_and_never():
    months = Estimate(value=3.24, low=2.1, high=None, high_sign="never")
    assert payback_text(EN, months) == "3.2 months (2.1 to never)"
    assert payback_text(JA, months) == "3.2か月（2.1～回収できない）"
    at_once = Estimate(value=0.0, low=0.0, high=0.0)
    assert (payback_text(EN, at_once), payback_text(JA, at_once)) == ("at once", "即時")
    assert payback_text(EN, Estimate(value=0.0, low=0.0, high=4.0)) == "at once (up to 4)"
    never = Estimate(value=None, value_sign="never", low_sign="never", high_sign="never")
    assert (payback_text(EN, never), payback_text(JA, never)) == ("never", "回収できない")
    assert EN.value(Estimate(value=1.04), PERIOD) == "1 month"


@pytest.mark.parametrize(
    ("value", "currency", "exact", "spoken"),
    [
        (1_234_567.4, "JPY", "¥1,234,567", "123万円"),
        (-153_920, "JPY", "−¥153,920", "−15.4万円"),
        (120_000_000, "JPY", "¥120,000,000", "1.2億円"),
        (9_999, "JPY", "¥9,999", "9,999円"),
        (0, "JPY", "¥0", "0円"),
        (1_234.5, "EUR", "€1,234", "€1,230"),
        (0.5, "USD", "$0.50", "$0.50"),
        (20.0, "GBP", "£20", "£20"),
        (99.0, "CHF", "CHF 99", "CHF 99"),
    ],
)
def test_money_as_it_is_written_and_as_it_is_said(value, currency, exact, spoken):
    assert money(currency).bare(value) == exact
    assert spoken_money(currency, JA).bare(value) == spoken


def test_dates_lists_and_questions():
    assert EN.date("2026-11-23T09:00:00") == "23 November 2026"
    assert JA.date("2026-11-23") == "2026年11月23日"
    assert EN.date("<b>") == "<b>"
    assert EN.listed(["a", "b", "c"]) == "a, b and c"
    assert JA.listed(["電力", "計算費", "工数"]) == "電力、計算費と工数"
    assert [EN.question(n) for n in (None, 1, 10)] == ["all labels", "1 label a class", "10 labels a class"]
    assert JA.question(10) == "各クラス10枚のラベル"


def test_names_are_never_taken_for_templates():
    assert EN.say("verdict_line", verdict="{x}", candidate="{0.__class__}") == "{x}: {0.__class__}"


def test_an_unknown_locale_names_the_known_ones():
    with pytest.raises(UsageError, match="no locale 'jp'; did you mean 'ja'"):
        locale_of("jp")
