"""`synsight embed`."""

from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Json, show


def embed(model: str, catalog: Path, *, out: Path | None = None, json: Json = False) -> None:
    """Compute a model's features of all images and keep them in the catalog.

    Args:
        model: A MODEL folder, a timm name, open-clip:NAME/WEIGHTS (a tag or a safetensors file), hf-hub:ID or
            local-dir:PATH (timm's layout), or random:NAME for an untrained network.
        catalog: The catalog's folder.
        out: Also write ids and features to this Parquet file.
        json: Print one JSON object.
    """
    from synsight.models.features import embed as run

    done = {name: _plain(value) for name, value in asdict(run(model, catalog, out=out)).items()}

    def table() -> list[RenderableType]:
        from synsight.reports import fact_table

        return [fact_table(done)]

    show(done, as_json=json, table=table)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
