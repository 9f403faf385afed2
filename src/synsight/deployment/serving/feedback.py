"""What people say of predictions, kept as a catalog that the next round trains on.

One row a verdict, durable before it is answered. Verdicts that arrive while one is written go into the next
commit together. A right prediction is its own label; a wrong one has the label that the person gave, or none.
Each commit is a fragment of its own; now and then, and at the end, they are put together.
"""

import hashlib
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from synsight.data.catalog import Catalog, Commit
from synsight.data.images import ImageHeader
from synsight.data.lineage import now
from synsight.data.splits import drawn_split
from synsight.deployment.serving.logs import log
from synsight.errors import CatalogError, SynsightError
from synsight.stores import place

Verdict = Literal["right", "wrong"]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("caption", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("label", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("captured_at", pa.string()),
        ("verdict", pa.string()),
        ("prediction", pa.string()),
        ("probability", pa.float32()),
        ("head", pa.string()),
        ("head_digest", pa.string()),
        ("request_id", pa.string()),
    ]
)
"""Columns of the catalog; `group` is a hash of the bytes, so that an image judged twice is in one split."""

MOST_ROWS = 1_000_000
AT_ONCE = 64
TOGETHER = 128
"""Commits after which their fragments are put together, and rows that then suffice for one. Every version
lists all fragments in 166 bytes each, so without it the lists of ten thousand verdicts would fill 8 GB.
"""


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One verdict."""

    image: bytes
    header: ImageHeader
    verdict: Verdict
    prediction: str
    """The name that was shown."""
    probability: float | None
    label: str | None
    """The right name, as the person says; None: not said."""
    head: str
    head_digest: str
    request_id: str
    """Of the prediction that is judged."""


class FeedbackStore:
    """Appends verdicts to a catalog from one thread; several processes may append to one catalog.

    Args:
        path: The catalog's folder: new, or one of feedback.
        done: Told of every verdict that is kept.

    Raises:
        CatalogError: The folder holds another catalog, or something else.
    """

    def __init__(self, path: str | Path, *, done: Callable[[Feedback], None] = lambda one: None) -> None:
        self._catalog = open_feedback(path)
        self._done = done
        self._commits = 0
        """Since fragments were last put together."""
        self._queue: queue.SimpleQueue[tuple[Feedback, Future[str]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def add(self, feedback: Feedback) -> "Future[str]":
        """The id of the row, once it is on the disk.

        The future raises CatalogError or StorageError when the disk refuses, or the catalog is full.
        """
        answer: Future[str] = Future()
        self._queue.put((feedback, answer))
        return answer

    def close(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting = [first]
            while len(waiting) < AT_ONCE and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                waiting.append(following)
            self._keep(waiting)
            if self._commits >= TOGETHER:
                self._put_together()
        if self._commits > 1:
            self._put_together()

    def _put_together(self) -> None:
        """After the answers: a catalog in pieces is slow, but whole."""
        self._commits = 0
        try:
            self._catalog.compact(rows_per_fragment=TOGETHER)
        except SynsightError as error:  # another process is at work on the catalog
            log("fragments left as they are", reason=type(error).__name__)

    def _keep(self, waiting: Sequence[tuple[Feedback, "Future[str]"]]) -> None:
        try:
            ids = self._written([one for one, _ in waiting])
        except Exception as error:
            for _, answer in waiting:
                answer.set_exception(error)
            return
        for (feedback, answer), identity in zip(waiting, ids, strict=True):
            self._done(feedback)
            answer.set_result(identity)

    def _written(self, verdicts: Sequence[Feedback]) -> list[str]:
        if self._catalog.count_rows() >= MOST_ROWS:
            raise CatalogError(
                f"the catalog of feedback holds {MOST_ROWS:,} rows; use them, and start with a new one."
            )
        rows = [_row(one) for one in verdicts]
        batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
        self._catalog.append(self._catalog.write_fragment(batch), commit=Commit(verb="feedback"))
        self._commits += 1
        return [row["id"] for row in rows]


def open_feedback(path: str | Path) -> Catalog:
    """The catalog of feedback in a folder; made where there is none.

    Raises:
        CatalogError: The folder holds another catalog, or something else.
    """
    if not Catalog.exists(place(path)):
        try:
            return Catalog.create(path, SCHEMA, commit=Commit(verb="feedback"))
        except SynsightError:
            if not Catalog.exists(place(path)):  # else another worker was first
                raise
    catalog = Catalog.open(path)
    if missing := [name for name in SCHEMA.names if name not in catalog.columns]:
        raise CatalogError(
            f"{path}: expected a catalog of feedback or a new folder, found a catalog without the column "
            f"{missing[0]!r}; choose another folder."
        )
    return catalog


def _row(one: Feedback) -> dict[str, Any]:
    digest = hashlib.sha256(one.image).hexdigest()[:32]
    return {
        "id": f"{digest}-{secrets.token_hex(4)}",
        "image": one.image,
        "width": one.header.width,
        "height": one.header.height,
        "format": one.header.format,
        "label": one.prediction if one.verdict == "right" else one.label,
        "group": digest,
        "split": drawn_split(digest),
        "source": "feedback",
        "captured_at": now(),
        "verdict": one.verdict,
        "prediction": one.prediction,
        "probability": one.probability,
        "head": one.head,
        "head_digest": one.head_digest,
        "request_id": one.request_id,
    }
