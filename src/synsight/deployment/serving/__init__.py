"""A model as a service: images in, names, words, cases and reasons out; for programs and for people."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from synsight.errors import MissingDependency

PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "onnxruntime")


def serve(
    models: str | Path | Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    reference: str | Path | None = None,
    feedback: str | Path | None = None,
    heads: str | Path | None = None,
    workers: int = 1,
    in_flight: int = 8,
    timeout: float = 30.0,
    locale: Literal["en", "ja"] = "en",
    engine: Literal["onnx", "torch"] = "onnx",
    batch: int = 8,
    threads: int | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a model until SIGTERM or Ctrl-C, then end once all requests at work are answered.

    Args:
        models: MODEL folders, or one that `export --format onnx` wrote. The first one's encoder serves all;
            of each, the head gets the folder's name, or NAME as "NAME=model/".
        host: Address to listen on; one that other machines reach needs a token.
        port: 0: any that is free.
        token_file: File with the token that requests must bring, readable by its owner alone; None: the
            environment's SYNSIGHT_TOKEN, if any.
        reference: Catalog of the cases that look alike; None: none are shown.
        feedback: Catalog that verdicts are appended to, made if it is not there; None: none are taken.
        heads: Folder of model folders that a request may put in place while others run; needs a token.
        workers: Processes on the port.
        in_flight: Requests at work at once in each; the next is refused with 503 and Retry-After.
        timeout: Seconds from a request's body to its answer.
        locale: Language of the page, until one switches it there.
        engine: What runs the encoder: ONNX Runtime, or torch where an architecture cannot be written.
        batch: Images that go through the encoder together at most.
        threads: Of the encoder; None: the cores, divided among the workers.
        ready: Told the URL once requests are answered.

    Raises:
        MissingDependency: The extra `serve` is not installed.
        ConfigError: A public address without a token, a token file that others can read, a port in use.
        ModelError: A model that cannot be used, or heads of different encoders.
        CatalogError: The reference or the feedback is no such catalog.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingDependency(package, extra="serve", purpose="serving a model")
    from synsight.deployment.serving.limits import Limits
    from synsight.deployment.serving.settings import ServeSettings, named_folders, read_token
    from synsight.deployment.serving.workers import run

    listed = [models] if isinstance(models, str | Path) else models
    settings = ServeSettings(
        models=named_folders([str(one) for one in listed]),
        host=host,
        port=port,
        token=read_token(None if token_file is None else Path(token_file)),
        reference=None if reference is None else Path(reference),
        feedback=None if feedback is None else Path(feedback),
        heads=None if heads is None else Path(heads),
        workers=workers,
        limits=Limits(in_flight=in_flight, request_seconds=timeout),
        locale=locale,
        engine=engine,
        batch=batch,
        threads=threads,
    )
    run(settings, ready=ready)
