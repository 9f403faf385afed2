"""`synsight serve`."""

import sys
from pathlib import Path
from typing import Literal

from synsight.cli.console import Json
from synsight.errors import UsageError


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    reference: Path | None = None,
    feedback: Path | None = None,
    heads: Path | None = None,
    workers: int = 1,
    in_flight: int = 8,
    timeout: float = 30.0,
    locale: Literal["en", "ja"] = "en",
    engine: Literal["onnx", "torch"] = "onnx",
    batch: int = 8,
    threads: int | None = None,
    json: Json = False,
) -> None:
    """Serve a model: an API for programs, and a page where people drop an image and judge the answer.

    Args:
        models: MODEL folders, or one that `export --format onnx` wrote; further ones are heads on the first
            one's encoder. NAME=model names a head.
        host: Address to listen on; one that other machines reach needs a token.
        port: To listen on; 0: any that is free.
        token_file: File with the token that requests must bring (mode 0600); else SYNSIGHT_TOKEN, if set.
        reference: Catalog of the cases that look alike.
        feedback: Catalog that verdicts are appended to; made if it is not there.
        heads: Folder of model folders that a request may put in place; needs a token.
        workers: Processes on the port.
        in_flight: Requests at work at once in each (4 to 8 answer soonest); the next is answered 503.
        timeout: Seconds from a request's body to its answer.
        locale: Language of the page at first: en or ja.
        engine: What runs the encoder: onnx (ONNX Runtime) or torch.
        batch: Images that go through the encoder together at most.
        threads: Of the encoder; else the cores, divided among the workers.
        json: Print the URL as one JSON object.
    """
    if not models:
        raise UsageError("serve needs a model, as `synsight serve model/`.")
    from synsight.deployment.serving import serve as run

    def ready(url: str) -> None:
        print(f'{{"url": "{url}"}}' if json else f"serving at {url} (Ctrl-C ends it)")
        sys.stdout.flush()

    run(
        models,
        host=host,
        port=port,
        token_file=token_file,
        reference=reference,
        feedback=feedback,
        heads=heads,
        workers=workers,
        in_flight=in_flight,
        timeout=timeout,
        locale=locale,
        engine=engine,
        batch=batch,
        threads=threads,
        ready=ready,
    )
