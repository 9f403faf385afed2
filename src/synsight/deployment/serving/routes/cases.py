"""/similar."""

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk, answer
from synsight.deployment.serving.limits import Problem


def add(app: FastAPI, desk: Desk) -> None:
    """The cases that an image is like."""

    @app.post(
        "/similar",
        response_model=schemas.Similar,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.IMAGE_BODY,
    )
    async def similar(request: Request, query: Annotated[schemas.SimilarQuery, Query()]) -> Response:
        """The cases of the reference that look most alike to the model."""
        cases = desk.service.cases
        if cases is None:
            raise Problem(
                404, "expected a reference, found none; start the service with --reference CATALOG."
            )

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, None)
            near = await asyncio.to_thread(
                cases.nearest, found.features, top=query.top, thumbnails=query.thumbnails
            )
            return answer(request, header, cases=[asdict(one) for one in near])

        return await desk.with_body(request, desk.slots, work)
