"""/predict."""

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from synsight.deployment.serving import schemas
from synsight.deployment.serving.bodies import Form
from synsight.deployment.serving.desk import Desk, answer, head_facts, named


def add(app: FastAPI, desk: Desk) -> None:
    """What a head says of an image."""

    @app.post(
        "/predict",
        response_model=schemas.Prediction,
        responses=schemas.refusals(*schemas.OF_IMAGE, 404),
        openapi_extra=schemas.IMAGE_BODY,
    )
    async def predict(request: Request, query: Annotated[schemas.PredictQuery, Query()]) -> Response:
        """Names of a head with their probabilities, likeliest first."""
        head = desk.head(query.head)

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, head)
            assert found.probabilities is not None
            best = head.likeliest(found.probabilities, top=query.top)
            desk.service.metrics.confidence.labels(head.name).observe(best[0][1])
            request.state.noted |= {"head": head.name, "digest": head.digest}
            return answer(request, header, head=head_facts(head), one_of=head.one_of, predictions=named(best))

        return await desk.with_body(request, desk.slots, work)
