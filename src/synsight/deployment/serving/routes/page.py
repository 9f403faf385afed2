"""The page for people."""

from importlib import resources

from fastapi import FastAPI, Response

from synsight.deployment.serving.desk import Desk
from synsight.deployment.serving.limits import Problem

FILES = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "en.json": "application/json",
    "ja.json": "application/json",
}


def add(app: FastAPI, desk: Desk) -> None:
    """What a browser shows, and what it is made of."""
    folder = resources.files("synsight.deployment.serving").joinpath("page")
    page = folder.joinpath("index.html").read_text(encoding="utf-8")
    page = page.replace('<html lang="en">', f'<html lang="{desk.service.settings.locale}">')
    files = {name: folder.joinpath(name).read_bytes() for name in FILES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        if name not in files:
            raise Problem(404, "expected a file of the page, found another name.")
        return Response(files[name], media_type=FILES[name])
