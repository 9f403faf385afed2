"""What the routes share: slots, bytes, the batcher, and how an answer is written."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from synsight.data.images import ImageHeader
from synsight.deployment.serving.batching import Batcher
from synsight.deployment.serving.bodies import Form, form_of, read_body
from synsight.deployment.serving.heads import Head
from synsight.deployment.serving.limits import Held, Problem, Slots
from synsight.deployment.serving.service import Found, Question, Service

T = TypeVar("T")


class Desk:
    """Where a request is taken in, and its image handed on."""

    def __init__(self, service: Service) -> None:
        limits = service.settings.limits
        self.service, self.limits = service, limits
        self.slots, self.explaining = Slots(limits.in_flight), Slots(limits.explaining)
        self.held = Held(limits.waiting_bytes)
        self.batcher: Batcher[Question, Found] = Batcher(
            service.answers,
            most=service.settings.batch,
            wait_seconds=service.settings.batch_seconds,
            observe=service.metrics.batches.observe,
        )

    async def with_body(
        self, request: Request, slots: Slots, work: Callable[[bytes, Form], Coroutine[Any, Any, T]]
    ) -> T:
        """Read the body, take a slot, do the work with the image and the form's other fields.

        Raises:
            Problem: The request is refused.
        """
        slots.check()  # a refusal need not wait for the body
        with self.held.share() as count:
            body = await read_body(request, self.limits, count)
            request.state.noted = {"body_bytes": len(body)}
            kind = request.headers.get("content-type", "")

            async def taken_apart() -> T:
                form = await self.in_thread(form_of, body, kind)
                if form is None:
                    return await work(body, Form())
                if form.file is None:
                    raise Problem(
                        422, "expected a form with a part named 'file', found none; send the image in it."
                    )
                return await work(form.file, form)

            return await slots.run(taken_apart, seconds=self.limits.request_seconds)

    async def ask(self, image: bytes, head: Head | None) -> tuple[ImageHeader, Found]:
        """The image's header, features and probabilities."""
        with self.batcher.expecting():
            header, pixels = await self.in_thread(self.service.prepared, image)
            answer = self.batcher.ask(Question(pixels, head))
        return header, await answer

    async def in_thread(self, call: Callable[..., Any], *arguments: object) -> Any:
        """What a call gives, made in one of the threads that decode."""
        return await asyncio.get_running_loop().run_in_executor(self.service.decoders, call, *arguments)

    def head(self, name: str | None) -> Head:
        """The head that a request asks for.

        Raises:
            Problem: 404, there is none.
        """
        head = self.service.heads.get(name)
        if head is None:
            known = ", ".join(self.service.heads.names) or "none"
            raise Problem(404, f"expected the name of a head, found {name or 'no head'!r}; known: {known}.")
        return head


def answer(request: Request, header: ImageHeader, **values: object) -> Response:
    """An answer about an image."""
    told = {"request_id": request.state.request_id, **values, "image": asdict(header)}
    return JSONResponse(told)


def head_facts(head: Head) -> dict[str, str]:
    """Which head answered."""
    return {"name": head.name, "digest": head.digest}


def named(found: list[tuple[str, float]]) -> list[dict[str, object]]:
    """Names with their probabilities; float32 may say 1.0000001."""
    return [{"name": name, "probability": min(max(share, 0.0), 1.0)} for name, share in found]
