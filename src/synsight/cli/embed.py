"""`synsight embed`."""

from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from synsight.cli.console import Json, show


def embed(
    model: str,
    catalog: Path,
    *,
    out: Path | None = None,
    runner: str = "local",
    address: str | None = None,
    json: Json = False,
) -> None:
    """Compute a model's features of all images and keep them in the catalog.

    Args:
        model: A MODEL folder, a timm name, open-clip:NAME/WEIGHTS (a tag or a safetensors file), hf-hub:ID or
            local-dir:PATH (timm's layout), or random:NAME for an untrained network.
        catalog: The catalog's folder.
        out: Also write ids and features to this Parquet file.
        runner: Where images are computed: local (this process), processes (one a core) or ray (a cluster).
        address: Of the Ray cluster; that of RAY_ADDRESS unless given, else one on this machine.
        json: Print one JSON object.
    """
    from synsight import stages
    from synsight.models.features import embed as run

    where = stages.runner(runner, address=address)
    done = {name: _plain(value) for name, value in asdict(run(model, catalog, out=out, runner=where)).items()}

    def table() -> list[RenderableType]:
        from synsight.reports import fact_table

        return [fact_table(done)]

    show(done, as_json=json, table=table)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
