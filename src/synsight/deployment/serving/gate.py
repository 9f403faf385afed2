"""What every request passes: an id, who may ask, what a browser may do with the answer, one line of log.

Without a token the service trusts whoever reaches it, which on a loopback address are the programs of this
machine, and every web page that its browser shows. So a request that a foreign page sends (another Origin, or
a Host name that was rebound to this address) is refused.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from synsight.deployment.serving.limits import Limits, Problem, defect_of
from synsight.deployment.serving.logs import log
from synsight.deployment.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
OPEN = ("/", "/health")
"""Paths that need no token; so does what the page is made of."""
PAGE = "/page/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Of every answer."""


class Gate:
    """The outermost layer of the service.

    Args:
        app: What answers.
        token: That requests must bring; None: none.
        hosts: Names under which the service may be asked where there is no token.
        limits: For the answer to be taken.
        metrics: Counts requests.
    """

    def __init__(
        self, app: App, *, token: str | None, hosts: Iterable[str], limits: Limits, metrics: Metrics
    ) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._token = None if token is None else _digest(token.encode())
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; see ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("the service speaks HTTP alone")
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id, self._limits.body_seconds)
        try:
            self._admit(scope["path"], headers)
            await self._app(scope, receive, answer.send)
        except Problem as problem:
            await answer.refuse(problem)
        except (TimeoutError, asyncio.CancelledError):  # the client takes no answer, or we end
            raise
        except Exception:
            log("defect", level=logging.ERROR, request_id=request_id, traceback=True)
            await answer.refuse(defect_of(request_id))
        finally:
            self._note(scope, answer, time.perf_counter() - started, request_id)

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._token is None:
            self._refuse_foreign_pages(headers)
            return
        if path in OPEN or path.startswith(PAGE):
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(_digest(given.strip()), self._token):
            raise Problem(
                401,
                "expected the service's token as 'Authorization: Bearer TOKEN', found none or another one.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _refuse_foreign_pages(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name_of(host) not in self._hosts:
            raise Problem(
                403, "expected the address that the service was started with as Host, found another name."
            )
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host:
            raise Problem(403, "expected a request of the service's own page, found one of another site.")

    def _note(self, scope: Scope, answer: "_Answer", seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        self._metrics.requests.labels(route, str(answer.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        log(
            "request",
            request_id=request_id,
            method=scope["method"] if scope["method"] in METHODS else "(other)",
            route=route,
            status=answer.status,
            seconds=round(seconds, 4),
            **scope["state"].get("noted", {}),
        )


METHODS = {"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"}


class _Answer:
    """Sends an answer with the headers that all have, and remembers its status."""

    def __init__(self, send: Send, request_id: str, seconds: float) -> None:
        self._send, self._request_id, self._seconds = send, request_id, seconds
        self.status = 0
        """0: the client had left."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [
                *message["headers"],
                *((name, value) for name, value in more if name not in own),
                (b"x-request-id", self._request_id.encode()),
            ]
        async with asyncio.timeout(self._seconds):
            await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        if self.status:
            return
        body = json.dumps({"error": problem.sentence}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **problem.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def _digest(token: bytes) -> bytes:
    """Of one length, so that a comparison tells nothing of the token's."""
    return hashlib.sha256(token).digest()


def _name_of(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
