"""One worker process: the server over a socket, time-outs on its connections, signals.

SIGTERM and SIGINT drain: no new connection, requests at work are answered, verdicts that wait are written.
SIGHUP puts the heads in place as their folders are now.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from synsight.deployment.serving.app import build_app
from synsight.deployment.serving.logs import log
from synsight.deployment.serving.service import Service, open_service
from synsight.deployment.serving.settings import ServeSettings
from synsight.errors import SynsightError


class Server(uvicorn.Server):
    """uvicorn's, which ends with exit code 0 when it was told to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals set a flag; they are not raised again at the end."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def serve_here(
    settings: ServeSettings, listener: socket.socket, work: Path, *, ready: Callable[[], None]
) -> None:
    """Serve from this process' main thread until a signal ends it.

    Args:
        settings: What to serve.
        listener: The socket that listens.
        work: Folder for what workers share.
        ready: Called before the first request is answered.

    Raises:
        SynsightError: What is to be served cannot be used.
    """
    torch.set_num_threads(settings.threads_each if settings.engine == "torch" else 1)
    service = open_service(settings, work=work)
    signal.signal(signal.SIGHUP, lambda *_: service.decoders.submit(_read_heads_again, service))
    log("serving", engine=service.engine.name, worker=os.getpid())
    ready()
    server_of(service).run(sockets=[listener])
    log("ended", worker=os.getpid())


def _read_heads_again(service: Service) -> None:
    """Beside the requests at work."""
    try:
        for head in service.read_heads_again():
            log("head in place", head=head.name, digest=head.digest)
    except SynsightError as error:
        log("head refused", level=logging.ERROR, reason=str(error))


def server_of(service: Service, *, in_thread: bool = False) -> uvicorn.Server:
    """A server of a service, to be given its socket.

    Args:
        service: What answers.
        in_thread: It will not run in the main thread, where alone signals arrive.
    """
    settings = service.settings
    config = uvicorn.Config(
        build_app(service),
        http=patient_protocol(settings.limits.header_seconds, settings.limits.connections),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.limits.request_seconds + settings.limits.body_seconds),
    )
    return uvicorn.Server(config) if in_thread else Server(config)


def patient_protocol(header_seconds: float, connections: int) -> type[H11Protocol]:
    """Of a connection, with what uvicorn lacks: a time for headers, a bound on their number, JSON."""

    class Protocol(H11Protocol):
        """A connection that must be between requests for a short time only."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > connections:
                transport.abort()
                return
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_watching()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_watching()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete:  # else the next one had come with it
                self._watch()

        def send_400_response(self, msg: str) -> None:
            self.transport.write(BAD_REQUEST)
            self.transport.close()

        def _watch(self) -> None:
            """Close the connection unless a request begins in time; also one that goes on sending a body
            after its refusal.
            """
            self._stop_watching()
            if not self.transport.is_closing():
                self._deadline = self.loop.call_later(header_seconds, self.transport.abort)

        def _stop_watching(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Protocol


_SENTENCE = json.dumps({"error": "expected an HTTP/1.1 request, found something else."}).encode()
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: "
    + str(len(_SENTENCE)).encode()
    + b"\r\n\r\n"
    + _SENTENCE
)
