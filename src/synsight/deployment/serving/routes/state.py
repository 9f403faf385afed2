"""/health and /metrics."""

from typing import Annotated

from fastapi import FastAPI, Query, Response
from fastapi.responses import JSONResponse

from synsight.data.lineage import package_version
from synsight.deployment.serving import schemas
from synsight.deployment.serving.desk import Desk


def add(app: FastAPI, desk: Desk) -> None:
    """How the service is, for load balancers and for Prometheus."""

    @app.get("/health", response_model=schemas.Health, responses=schemas.refusals(*schemas.OF_ALL, 422))
    async def health(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """Whether the service is up; needs no token."""
        return JSONResponse(
            {"status": "ok", "heads": desk.service.heads.names, "version": package_version() or "unknown"}
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **schemas.refusals(*schemas.OF_ALL, 422)},
    )
    async def metrics(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """What Prometheus reads."""
        return Response(desk.service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
