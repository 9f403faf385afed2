"""Near copies of test images in the training pool, as the pilot's page shows them."""

from pathlib import Path

from synsight.data.catalog import POSITION, Catalog
from synsight.evaluation.storage import read_results
from synsight.files import read_json
from synsight.records import Example
from synsight.reports.copy_records import CopyFacts
from synsight.workflow.examples import thumbnail

MOST_SHOWN = 6


def copy_facts(evaluation: Path, catalog: Catalog) -> CopyFacts | None:
    """What an evaluation found; None where there is none, or it did not look.

    Args:
        evaluation: Its folder.
        catalog: Where the images are.
    """
    if not (evaluation / "results.json").is_file():
        return None
    found = read_json(evaluation / "evaluation.json").get("near_copies")
    if found is None:
        return None
    shown = found["examples"][:MOST_SHOWN]
    pictures = _pictures(catalog, {one[side] for one in shown for side in ("test", "pool")})
    accuracies = [
        (f"{one.model}, {one.task}", one.value, one.details["acc1_without_near_copies"])
        for one in read_results(evaluation)
        if one.n_labels is None and "acc1_without_near_copies" in one.details
    ]
    return CopyFacts(
        test_rows=found["test_rows"],
        pool_rows=found["pool_rows"],
        copies=found["near_copies"],
        pairs=[(pictures[one["test"]], pictures[one["pool"]]) for one in shown],
        accuracies=accuracies,
    )


def _pictures(catalog: Catalog, ids: set[str]) -> dict[str, Example]:
    if not ids:
        return {}
    positions = [
        position
        for batch in catalog.scan(["id"], with_positions=True)
        for name, position in zip(batch["id"].to_pylist(), batch[POSITION].to_pylist(), strict=True)
        if name in ids
    ]
    rows = catalog.take(positions, ["id", "image"]).to_pylist()
    return {row["id"]: Example(id=row["id"], thumbnail=thumbnail(row["image"]), caption=None) for row in rows}
