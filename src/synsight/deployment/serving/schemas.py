"""What goes over the wire, as OpenAPI tells it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_LETTERS = 200
"""Of a text in a request."""
Text = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]


class Query(BaseModel):
    """Query parameters; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")


class PredictQuery(Query):
    """Of /predict."""

    head: Text | None = Field(None, description="Name of a head; the first one unless given.")
    top: int = Field(5, ge=1, le=100_000, description="How many names, likeliest first.")


class TopQuery(Query):
    """Of /words."""

    top: int = Field(5, ge=1, le=100_000, description="How many names, likeliest first.")


class SimilarQuery(Query):
    """Of /similar."""

    top: int = Field(5, ge=1, le=50, description="How many cases, most alike first.")
    thumbnails: bool = Field(False, description="Send small pictures along.")


class ExplainQuery(Query):
    """Of /explain."""

    head: Text | None = Field(None, description="Name of a head; the first one unless given.")
    locale: Literal["en", "ja"] | None = Field(None, description="Language of names and sentences.")
    words: int = Field(5, ge=1, le=20, description="How many words.")


class NoQuery(Query):
    """Of what takes no parameter."""


class Answer(BaseModel):
    """What a 2xx answer is made of."""

    model_config = ConfigDict(extra="forbid")


class Error(Answer):
    """Every refusal."""

    error: str


class Named(Answer):
    """A name with its probability."""

    name: str
    probability: float = Field(ge=0, le=1)


class ImageFacts(Answer):
    """What the file says of itself."""

    format: str
    width: int
    height: int


class HeadFacts(Answer):
    """Which head answered."""

    name: str
    digest: str


class Prediction(Answer):
    """Of /predict."""

    request_id: str
    head: HeadFacts
    one_of: bool = Field(description="The probabilities of all names sum to 1; else each stands by itself.")
    predictions: list[Named]
    image: ImageFacts


class Embedding(Answer):
    """Of /embed."""

    request_id: str
    encoder: str = Field(description="Digest of encoder and preparation.")
    features: list[float]
    image: ImageFacts


class Words(Answer):
    """Of /words."""

    request_id: str
    words: list[Named]
    image: ImageFacts


class SimilarCase(Answer):
    """A case of the reference."""

    id: str
    similarity: float = Field(description="Cosine of the features.")
    caption: str | None
    label: str | None
    thumbnail: str = Field(description="data: address of a PNG, or empty.")


class Similar(Answer):
    """Of /similar."""

    request_id: str
    cases: list[SimilarCase]
    image: ImageFacts


class Explanation(Answer):
    """Of /explain."""

    request_id: str
    head: HeadFacts
    explanation: dict[str, Any] = Field(description="The record that `synsight explain` writes.")


class OneHead(HeadFacts):
    """A head."""

    kind: Literal["labels", "words"]
    one_of: bool
    classes: int
    names: list[str] = Field(description="The first names, in the head's order.")


class Service(Answer):
    """Of /heads: what is served, and what else it can do."""

    encoder: str
    dimensions: int
    image_size: int
    engine: str
    heads: list[OneHead]
    words: bool
    similar: int = Field(description="Rows of the reference; 0: none was given.")
    explain: bool
    feedback: bool
    swap: bool
    body_bytes: int
    pixels: int


class Health(Answer):
    """Of /health."""

    status: Literal["ok"]
    heads: list[str]
    version: str


class Stored(Answer):
    """Of /feedback."""

    id: str


class Swapped(Answer):
    """Of PUT /heads/{name}."""

    head: HeadFacts
    classes: int


IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF, or a form with the part `file`.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}
FEEDBACK_FIELDS: dict[str, Any] = {
    "file": {"type": "string", "format": "binary"},
    "verdict": {"type": "string", "enum": ["right", "wrong"]},
    "prediction": {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST_LETTERS,
        "description": "The name that was shown.",
    },
    "probability": {"type": "string", "maxLength": MOST_LETTERS, "description": "As it was shown, 0 to 1."},
    "label": {"type": "string", "maxLength": MOST_LETTERS, "description": "The right name."},
    "head": {"type": "string", "maxLength": MOST_LETTERS, "description": "As the prediction said."},
    "head_digest": {"type": "string", "maxLength": MOST_LETTERS, "description": "As the prediction said."},
    "request_id": {"type": "string", "maxLength": MOST_LETTERS, "description": "As the prediction said."},
}
FEEDBACK_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": FEEDBACK_FIELDS,
                    "required": ["file", "verdict", "prediction"],
                }
            }
        },
    }
}


class SwapBody(BaseModel):
    """Of PUT /heads/{name}."""

    model_config = ConfigDict(extra="forbid")
    folder: Text = Field(description="Name of a model folder beneath the folder of heads.")


SWAP_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": SwapBody.model_json_schema()}},
    }
}

OF_ALL = (400, 401, 403)
"""Refusals that any request may meet, and one with an image."""
OF_IMAGE = (*OF_ALL, 408, 413, 422, 503)

SENTENCES = {
    400: "No whole request.",
    401: "No token, or another one.",
    403: "A request of another site, or what needs a token that the service was started without.",
    404: "There is no such head, or the service was started without what is asked for.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    422: "No image that is accepted, or a parameter that is not.",
    503: "Busy; Retry-After says when to come again.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's account of refusals."""
    return {status: {"model": Error, "description": SENTENCES[status]} for status in sorted(statuses)}
