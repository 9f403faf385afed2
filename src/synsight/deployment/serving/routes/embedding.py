"""/embed."""

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk, answer


def add(app: FastAPI, desk: Desk) -> None:
    """The features of an image."""

    @app.post(
        "/embed",
        response_model=schemas.Embedding,
        responses=schemas.refusals(*schemas.OF_IMAGE),
        openapi_extra=schemas.IMAGE_BODY,
    )
    async def embed(request: Request, _: Annotated[schemas.NoQuery, Query()]) -> Response:
        """The encoder's features."""

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, None)
            encoder = desk.service.engine.digest
            return answer(request, header, encoder=encoder, features=found.features.tolist())

        return await desk.with_body(request, desk.slots, work)
