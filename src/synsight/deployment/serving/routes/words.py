"""/words."""

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk, answer, named
from synsight.deployment.serving.limits import Problem


def add(app: FastAPI, desk: Desk) -> None:
    """What an image shows, in words."""

    @app.post(
        "/words",
        response_model=schemas.Words,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.IMAGE_BODY,
    )
    async def words(request: Request, query: Annotated[schemas.TopQuery, Query()]) -> Response:
        """What the model sees, in words; each with a probability of its own."""
        head = desk.service.heads.words
        if head is None:
            raise Problem(404, "expected a model that knows words, found one without; serve one of catlip's.")

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, head)
            assert found.probabilities is not None
            return answer(request, header, words=named(head.likeliest(found.probabilities, top=query.top)))

        return await desk.with_body(request, desk.slots, work)
