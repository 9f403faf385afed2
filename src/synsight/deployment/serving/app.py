"""The service as an ASGI application: routes, refusals, gate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from synsight.data.lineage import package_version
from synsight.deployment.serving.desk import Desk
from synsight.deployment.serving.gate import App, Gate
from synsight.deployment.serving.limits import Problem, defect_of
from synsight.deployment.serving.routes import ROUTES
from synsight.deployment.serving.service import Service
from synsight.deployment.serving.settings import host_names
from synsight.errors import ImageError

WHAT = """An image goes in as the body of a POST, as it is or as the part `file` of a form; JSON comes out.
A refusal is `{"error": "one sentence"}`; 503 means that all are busy: come again after `Retry-After`."""


def build_app(service: Service) -> Gate:
    """The service as an ASGI application, gate and all."""
    desk = Desk(service)
    settings = service.settings

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with desk.batcher:
            yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="synsight",
        version=package_version() or "0",
        description=WHAT,
        lifespan=life,
        docs_url=None,  # these pages fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    _answer_in_one_way(app)
    for add in ROUTES:
        add(app, desk)
    service.metrics.follow(lambda: float(desk.slots.taken))
    return Gate(
        cast(App, app),
        token=settings.token,
        hosts=host_names(settings.host),
        limits=settings.limits,
        metrics=service.metrics,
    )


def _answer_in_one_way(app: FastAPI) -> None:
    """Every refusal is one JSON object with one sentence."""

    def refusal(problem: Problem) -> Response:
        return JSONResponse({"error": problem.sentence}, problem.status, problem.headers)

    async def refused(_: Request, error: Exception) -> Response:
        return refusal(cast(Problem, error))

    async def no_image(_: Request, error: Exception) -> Response:
        reason = cast(ImageError, error).reason
        return refusal(Problem(413 if reason == "too_many_bytes" else 422, str(error)))

    async def wrong_parameter(_: Request, error: Exception) -> Response:
        first = cast(RequestValidationError, error).errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])[:100] or "the request"
        return refusal(
            Problem(422, f"{where}: expected another value or no such parameter ({first['msg']}).")
        )

    async def no_route(_: Request, error: Exception) -> Response:
        found = cast(HTTPException, error)
        sentence = f"expected a route and a method of /openapi.json, found others ({found.detail})."
        return refusal(Problem(found.status_code, sentence, dict(found.headers or {})))

    async def defect(request: Request, _: Exception) -> Response:
        return refusal(defect_of(request.state.request_id))

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: refused,
        ImageError: no_image,
        RequestValidationError: wrong_parameter,
        HTTPException: no_route,
        Exception: defect,  # it is raised again for the gate, which logs it
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
