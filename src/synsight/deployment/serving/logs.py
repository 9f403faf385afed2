"""Structured logs: one JSON object a line on standard error, a request's with its id.

Only what is listed here is written. No address, query, header or body reaches the log, so that neither a
token nor a customer's file name can.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LOG = logging.getLogger("synsight.serving")

FIELDS = (
    *("request_id", "method", "route", "status", "seconds", "body_bytes", "images", "head", "digest"),
    *("reason", "folder", "rows", "url", "version", "worker", "engine"),
)
"""What a line may say besides the time, the level and what happened."""
MOST_TEXT = 4_000


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:MOST_TEXT],
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MOST_TEXT:]
        return json.dumps(line, ensure_ascii=True)


def set_up_logs(stream: TextIO | None = None) -> None:
    """Send our lines and the server's to standard error, or to a stream; the form reader's warnings nowhere,
    since whoever sends a broken form would write them.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    levels = {
        "synsight.serving": logging.INFO,
        "uvicorn.error": logging.WARNING,
        "python_multipart": logging.ERROR,
    }
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def log(event: str, *, level: int = logging.INFO, traceback: bool = False, **fields: object) -> None:
    """One line; `fields` are of `FIELDS`; `traceback` tells of the error that is being handled."""
    unknown = set(fields) - set(FIELDS)
    assert not unknown, unknown
    LOG.log(level, event, extra=fields, exc_info=traceback)
