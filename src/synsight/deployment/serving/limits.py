"""What a request may cost, and the refusals when it would cost more."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from synsight.errors import ConfigError

T = TypeVar("T")

RETRY_SECONDS = 1
"""What a refused client is told to wait."""
MOST_IN_FLIGHT = 64


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one worker process."""

    body_bytes: int = 10_000_000
    """Of a request's body, whether announced or not."""
    pixels: int = 50_000_000
    """Of an image, and of what it becomes when its shorter side is resized for the encoder."""
    in_flight: int = 8
    """Requests at work at once; the next is refused at once, so that an accepted one is answered soon."""
    explaining: int = 2
    """Explanations at work or waiting at once, since each keeps a processor busy for long."""
    request_seconds: float = 30.0
    """From the whole body to the answer."""
    body_seconds: float = 20.0
    """For the body to arrive, and for the answer to be taken."""
    header_seconds: float = 10.0
    """For a connection to bring a request's header."""
    connections: int = 512
    """Open at once; more are closed."""
    waiting_bytes: int = 128_000_000
    """Of all bodies held at once."""

    def __post_init__(self) -> None:
        if not 1 <= self.in_flight <= MOST_IN_FLIGHT:
            raise ConfigError(
                f"in_flight must be in 1..{MOST_IN_FLIGHT} (4 to 8 answer soonest); got {self.in_flight}."
            )
        for name in ("body_bytes", "pixels", "request_seconds", "body_seconds", "header_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0; got {getattr(self, name)!r}.")


class Problem(Exception):  # noqa: N818  an answer, more than an error
    """A request that is refused.

    Attributes:
        status: HTTP's.
        sentence: What was expected, what was found, what to do next.
        headers: Sent along.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def busy(why: str) -> Problem:
    """The refusal that asks to come again."""
    return Problem(503, f"{why}; send it again in {RETRY_SECONDS} s.", {"Retry-After": str(RETRY_SECONDS)})


def defect_of(request_id: str) -> Problem:
    """The answer to a request that met a mistake of ours; its reason is in the log alone."""
    return Problem(500, f"a defect of the service; please report it with the request id {request_id}.")


class Slots:
    """At most `most` pieces of work at once, none waiting.

    A piece keeps its slot until it is really done, also when its client has left or its time is over, since
    a decoder in a thread cannot be stopped.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def check(self) -> None:
        """Look whether one is free.

        Raises:
            Problem: 503, all are taken.
        """
        if self.taken >= self.most:
            raise busy(f"expected at most {self.most} requests at once, found more")

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]], *, seconds: float) -> T:
        """The work's result.

        Raises:
            Problem: 503, all slots are taken, or the time is over.
        """
        self.check()
        self.taken += 1
        task = asyncio.ensure_future(work())
        task.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.shield(task), seconds)
        except TimeoutError:
            raise busy(f"expected an answer within {seconds:g} s, found none") from None

    def _release(self, task: asyncio.Future[Any]) -> None:
        self.taken -= 1
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of those whose client has left


class Held:
    """Bytes of all bodies in memory, against a bound."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yields what counts the bytes of one body; they are given back at the end.

        Raises:
            Problem: 503, while counting: the bound is reached.
        """
        own = 0

        def add(count: int) -> None:
            nonlocal own
            if self.bytes + count > self.most:
                raise busy("expected fewer bytes from all clients at once, found more")
            own += count
            self.bytes += count

        try:
            yield add
        finally:
            self.bytes -= own
