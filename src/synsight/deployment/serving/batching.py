"""Micro-batching: what several clients ask at the same moment goes through the encoder together.

The encoder runs in a thread of its own. What arrives while it runs is its next batch; when it is idle it
waits for others only as long as some are on their way, and a few milliseconds at most, so that a client
alone never waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batcher(Generic[Asked, Answer]):
    """Answers questions in batches; use it as an asynchronous context manager.

    Args:
        compute: Answers some questions, in their order; runs in one thread.
        most: Questions of a batch.
        wait_seconds: How long the first of a batch may wait for those on their way.
        observe: Told the size of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Asked]], Sequence[Answer]],
        *,
        most: int,
        wait_seconds: float,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._compute, self._most, self._wait_seconds = compute, most, wait_seconds
        self._observe = observe
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._expected = 0
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "encoder")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Batcher[Asked, Answer]":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for _, answer in self._waiting:
            answer.cancel()
        self._thread.shutdown()

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While a question is being prepared."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            self._changed.set()

    def ask(self, question: Asked) -> "asyncio.Future[Answer]":
        """The answer, once its batch is computed; raises what the computation raised."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._changed.set()
        return answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gathered()
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._observe(len(batch))
            try:
                answers = await loop.run_in_executor(self._thread, self._compute, [one for one, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _gathered(self) -> None:
        """Returns when a batch is to be computed."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                while len(self._waiting) < self._most and self._expected:
                    self._changed.clear()
                    await self._changed.wait()
