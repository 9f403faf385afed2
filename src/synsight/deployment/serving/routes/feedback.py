"""/feedback."""

import asyncio
import math
from typing import Annotated, cast

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from synsight.data.images import ImageHeader
from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk
from synsight.deployment.serving.feedback import Feedback, Verdict
from synsight.deployment.serving.limits import Problem, busy
from synsight.deployment.serving.logs import log
from synsight.errors import CatalogError, StorageError


def add(app: FastAPI, desk: Desk) -> None:
    """What people say of a prediction."""

    @app.post(
        "/feedback",
        status_code=201,
        response_model=schemas.Stored,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.FEEDBACK_BODY,
    )
    async def feedback(request: Request, _: Annotated[schemas.NoQuery, Query()]) -> Response:
        """Keep a person's verdict on a prediction, with the image, for the next round."""
        store = desk.service.feedback
        if store is None:
            raise Problem(
                404, "expected a catalog of feedback, found none; start the service with --feedback DIR."
            )

        async def work(image: bytes, form: Form) -> Response:
            header, _ = await desk.in_thread(desk.service.opened, image)
            try:
                identity = await asyncio.wrap_future(store.add(_verdict(image, header, form.fields)))
            except (CatalogError, StorageError):
                log("feedback refused", reason="the catalog or the disk is full, or cannot be written")
                raise busy("the verdict could not be kept, as the catalog or its disk is full") from None
            return JSONResponse({"id": identity}, 201)

        return await desk.with_body(request, desk.slots, work)


def _verdict(image: bytes, header: ImageHeader, fields: dict[str, str]) -> Feedback:
    """The checked fields of a form.

    Raises:
        Problem: 422, a field is missing, unknown or too long.
    """
    if unknown := sorted(set(fields) - set(schemas.FEEDBACK_FIELDS)):
        raise Problem(422, f"expected the fields of /openapi.json, found {unknown[0][:80]!r}.")
    texts = {name: _text(name, fields.get(name, "")) for name in schemas.FEEDBACK_FIELDS if name != "file"}
    if texts["verdict"] not in ("right", "wrong"):
        raise Problem(422, "verdict: expected right or wrong, found something else.")
    if not texts["prediction"]:
        raise Problem(422, "prediction: expected the name that was shown, found nothing.")
    return Feedback(
        image=image,
        header=header,
        verdict=cast(Verdict, texts["verdict"]),
        prediction=texts["prediction"],
        probability=_share(texts["probability"]),
        label=texts["label"] or None,
        head=texts["head"],
        head_digest=texts["head_digest"],
        request_id=texts["request_id"],
    )


def _text(name: str, value: str) -> str:
    value = value.strip()
    if len(value) > schemas.MOST_LETTERS or not value.isprintable():
        raise Problem(
            422, f"{name}: expected at most {schemas.MOST_LETTERS} visible characters, found others."
        )
    return value


def _share(value: str) -> float | None:
    if not value:
        return None
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise Problem(422, "probability: expected a number in 0..1, found something else.")
    return share
