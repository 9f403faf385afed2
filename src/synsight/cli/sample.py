"""`synsight sample`."""

from pathlib import Path

from synsight.cli.console import Json
from synsight.cli.ingest import show_ingest


def sample(name: str, *, out: Path, json: Json = False) -> None:
    """Make a catalog from a built-in sample: emoji, clipart or scenes.

    Args:
        name: emoji (clean captions in English and Japanese) or clipart (captions as messy as the web's),
            or scenes (drawings of emoji on backgrounds, with boxes and masks).
        out: Folder of the new catalog.
        json: Print one JSON object.
    """
    from synsight.data.samples import sample as make

    show_ingest(make(name, out=out), as_json=json)
