"""The routes of the service."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib import resources
from typing import Annotated, Any, TypeVar, cast

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from synsight.data.images import ImageHeader
from synsight.data.lineage import package_version
from synsight.deployment.serving import schemas
from synsight.deployment.serving.batching import Batcher
from synsight.deployment.serving.bodies import Form, form_of, read_body
from synsight.deployment.serving.feedback import Feedback, Verdict
from synsight.deployment.serving.gate import App, Gate
from synsight.deployment.serving.heads import Head
from synsight.deployment.serving.limits import Held, Problem, Slots, busy, defect_of
from synsight.deployment.serving.logs import log
from synsight.deployment.serving.schemas import refusals
from synsight.deployment.serving.service import Found, Question, Service
from synsight.deployment.serving.settings import host_names
from synsight.errors import CatalogError, ImageError, StorageError, SynsightError, UsageError

T = TypeVar("T")

SHOWN_NAMES = 500
"""Names of a head that /heads lists."""
PAGE_FILES = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "en.json": "application/json",
    "ja.json": "application/json",
}
COMMON = (400, 401, 403)
IMAGE = (*COMMON, 408, 413, 422, 503)
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
    _add_image_routes(app, desk)
    _add_feedback(app, desk)
    _add_heads(app, desk)
    _add_facts(app, desk)
    _add_page(app, desk)
    service.metrics.follow(lambda: float(desk.slots.taken))
    return Gate(
        cast(App, app),
        token=settings.token,
        hosts=host_names(settings.host),
        limits=settings.limits,
        metrics=service.metrics,
    )


class Desk:
    """What the routes share: slots, bytes, the batcher."""

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
                form = await self._in_thread(form_of, body, kind)
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
            header, pixels = await self._in_thread(self.service.prepared, image)
            answer = self.batcher.ask(Question(pixels, head))
        return header, await answer

    async def _in_thread(self, call: Callable[..., Any], *arguments: object) -> Any:
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


def _add_image_routes(app: FastAPI, desk: Desk) -> None:
    shared: dict[str, Any] = {"openapi_extra": schemas.IMAGE_BODY}

    @app.post("/predict", response_model=schemas.Prediction, responses=refusals(*IMAGE, 404), **shared)
    async def predict(request: Request, query: Annotated[schemas.PredictQuery, Query()]) -> Response:
        """Names of a head with their probabilities, likeliest first."""
        head = desk.head(query.head)

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, head)
            assert found.probabilities is not None
            best = head.likeliest(found.probabilities, top=query.top)
            desk.service.metrics.confidence.labels(head.name).observe(best[0][1])
            request.state.noted |= {"head": head.name, "digest": head.digest}
            return _json(request, header, head=_facts(head), one_of=head.one_of, predictions=_named(best))

        return await desk.with_body(request, desk.slots, work)

    @app.post("/embed", response_model=schemas.Embedding, responses=refusals(*IMAGE), **shared)
    async def embed(request: Request, _: Annotated[schemas.NoQuery, Query()]) -> Response:
        """The encoder's features."""

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, None)
            return _json(
                request, header, encoder=desk.service.engine.digest, features=found.features.tolist()
            )

        return await desk.with_body(request, desk.slots, work)

    @app.post("/words", response_model=schemas.Words, responses=refusals(*IMAGE, 404), **shared)
    async def words(request: Request, query: Annotated[schemas.TopQuery, Query()]) -> Response:
        """What the model sees, in words; each with a probability of its own."""
        head = desk.service.heads.words
        if head is None:
            raise Problem(404, "expected a model that knows words, found one without; serve one of catlip's.")

        async def work(image: bytes, _: Form) -> Response:
            header, found = await desk.ask(image, head)
            assert found.probabilities is not None
            return _json(request, header, words=_named(head.likeliest(found.probabilities, top=query.top)))

        return await desk.with_body(request, desk.slots, work)

    @app.post("/similar", response_model=schemas.Similar, responses=refusals(*IMAGE, 404), **shared)
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
            return _json(request, header, cases=[asdict(one) for one in near])

        return await desk.with_body(request, desk.slots, work)

    @app.post("/explain", response_model=schemas.Explanation, responses=refusals(*IMAGE, 404), **shared)
    async def explain(request: Request, query: Annotated[schemas.ExplainQuery, Query()]) -> Response:
        """Why: the words that carried a prediction, where they are, and what would have changed it."""
        if not desk.service.explains:
            raise Problem(
                404, "expected a model that can be explained, found an exported one or one without head."
            )
        head = desk.service.heads.words if query.head is None else None
        head = desk.head(query.head) if desk.service.heads.names or head is None else head
        locale = query.locale or desk.service.settings.locale

        async def work(image: bytes, _: Form) -> Response:
            found = await asyncio.get_running_loop().run_in_executor(
                desk.service.explaining,
                partial(desk.service.explain, image, head, words=query.words, locale=locale),
            )
            answer = {"request_id": request.state.request_id, "head": _facts(head), "explanation": found}
            return JSONResponse(answer)

        return await desk.with_body(request, desk.explaining, work)


def _add_feedback(app: FastAPI, desk: Desk) -> None:
    @app.post(
        "/feedback",
        status_code=201,
        response_model=schemas.Stored,
        responses=refusals(*IMAGE, 404),
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
            header, _ = await asyncio.get_running_loop().run_in_executor(
                desk.service.decoders, desk.service.opened, image
            )
            try:
                identity = await asyncio.wrap_future(store.add(_verdict(image, header, form.fields)))
            except (CatalogError, StorageError):
                log("feedback refused", reason="the catalog or the disk is full, or cannot be written")
                raise busy("the verdict could not be kept, as the catalog or its disk is full") from None
            return JSONResponse({"id": identity}, 201)

        return await desk.with_body(request, desk.slots, work)


def _add_heads(app: FastAPI, desk: Desk) -> None:
    @app.get("/heads", response_model=schemas.Service, responses=refusals(*COMMON, 422))
    async def heads(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """What is served, and what else the service can do."""
        service = desk.service
        return JSONResponse(
            {
                "encoder": service.engine.digest,
                "dimensions": service.engine.dimensions,
                "image_size": service.engine.preparation.image_size,
                "engine": service.engine.name,
                "heads": [
                    {
                        **_facts(one),
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
        )

    @app.put(
        "/heads/{name}",
        response_model=schemas.Swapped,
        responses=refusals(*COMMON, 404, 408, 413, 422, 503),
        openapi_extra=schemas.SWAP_BODY,
    )
    async def put_head(
        request: Request,
        name: Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")],
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
        return JSONResponse({"head": _facts(head), "classes": len(head.names)})


def _add_facts(app: FastAPI, desk: Desk) -> None:
    @app.get("/health", response_model=schemas.Health, responses=refusals(*COMMON, 422))
    async def health(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """Whether the service is up; needs no token."""
        return JSONResponse(
            {"status": "ok", "heads": desk.service.heads.names, "version": package_version() or "unknown"}
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **refusals(*COMMON, 422)},
    )
    async def metrics(_: Annotated[schemas.NoQuery, Query()]) -> Response:
        """What Prometheus reads."""
        return Response(desk.service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI, desk: Desk) -> None:
    folder = resources.files("synsight.deployment.serving").joinpath("page")
    page = folder.joinpath("index.html").read_text(encoding="utf-8")
    page = page.replace('<html lang="en">', f'<html lang="{desk.service.settings.locale}">')
    files = {name: folder.joinpath(name).read_bytes() for name in PAGE_FILES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        if name not in files:
            raise Problem(404, "expected a file of the page, found another name.")
        return Response(files[name], media_type=PAGE_FILES[name])


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
    if len(value) > 200 or not value.isprintable():
        raise Problem(422, f"{name}: expected at most 200 visible characters, found others.")
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


def _json(request: Request, header: ImageHeader, **values: object) -> Response:
    answer = {"request_id": request.state.request_id, **values, "image": asdict(header)}
    return JSONResponse(answer)


def _facts(head: Head) -> dict[str, str]:
    return {"name": head.name, "digest": head.digest}


def _named(found: list[tuple[str, float]]) -> list[dict[str, object]]:
    return [{"name": name, "probability": min(max(share, 0.0), 1.0)} for name, share in found]
