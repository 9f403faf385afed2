"""/heads and /heads/{name}."""

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import read_body
from synsight.deployment.serving.desk import Desk, head_facts
from synsight.deployment.serving.limits import Problem
from synsight.deployment.serving.logs import log
from synsight.errors import SynsightError, UsageError

SHOWN_NAMES = 500
"""Names of a head that /heads lists."""
NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def add(app: FastAPI, desk: Desk) -> None:
    """What is served, and another head in its place."""

    @app.get("/heads", response_model=schemas.Service, responses=schemas.refusals(*schemas.OF_ALL, 422))
    async def heads(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """What is served, and what else the service can do."""
        return JSONResponse(_facts(desk))

    @app.put(
        "/heads/{name}",
        response_model=schemas.Swapped,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.SWAP_BODY,
    )
    async def put_head(
        request: Request,
        name: Annotated[str, Path(pattern=NAME)],
        _: Annotated[schemas.NoQuery, Query()],
    ) -> Response:
        """Put a model of the folder of heads in place; requests at work keep the head they began with."""
        if desk.service.settings.heads is None:
            raise Problem(
                403, "expected a service that was started with --heads FOLDER and a token, found one without."
            )
        with desk.held.share() as count:
            body = await read_body(request, desk.limits, count)
        try:
            folder = schemas.SwapBody.model_validate_json(body).folder
        except ValidationError:
            raise Problem(422, 'expected {"folder": "NAME"}, found something else.') from None
        try:
            head = await asyncio.to_thread(desk.service.put_head, name, folder)
        except UsageError as error:
            raise Problem(404, str(error)) from None
        except SynsightError as error:
            log("head refused", head=name, folder=folder, reason=type(error).__name__)
            raise Problem(
                422, f"{folder}: expected a model with a head on this encoder, found none."
            ) from None
        log("head in place", head=name, folder=folder, digest=head.digest)
        return JSONResponse({"head": head_facts(head), "classes": len(head.names)})


def _facts(desk: Desk) -> dict[str, Any]:
    service = desk.service
    return {
        "encoder": service.engine.digest,
        "dimensions": service.engine.dimensions,
        "image_size": service.engine.preparation.image_size,
        "engine": service.engine.name,
        "heads": [
            {
                **head_facts(one),
                "kind": one.kind,
                "one_of": one.one_of,
                "classes": len(one.names),
                "names": list(one.names[:SHOWN_NAMES]),
            }
            for one in service.heads
        ],
        "words": service.heads.words is not None,
        "similar": 0 if service.cases is None else len(service.cases),
        "explain": service.explains,
        "feedback": service.feedback is not None,
        "swap": service.settings.heads is not None,
        "body_bytes": desk.limits.body_bytes,
        "pixels": desk.limits.pixels,
    }
