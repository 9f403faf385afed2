"""`synsight export`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rich.console import RenderableType

from synsight.cli.console import Json, show


def export(
    model: str,
    *,
    out: Path,
    format: Literal["onnx", "openvino", "torch", "timm", "open_clip"] = "onnx",
    quantise: Literal["int8"] | None = None,
    data: Path | None = None,
    label: str | None = None,
    tolerance: float | None = None,
    max_accuracy_loss: float = 0.01,
    key: Path | None = None,
    json: Json = False,
) -> None:
    """Write a model in a form that runs without synsight, if it answers as the model does.

    Args:
        model: A MODEL folder, a timm name, open-clip:NAME/WEIGHTS, hf-hub:ID or local-dir:PATH.
        out: New folder, or that of a former export.
        format: Which form.
        quantise: int8: eight bits in place of 32 (onnx alone; needs --data to calibrate on).
        data: Catalog whose val images are compared; else synthetic images.
        label: Column with the right answers.
        tolerance: Largest difference of a score; else 1e-4, and for int8 none.
        max_accuracy_loss: Largest loss of accuracy, as a share of the images.
        key: File with a key that signs the manifest.
        json: Print one JSON object.
    """
    from synsight.deployment.export import export as run

    told = run(
        model,
        out=out,
        format=format,
        quantise=quantise,
        data=data,
        label=label,
        tolerance=tolerance,
        max_accuracy_loss=max_accuracy_loss,
        key=key,
    )

    def table() -> Iterator[RenderableType | str]:
        from synsight.reports import fact_table

        facts = {
            "out": told.out,
            "files": ", ".join(told.files),
            "size": f"{told.size_bytes / 1e6:.1f} MB",
            "compared on": told.measured_on,
            "largest difference": f"{told.max_difference:.2g}",
            "accuracy lost": f"{told.accuracy_loss:.4f} ({told.accuracy_of})",
        }
        if told.calibration is not None:
            facts["int8 ranges"] = told.calibration
        if told.left_out:
            facts["left out"] = ", ".join(told.left_out)
        yield fact_table(facts)

    show(asdict(told), as_json=json, table=table)
