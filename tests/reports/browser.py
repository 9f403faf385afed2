"""A real browser, listened to over its debugging pipe: what a page asks for, says and pops up."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or shutil.which("bash") is None, reason="no chromium (with bash) on this machine"
)

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--remote-debugging-pipe", "--proxy-server=127.0.0.1:9"),
]

POKE = """(() => {
  const all = [...document.querySelectorAll('*')];
  for (const one of document.querySelectorAll('details')) one.open = true;
  for (const one of all)
    for (const name of ['mouseover', 'pointerenter', 'click', 'focus', 'toggle', 'animationstart'])
      one.dispatchEvent(new Event(name, {bubbles: true}));
  const odd = all.filter(one => [...one.attributes].some(a => /^on/i.test(a.name)
    || /^(src|href|action|data|formaction|xlink:href)$/i.test(a.name)
      && !/^(#|data:image\\/)/.test(a.value)));
  const bad = 'script,iframe,object,embed,form,input,link,base,video,audio,marquee,a'
    + ',meta[http-equiv=refresh]';
  return JSON.stringify({
    elements: all.length,
    odd: odd.map(one => one.outerHTML.slice(0, 200)),
    bad: [...document.querySelectorAll(bad)].map(one => one.outerHTML.slice(0, 200)),
    policy: !!document.querySelector('meta[http-equiv=Content-Security-Policy]'),
    width: document.documentElement.scrollWidth,
    room: window.innerWidth,
    text: document.body.innerText,
  });
})()"""
"""Sets off every handler that a page could hide, and looks for what must not be there."""


@dataclass
class Seen:
    """What a page did."""

    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    fonts: dict[str, float] = field(default_factory=dict)
    """Family -> letters drawn with it."""


class Browser:
    """One headless browser; `visit` opens a page in a tab of its own."""

    def __init__(self, folder):
        read_by_us, written_by_it = os.pipe()
        read_by_it, written_by_us = os.pipe()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}"]
        bash = f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}'
        self._process = subprocess.Popen(
            ["bash", "-c", bash, "bash", *command],
            pass_fds=(read_by_it, written_by_it),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_by_it)
        os.close(written_by_it)
        self._in, self._out = os.fdopen(written_by_us, "wb"), os.fdopen(read_by_us, "rb")
        self._number, self._buffer, self._seen = 0, b"", Seen()
        os.set_blocking(self._out.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._in.close()
        self._out.close()

    def visit(self, path, *, width=1100, fonts="") -> Seen:
        """Open a file, set off what it may hide, and say what came of it.

        `fonts` selects the elements whose letters are looked up.
        """
        self._seen = seen = Seen()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "CSS"):
            self.call(f"{domain}.enable", tab=tab)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            tab=tab,
            width=width,
            height=1000,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._page, self._loaded = path.as_uri(), False
        self.call("Page.navigate", tab=tab, url=self._page)
        self._until(lambda: self._loaded, 60)
        answer = self.call("Runtime.evaluate", tab=tab, expression=POKE)
        seen.found = json.loads(answer["result"]["value"])
        if fonts:
            root = self.call("DOM.getDocument", tab=tab)["root"]["nodeId"]
            ids = self.call("DOM.querySelectorAll", tab=tab, nodeId=root, selector=fonts)["nodeIds"]
            for node in ids:
                for font in self.call("CSS.getPlatformFontsForNode", tab=tab, nodeId=node)["fonts"]:
                    name = font["familyName"] + (" (embedded)" if font["isCustomFont"] else "")
                    seen.fonts[name] = seen.fonts.get(name, 0) + font["glyphCount"]
        self.listen(0.3)
        self.call("Target.closeTarget", targetId=target)
        return seen

    def call(self, method, *, tab=None, **params):
        """One command and its answer; what happens meanwhile is noted."""
        self._number += 1
        own = self._number
        message = {"id": own, "method": method, "params": params}
        if tab:
            message["sessionId"] = tab
        self._in.write(json.dumps(message).encode() + b"\0")
        self._in.flush()
        answers: dict[int, Any] = {}
        self._until(lambda: own in answers, 60, answers)
        answer = answers[own]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def listen(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read({})
            time.sleep(0.01)

    def _until(self, done, seconds, answers=None):
        end = time.monotonic() + seconds
        while not done():
            if not self._read({} if answers is None else answers):
                time.sleep(0.002)
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError("the browser does not answer")

    def _read(self, answers) -> bool:
        data = self._out.read() or b""
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for one in map(json.loads, messages):
            if "id" in one:
                answers[one["id"]] = one
            else:
                self._note(one["method"], one["params"], one.get("sessionId"))
        return bool(messages)

    def _note(self, method, params, tab):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Page.javascriptDialogOpening":
            self._seen.dialogs.append(params["message"])
            self._number += 1
            accept = {"id": self._number, "method": "Page.handleJavaScriptDialog", "sessionId": tab}
            self._in.write(json.dumps({**accept, "params": {"accept": True}}).encode() + b"\0")
            self._in.flush()
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != self._page and not url.startswith(("data:image/", "data:font/")):
                self._seen.requests.append(url)
        elif method == "Runtime.consoleAPICalled":
            self._seen.console.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self._seen.console.append(str(params["exceptionDetails"].get("text")))
        elif method == "Log.entryAdded":
            self._seen.console.append(params["entry"]["text"])
