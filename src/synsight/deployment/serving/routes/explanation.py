"""/explain."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk, head_facts
from synsight.deployment.serving.limits import Problem


def add(app: FastAPI, desk: Desk) -> None:
    """Why a head says what it says."""

    @app.post(
        "/explain",
        response_model=schemas.Explanation,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.IMAGE_BODY,
    )
    async def explain(request: Request, query: Annotated[schemas.ExplainQuery, Query()]) -> Response:
        """Why: the words that carried a prediction, where they are, and what would have changed it."""
        if not desk.service.explains:
            raise Problem(404, "expected a model with a head or words to explain, found one without.")
        head = desk.service.heads.words if query.head is None else None
        head = desk.head(query.head) if desk.service.heads.names or head is None else head
        locale = query.locale or desk.service.settings.locale

        async def work(image: bytes, _: Form) -> Response:
            found = await asyncio.get_running_loop().run_in_executor(
                desk.service.explaining,
                partial(desk.service.explain, image, head, words=query.words, locale=locale),
            )
            told = {"request_id": request.state.request_id, "head": head_facts(head), "explanation": found}
            return JSONResponse(told)

        return await desk.with_body(request, desk.explaining, work)
