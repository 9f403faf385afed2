"""The page of slices and the cards: what they say, in both languages, and that foreign text stays text."""

import json
import re
import string
from html.parser import HTMLParser
from importlib import resources
from itertools import cycle

import markdown
import pytest
from browser import Browser, needs_browser
from hostile import texts
from sliced_pages import full_card, slice_summary

from synsight.errors import UsageError
from synsight.reports.card_markdown import card_markdown, escaped
from synsight.reports.card_page import card_page
from synsight.reports.page_words import page_words
from synsight.reports.slice_page import slice_page

PAGES = ("slices", "card")


class Dom(HTMLParser):
    """Elements and the text between them."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.said = set(), set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self):
        return " ".join("".join(self.said).split())


def plain():
    numbers = iter(range(10**6))
    return lambda: f"text {next(numbers)}"


def hostile():
    forms = cycle(texts(400))
    return lambda: next(forms)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_words_with_the_same_places_to_fill(page):
    folder = resources.files("synsight.reports").joinpath("wording")
    english, japanese = (
        json.loads(folder.joinpath(f"{page}_{locale}.json").read_text("utf-8")) for locale in ("en", "ja")
    )
    assert set(english) == set(japanese)
    for key, template in english.items():
        places = [
            {name for _, name, _, _ in string.Formatter().parse(one) if name}
            for one in (template, japanese[key])
        ]
        assert places[0] == places[1], key
        assert not re.search(r"\b(the|and|of|with|is)\b", re.sub(r"\{.*?\}", "", japanese[key])), key


def test_the_page_says_what_was_found_with_its_numbers():
    said = Dom(slice_page(slice_summary(plain()))).text
    assert "Worse on 3 of 124 slices" in said
    assert "75.0%" in said
    assert "25.0% to 60.0%" in said  # the interval of a slice
    assert "1 of 9 looks show" in said
    assert "1 of 30 differences between groups" in said
    japanese = Dom(slice_page(slice_summary(plain()), locale="ja")).text
    assert "124個の部分のうち3個で精度が低い" in japanese
    assert "25.0%～60.0%" in japanese


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match="no locale 'fr'"):
        page_words("slices", "fr")


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_no_foreign_text_becomes_an_element_or_an_attribute(locale):
    for make in (
        lambda text: slice_page(slice_summary(text), locale=locale),
        lambda text: card_page(full_card("model", text), locale=locale),
        lambda text: card_page(full_card("data", text), locale=locale),
    ):
        harmless = Dom(make(plain()))
        evil = hostile()
        for _ in range(12):
            found = Dom(make(evil))
            assert found.elements == harmless.elements
            assert found.attributes <= harmless.attributes


def test_no_foreign_text_marks_up_or_links_anything_in_markdown():
    def rendered(text):
        return Dom(markdown.markdown(card_markdown(full_card("model", text)), extensions=["tables"]))

    harmless = rendered(plain())
    assert {"h1", "h2", "table", "strong", "li", "em"} <= harmless.elements
    evil = hostile()
    for _ in range(40):
        found = rendered(evil)
        assert found.elements == harmless.elements
        assert found.attributes == harmless.attributes


@pytest.mark.parametrize(
    "text",
    [
        "**bold** _it_ ~~no~~ `code` <b>x</b> &amp; [link](http://evil.example) ![i](x)",
        "# no heading | no cell |",
        "- no item",
        "1. no item",
        "http://evil.example www.evil.example me@evil.example",
        "| a | b |",
        "$x^2$ == {{ 7 * 7 }}",
        "back\\slash",
    ],
)
def test_escaped_text_is_shown_as_it_was(text):
    shown = Dom(markdown.markdown(f"x {escaped(text)}", extensions=["tables", "extra"]))
    assert shown.text == f"x {text}"
    assert shown.elements == {"p"}
    assert Dom(markdown.markdown(escaped(text), extensions=["tables", "extra"])).elements == {"p"}


def test_what_nobody_has_stated_is_said_to_be_open():
    card = full_card("model", plain())
    assert "Where do questions and complaints go?** Not stated; to be filled by you" in card_markdown(card)
    assert "記載なし" in card_markdown(card, locale="ja")
    assert "Not stated; to be filled by you in card.yaml." in card_page(card)


@needs_browser
def test_a_browser_asks_for_nothing_and_runs_nothing(tmp_path):
    evil = hostile()
    with Browser(tmp_path / "profile") as browser:
        for number, html in enumerate(
            (slice_page(slice_summary(evil)), card_page(full_card("model", evil), locale="ja"))
        ):
            path = tmp_path / f"{number}.html"
            path.write_text(html, encoding="utf-8")
            seen = browser.visit(path)
            assert not seen.dialogs
            assert not seen.requests
            assert not seen.console
            assert not seen.found["bad"]
            assert not seen.found["odd"]
            assert seen.found["policy"]
            assert seen.found["width"] <= seen.found["room"]
