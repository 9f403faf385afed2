"""The routes, a module for each noun; each adds its own to the application."""

from collections.abc import Callable

from fastapi import FastAPI

from synsight.deployment.serving.desk import Desk
from synsight.deployment.serving.routes import (
    cases,
    embedding,
    explanation,
    feedback,
    heads,
    page,
    prediction,
    state,
    words,
)

ROUTES: tuple[Callable[[FastAPI, Desk], None], ...] = tuple(
    one.add for one in (prediction, embedding, words, cases, explanation, feedback, heads, state, page)
)
