"""The page in a real browser: what people see, hear and press, in both languages."""

import base64
import json
import re
import time
from contextlib import contextmanager
from importlib import resources

from services import image, labelled, serving

from reports.browser import Browser, needs_browser
from synsight.data.catalog import Catalog
from synsight.models import load

PAGE = resources.files("synsight.deployment.serving").joinpath("page")

NAMELESS = """(() => {
  const shown = one => one.offsetParent !== null || one.type === 'file';
  const name = one => (one.getAttribute('aria-label') || one.textContent || one.alt || '').trim()
    || [...(one.labels || [])].map(label => label.textContent.trim()).join(' ')
    || (document.getElementById(one.getAttribute('aria-labelledby')) || {}).textContent;
  return [...document.querySelectorAll('button, input, select, a, [tabindex]')]
    .filter(one => shown(one) && !name(one)).map(one => one.outerHTML.slice(0, 100));
})()"""
"""Controls that a screen reader could not name."""


class Tab:
    """A tab on the service's page."""

    def __init__(self, browser, url, *, width=1100):
        self.browser = browser
        browser._page = url
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._tab = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=1000,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=url)
        self.until("document.documentElement?.dataset?.ready")

    def call(self, method, **params):
        return self.browser.call(method, tab=self._tab, **params)

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression, seconds=90):
        end = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < end, (expression, self.js("document.body.innerText"))
            self.browser.listen(0.1)

    def choose(self, path):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#image")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def press(self, key, **more):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **more)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def shot(self, path):
        path.write_bytes(
            base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        )


@contextmanager
def page(models, tmp_path, **more):
    with serving(models, **more) as client, Browser(tmp_path / "profile") as browser:
        yield client, Tab(browser, str(client.base_url))


def test_both_languages_say_the_same_things():
    english, japanese = (json.loads(PAGE.joinpath(f"{one}.json").read_text("utf-8")) for one in ("en", "ja"))
    assert list(english) == list(japanese)
    for key, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", japanese[key])), key
    html, script = (PAGE.joinpath(name).read_text("utf-8") for name in ("index.html", "page.js"))
    used = set(re.findall(r'data-text="(\w+)"', html)) | set(re.findall(r'say\("(\w+)"', script))
    assert used == set(english)


def test_the_page_names_no_other_place_and_has_no_code_in_its_html():
    for name in ("index.html", "style.css", "page.js"):
        text = PAGE.joinpath(name).read_text("utf-8")
        assert not re.search(r"https?:|//\w+\.\w", text), name
        assert "innerHTML" not in text and "eval(" not in text
    html = PAGE.joinpath("index.html").read_text("utf-8")
    assert not re.search(r"<[^>]+\son\w+=|<[^>]+\sstyle=|<script(?![^>]*src=)", html)


@needs_browser
def test_an_image_is_seen_explained_judged_and_kept(models, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(image(4, width=64, height=64))
    model = load(models / "colours")
    best = model.class_names[int(model.predict([path.read_bytes()])[0].argmax())]
    with page(models, tmp_path, feedback=tmp_path / "fb", reference=models / "cat") as (_, tab):
        assert tab.js(NAMELESS) == []
        assert tab.js("document.querySelector('#status').getAttribute('aria-live')") == "polite"
        tab.choose(path)
        tab.until("document.querySelector('#status').textContent.startsWith('Done')")
        assert tab.text("#best").startswith(best)
        assert best in tab.text("#status")
        assert len(tab.js("[...document.querySelectorAll('#names tr')].map(one => one.innerText)")) == 3
        assert tab.js("document.querySelectorAll('#cases li img').length") == 6
        assert tab.js("document.querySelector('#heat').naturalWidth") > 0
        assert tab.js("document.querySelectorAll('#words li').length") >= 3
        assert tab.js("[...document.images].every(one => one.hasAttribute('alt'))")
        assert "Orange speaks for it" in tab.text("#heat-note")
        assert tab.js(NAMELESS) == []
        tab.js("document.querySelector('#wrong').focus()")
        tab.press("Enter", text="\r", windowsVirtualKeyCode=13)  # by the keyboard alone
        tab.until("document.activeElement.id === 'label'")
        tab.call("Input.insertText", text="紫 <b>")
        tab.press("Enter", text="\r", windowsVirtualKeyCode=13)
        tab.until("document.querySelector('#kept').textContent")
        rows = Catalog.open(tmp_path / "fb").table(["label", "verdict", "prediction", "image"]).to_pylist()
        assert rows == [
            {"label": "紫 <b>", "verdict": "wrong", "prediction": best, "image": path.read_bytes()}
        ]
        tab.js("document.querySelector('#language').click()")
        tab.until("document.querySelector('#status').textContent.startsWith('完了')")
        assert tab.text("h1") == "モデルには何が見えていますか？"
        assert tab.js("document.documentElement.lang") == "ja"
        assert tab.js("document.documentElement.scrollWidth <= window.innerWidth")
        seen = tab.browser._seen
        own = tab.browser._page.rstrip("/")
        assert [one for one in seen.requests if not one.startswith((f"{own}/", f"blob:{own}", "data:"))] == []
        assert (seen.console, seen.dialogs) == ([], [])


@needs_browser
def test_a_small_phone_shows_cases_side_by_side_and_no_false_certainty(models, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(image(4, width=64, height=64))
    sure = labelled(["certain", "impossible", "a-name-of-many-letters"], seed=1, scale=4000)
    sure.save_pretrained(tmp_path / "sure")
    folders = {"sure": tmp_path / "sure"}
    with (
        serving(models, models=folders, reference=models / "cat") as client,
        Browser(tmp_path / "profile") as browser,
    ):
        tab = Tab(browser, str(client.base_url), width=375)
        tab.choose(path)
        tab.until("document.querySelector('#status').textContent.startsWith('Done')")
        shares = tab.js("[...document.querySelectorAll('#names .number')].map(one => one.innerText)")
        known = [
            one["probability"]
            for one in client.post("/predict", content=path.read_bytes()).json()["predictions"]
        ]
        for text, share in zip(shares, known, strict=True):
            assert (text == "0%") == (share == 0) and (text == "100%") == (share == 1), (text, share)
        tops = tab.js(
            "[...document.querySelectorAll('#cases li')].map(one => one.getBoundingClientRect().top)"
        )
        assert tops[0] == tops[1] < tops[2], "two in a row"
        assert tab.js("document.documentElement.scrollWidth <= window.innerWidth")


@needs_browser
def test_a_phone_in_japanese_and_a_token_by_hand(models, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("<img src=x onerror=alert(1)>")
    token = "canary-for-the-page-1"
    with (
        serving(models, token=token, locale="ja") as client,
        Browser(tmp_path / "profile") as browser,
    ):
        tab = Tab(browser, str(client.base_url), width=390)
        assert tab.js("!document.querySelector('#token-form').hidden")
        assert tab.js("document.activeElement.id") == "token"
        tab.call("Input.insertText", text=token)
        tab.press("Enter", text="\r", windowsVirtualKeyCode=13)
        tab.until("document.querySelector('#token-form').hidden")
        tab.choose(path)
        tab.until("document.querySelector('#trouble').textContent")
        assert tab.text("#trouble").startswith("うまくいきませんでした")
        assert tab.js("document.querySelector('#answer').hidden")
        assert tab.js("document.documentElement.scrollWidth <= window.innerWidth")
        assert browser._seen.dialogs == []
        assert tab.js("JSON.stringify([document.cookie, localStorage.length, sessionStorage.length])") == (
            '["",0,0]'
        )
        assert token not in tab.js("location.href + document.documentElement.outerHTML")
