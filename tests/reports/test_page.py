import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pages
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synsight.records import Example
from synsight.reports import ReportPage, render, write_report
from synsight.reports.copy_records import CopyFacts
from synsight.reports.text import visible

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg onload=alert(1)><animate onbegin=alert(1)>",
    "</svg></text><script>alert(1)</script>",
    "]]><script>alert(1)</script><![CDATA[",
    "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${alert(1)} #{7*7} <%= 7*7 %>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<iframe src=https://example.com></iframe>",
    "<base href=https://example.com>",
    "<meta http-equiv=refresh content='0;url=https://example.com'>",
    "<link rel=stylesheet href=//example.com/x.css>",
    "<form action=//example.com><input autofocus onfocus=alert(1)>",
    "<!--<img src='--><img src=x onerror=alert(1)>'",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "$\\frac{a}{$ unbalanced $ mathematics _^",
    "\u202egnp.exe\u202c \u2066reordered\u2069",
    "\x00\x07\x1b[31mred\x1b[0m",
    "\ud800 lone surrogate",
    "=HYPERLINK('https://example.com')",
    "写真 📷 👩‍🚒 \u0301\u0301\u0301",
    "a" * 5_000,
]
PARTS = [part for one in HOSTILE for part in (one, one.upper())]


class Shape(HTMLParser):
    """The elements and attribute names of a page, and what addresses it names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs if name != "alt"))))
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data"}]


def drawn_apart(html: str) -> str:
    """The page without its drawings: the number of glyph runs there may depend on the text."""
    return re.sub(r"<svg.*?</svg>", "<svg></svg>", html, flags=re.DOTALL)


PLAIN = "a caption"


@pytest.fixture(scope="module")
def plain_shape() -> Shape:
    return Shape(drawn_apart(render(pages.page(PLAIN))))


def test_every_part_of_a_full_page_is_shown():
    html = render(pages.page())
    for part in (
        "Captions helped.",
        "chance / most frequent",
        "What labels buy",
        "Pretraining",
        "Three gates",
    ):
        assert part in html
    assert html.count("<svg") == 4
    assert "data:image/webp;base64," in html


def test_an_empty_page_is_a_page():
    html = render(ReportPage(title="nothing yet"))
    assert "nothing yet" in html
    assert "<svg" not in html


def test_the_policy_allows_the_pages_own_style_and_nothing_else():
    html = render(pages.page())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'")
    assert "<script" not in html
    assert " style=" not in html


def test_the_page_names_no_place_outside_itself():
    shape = Shape(render(pages.page()))
    assert all(address.startswith(("data:image/", "#")) for address in shape.addresses)


def test_ids_are_unique_and_links_find_them():
    html = render(pages.page())
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in re.findall(r' href="(#[^"]+)"', html)} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 3))
def test_hostile_text_in_every_field_makes_no_element(first, plain_shape):
    text = " ".join(HOSTILE[first : first + 3])
    html = render(pages.page(text))
    assert Shape(drawn_apart(html)).elements == plain_shape.elements
    assert all(address.startswith(("data:image/", "#")) for address in Shape(html).addresses)
    assert {tag for tag, _ in Shape(html).elements}.isdisjoint({"script", "iframe", "form", "link", "base"})
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", html)
    html.encode("utf-8")


@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=20)), min_size=1, max_size=4).map("".join))
def test_no_element_of_the_page_comes_from_a_caption(text):
    def shown(caption: str) -> Shape:
        example = Example(id=caption, thumbnail=b"", caption=caption, words=[caption], label=caption)
        return Shape(render(ReportPage(title="captions", examples=[example])))

    # An empty label or caption has its own, smaller shape: it begins with a letter here.
    assert shown("x" + text).elements == shown("x").elements


@given(st.text())
def test_visible_text_is_encodable_and_stays_as_it_is_when_cleaned_again(text):
    once = visible(text)
    assert visible(once) == once
    once.encode("utf-8")


def test_bytes_that_are_no_picture_are_not_shown():
    example = Example(id="1", thumbnail=b"<svg onload=alert(1)>", caption="x")
    html = render(ReportPage(title="t", examples=[example]))
    assert "<img" not in html
    assert "no picture" in html


def test_the_same_records_give_the_same_page(tmp_path):
    first = write_report(tmp_path / "a.html", pages.page()).read_bytes()
    assert write_report(tmp_path / "b.html", pages.page()).read_bytes() == first


CHROMIUM = shutil.which("chromium")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_asks_for_nothing_and_says_nothing(tmp_path):
    """All hostile strings in one gallery, some in every field; the network log and the console stay empty."""
    examples = [
        Example(id=f"{number}{text}", thumbnail=pages.picture(), caption=text, words=[text], label=text)
        for number, text in enumerate(f"{text}{salt}" for salt in range(40) for text in HOSTILE)
    ]
    assert len(examples) >= 1_000
    gallery = write_report(tmp_path / "gallery.html", ReportPage(title="hostile", examples=examples))
    assert browse(gallery, tmp_path) == ([], [])
    for number, text in enumerate(HOSTILE[::4]):
        path = write_report(tmp_path / f"{number}.html", pages.page(text))
        requests, console = browse(path, tmp_path)
        assert requests == [], text
        assert console == [], text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_browser_check_sees_a_page_that_misbehaves(tmp_path):
    """Else an empty log would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('here')</script>")
    requests, console = browse(bad, tmp_path)
    assert requests
    assert console


def browse(path: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Addresses outside the page that Chromium began to load, and lines of its console."""
    log = folder / f"{path.stem}-network.json"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update"]
    flags += ["--disable-background-networking", "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND"]
    flags += ["--enable-logging=stderr", f"--log-net-log={log}", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run([CHROMIUM, *flags, path.as_uri()], capture_output=True, text=True, timeout=60)
    urls = re.findall(r'"url":"((?:https?|wss?|ftp)://[^"]+)"', log.read_text())
    # The browser itself asks its maker for the time, extensions and lists, whatever page is shown.
    requests = [url for url in urls if not re.search(r"//[^/]*(google|gvt1|googleapis)\.com", url)]
    return requests, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def test_near_copies_stand_in_pairs_with_the_accuracy_without_them_and_hostile_ids_do_nothing():
    pairs = [tuple(Example(id=one, thumbnail=b"", caption=None) for one in (name, name)) for name in HOSTILE]
    facts = CopyFacts(
        test_rows=200, pool_rows=900, copies=30, pairs=pairs, accuracies=[(HOSTILE[0], 0.75, 0.5)]
    )
    html = render(ReportPage(title="pilot", copies=facts))
    assert "30 of 200 test images (15.0%) have a near copy in the training pool." in html
    assert html.count('<p class="label">test: ') == html.count('<p class="label">training: ') == len(pairs)
    assert re.search(r"<td>0\.75\d*</td><td>0\.50?\d*</td>", html)
    plain = [tuple(Example(id="x", thumbnail=b"", caption=None) for _ in range(2)) for _ in HOSTILE]
    harmless = CopyFacts(test_rows=200, pool_rows=900, copies=30, pairs=plain, accuracies=[("x", 0.75, 0.5)])
    assert Shape(html).elements == Shape(render(ReportPage(title="pilot", copies=harmless))).elements
