"""One port, one worker or several; this process watches over several.

It passes signals on to them, starts again who died, and brings a head that a request gave one worker to the
others: the worker notes it in the work folder and asks by SIGHUP.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synsight.deployment.serving.logs import log, set_up_logs
from synsight.deployment.serving.settings import ServeSettings
from synsight.errors import ConfigError, SynsightError

PATIENCE = 5
"""How often in a row a worker may die young."""
YOUNG_SECONDS = 10.0
BACKLOG = 256


def run(settings: ServeSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        settings: What, and where.
        ready: Told the URL once requests are answered.

    Raises:
        ConfigError: The port cannot be had, or workers die.
        SynsightError: What is to be served cannot be used.
    """
    set_up_logs()
    with TemporaryDirectory(prefix="synsight-serve-") as folder, listening(settings) as listener:
        url = url_of(settings.host, listener)
        if settings.workers > 1:
            Watch(settings, listener, Path(folder)).run(ready=lambda: ready(url))
            return
        from synsight.deployment.serving.running import serve_here

        serve_here(settings, listener, Path(folder), ready=lambda: ready(url))


@contextmanager
def listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """The socket of the service.

    Raises:
        ConfigError: Its port cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # asyncio does this only for sockets that it opens itself. Without it the second part of an answer
        # waits 40 milliseconds for the client to acknowledge the first. Accepted connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigError(
                f"{settings.host}:{settings.port}: cannot be served on ({error.strerror or error}); choose "
                "another --port, or end what has it."
            ) from None
        listener.listen(BACKLOG)  # who comes before the first worker is ready waits
        yield listener


def url_of(host: str, listener: socket.socket) -> str:
    """Where the service is found."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Watch:
    """Keeps the workers."""

    def __init__(self, settings: ServeSettings, listener: socket.socket, work: Path) -> None:
        self._settings, self._listener, self._work = settings, listener, work
        self._context = multiprocessing.get_context("spawn")
        self._told: Any = self._context.SimpleQueue()
        self._workers: dict[BaseProcess, float] = {}
        self._ending = False
        self._died_young = 0

    def run(self, *, ready: Callable[[], None]) -> None:
        """Start them, and stay until all have ended."""
        numbers = self._work / "metrics"
        numbers.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(numbers)  # what a worker's counters look for
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {one: signal.signal(one, self._pass_on) for one in signals}
        try:
            self._start()
            self._expect_ready()  # the first writes the ONNX file that all read
            for _ in range(self._settings.workers - 1):
                self._start()
            ready()
            while self._workers:
                wait([one.sentinel for one in self._workers], timeout=1.0)
                self._replace_dead()
        finally:
            self._end()
            for one, handler in before.items():
                signal.signal(one, handler)
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]

    def _start(self) -> None:
        arguments = (self._settings, self._listener, self._work, self._told)
        process = self._context.Process(target=work, args=arguments, name="synsight-serve")
        process.start()
        self._workers[process] = time.monotonic()

    def _expect_ready(self) -> None:
        (first,) = self._workers
        while self._told.empty() and first.is_alive():
            first.join(0.05)
        problem = None if self._told.empty() else self._told.get()
        if problem or not first.is_alive():
            raise ConfigError(problem or "the first worker ended before it was ready; see the log above.")

    def _replace_dead(self) -> None:
        while not self._told.empty():
            if problem := self._told.get():
                log("worker refused", reason=problem)
        for process, started in list(self._workers.items()):
            if process.is_alive():
                continue
            process.join()
            del self._workers[process]
            if self._ending:
                continue
            log("worker died", worker=process.pid, status=process.exitcode)
            self._died_young = self._died_young + 1 if time.monotonic() - started < YOUNG_SECONDS else 0
            if self._died_young >= PATIENCE:
                raise ConfigError(f"{PATIENCE} workers died soon after their start; see the log above.")
            self._start()

    def _pass_on(self, number: int, _: object) -> None:
        self._ending = self._ending or number != signal.SIGHUP
        for one in list(self._workers):
            if one.pid is not None and one.is_alive():
                os.kill(one.pid, signal.SIGTERM if number == signal.SIGINT else number)

    def _end(self) -> None:
        self._ending = True
        for one in self._workers:
            one.terminate()
        for one in self._workers:
            one.join()


def work(settings: ServeSettings, listener: socket.socket, folder: Path, told: Any) -> None:
    """A worker; ends when the process that watches it does."""
    set_up_logs()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    from synsight.deployment.serving.running import serve_here

    try:
        serve_here(settings, listener, folder, ready=lambda: told.put(""))
    except SynsightError as error:
        told.put(str(error))
        raise SystemExit(error.exit_code) from None
