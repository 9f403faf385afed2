"""A captioner behind an OpenAI-compatible endpoint: vLLM, llama.cpp, Ollama, or a provider.

Images leave this machine for the one URL that the user gave, and for no other: redirects are not followed,
the environment's proxies are not used. That URL may be loopback or a private address, since it is the
user's own word and not a stranger's; URLs from data go through `synsight.fetching` instead. Images are
sent small and without metadata; the key comes from an environment variable and stands in no message.
"""

import base64
import http.client
import io
import ipaddress
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from synsight.errors import ConfigError, ImageError, ModelError
from synsight.models.captioners import small_image
from synsight.models.prompting import Answer, checked_answer, request_for

KEY_VARIABLE = "SYNSIGHT_ENDPOINT_KEY"
MOST_BYTES = 1_000_000
"""Of an answer; a caption is a few hundred."""
MOST_TOKENS = 120
ONCE_MORE = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes that pass."""
ONE_IMAGE = frozenset({400, 413, 415, 422})
"""Status codes that may be about one image: too large, or against the provider's rules."""
LONGEST_WAIT = 60.0


@dataclass(frozen=True, kw_only=True)
class EndpointCaptioner:
    """See the module; a `Captioner`. Safe to call from several threads: each call opens its own connections.

    Raises:
        ConfigError: A URL that is no http(s) URL, a number out of its range, or a key that would cross the
            network in the clear.
    """

    url: str
    """As "http://127.0.0.1:8000/v1"; "/chat/completions" is added where missing."""
    model: str
    """Name of the model there; also what `caption_origin` calls it."""
    key_variable: str = KEY_VARIABLE
    """Environment variable that holds the key; may be unset where none is wanted."""
    timeout: float = 60.0
    """Seconds for one request."""
    retries: int = 5
    """Further tries after a time-out, a broken connection or a status that passes."""
    first_wait: float = field(default=1.0, repr=False)
    """Seconds before the first of them; doubled each time."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("an endpoint needs the name of a model there; give --endpoint-model NAME.")
        if not (self.timeout > 0 and self.retries >= 0):
            raise ConfigError(f"timeout must be > 0 and retries >= 0; got {self.timeout}, {self.retries}.")
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
            raise ConfigError(
                "expected an endpoint as https://HOST/v1, found another kind of URL, or a user name in it; "
                f"a key belongs into the environment variable {self.key_variable}."
            )
        if parts.scheme == "http" and self._key and not _is_loopback(host):
            raise ConfigError(
                f"{self._shown}: the key in {self.key_variable} would cross the network in the clear; use "
                "https, or unset the variable."
            )

    @property
    def name(self) -> str:
        """See `Captioner`."""
        return self.model

    @property
    def identity(self) -> str:
        """See `Captioner`; what runs behind the URL is the user's business."""
        return f"{self.url} {self.model}"

    @property
    def _shown(self) -> str:
        """The URL as messages have it: without its query, in which some providers want keys."""
        return self.url.partition("?")[0]

    @property
    def _key(self) -> str:
        return os.environ.get(self.key_variable, "").strip()

    def __call__(self, images: Sequence[bytes], contexts: Sequence[str | None], /) -> list[Answer]:
        """See `Captioner`; one request an image, one after the other."""
        return [self._answer(data, context) for data, context in zip(images, contexts, strict=True)]

    def _answer(self, data: bytes, context: str | None) -> Answer:
        try:
            picture = _data_url(data)
        except ImageError as error:
            return Answer(None, error.reason)
        request = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": request_for(context)},
                        {"type": "image_url", "image_url": {"url": picture}},
                    ],
                }
            ],
        }
        status, answer = self._with_patience(json.dumps(request).encode())
        if status in ONE_IMAGE:
            return Answer(None, f"refused_{status}")
        if status != 200:
            raise self._failed(f"answered {status} ({_said(answer)})", _ADVICE.get(status, ""))
        return checked_answer(_content(answer))

    def _with_patience(self, body: bytes) -> tuple[int, bytes]:
        """Status and answer, after as many tries as allowed."""
        wait = self.first_wait
        for left in range(self.retries, -1, -1):
            try:
                status, answer, asked_wait = self._post(body)
                failure = f"answered {status} ({_said(answer)})"
                if status not in ONCE_MORE:
                    return status, answer
            except (OSError, http.client.HTTPException) as error:
                failure, asked_wait = f"could not be reached ({error or type(error).__name__})", 0.0
            if left:
                # Spread, so that several threads do not all come again at one moment.
                time.sleep(min(max(wait * random.uniform(0.5, 1.5), asked_wait), LONGEST_WAIT))  # noqa: S311
                wait *= 2
        raise self._failed(failure, "the captions so far are saved: run the same command again later")

    def _post(self, body: bytes) -> tuple[int, bytes, float]:
        """Status, answer, and for how many seconds the server asks to wait."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        path = parts.path.rstrip("/")
        path = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
        headers = {"Content-Type": "application/json", "User-Agent": "synsight", "Connection": "close"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.request("POST", path + (f"?{parts.query}" if parts.query else ""), body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES), _seconds(answer.getheader("Retry-After"))
        finally:
            connection.close()

    def _failed(self, what: str, advice: str) -> ModelError:
        return ModelError(f"the endpoint {self._shown} {what}; {advice or 'check the URL and the model'}.")


_ADVICE: Mapping[int, str] = {
    401: f"put a valid key into the environment variable {KEY_VARIABLE}, or the one you named",
    403: "the key may not use this model: choose another",
    404: "check the URL (it usually ends in /v1) and the model's name",
}


def _data_url(data: bytes) -> str:
    """An image as sent: at most 1,024 px a side, JPEG, without metadata."""
    file = io.BytesIO()
    small_image(data).save(file, "jpeg", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _content(answer: bytes) -> object:
    """The text of the first choice; None where the answer has another form."""
    try:
        found: Any = json.loads(answer)
        return found["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None


def _said(answer: bytes) -> str:
    """The beginning of an error's text, as it may be printed."""
    text = answer[:2000].decode("utf-8", "replace")
    return "".join(one if one.isprintable() else " " for one in " ".join(text.split()))[:200]


def _seconds(text: str | None) -> float:
    try:
        return max(float(text or 0), 0.0)
    except ValueError:
        return 0.0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
