"""Has the model learnt from the images it is to be judged on?

Model folders list the images they were trained on by their content (`data.trained_rows`), so the answer does
not depend on where a catalog lies, what its rows are called, or how it was parted since. It is unknown for
models from elsewhere (timm, open_clip, a hub) and for folders of an older synsight; where training began with
such weights, what it added itself is known.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synsight.data.catalog import Catalog
from synsight.data.trained_rows import TrainedRows, content_hashes
from synsight.errors import DataError
from synsight.evaluation.rows import Rows
from synsight.models import Model, load

MOST_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class SeenReport:
    """What a model saw of the rows it is judged on."""

    model: str
    known: Literal["all", "some", "nothing"]
    """How much is known of the images that made its weights; `some`: training began with others' weights."""
    trained_images: int
    """Different images that it is known to be trained on."""
    test_rows: int
    seen_test_rows: int
    """Those whose image it was trained on, and not because a training row of this catalog is the same
    image."""
    copied_test_rows: int
    """Those whose image, byte for byte, is also a training row's of this catalog: a leak of the split, which
    every model trained on it has."""
    examples: tuple[str, ...] = ()
    """Ids of the first seen rows."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.known == "nothing":
            return f"{self.model}: nobody has listed the images it was trained on."
        rest = "" if self.known == "all" else "; the weights it began with are of unknown images"
        return (
            f"{self.model}: was trained on the images of {self.seen_test_rows:,} of {self.test_rows:,} test "
            f"rows{rest}."
        )

    def as_settings(self) -> dict[str, Any]:
        """For evaluation.json."""
        return asdict(self) | {"examples": list(self.examples)}

    def as_details(self) -> Mapping[str, Any]:
        """For the details of the model's records; empty where nothing was seen."""
        return {"seen_test_rows": self.seen_test_rows} if self.seen_test_rows else {}


def check_unseen(
    model: Model | str | Path, catalog: Catalog, test: Rows, *, allow_seen: bool = False
) -> SeenReport:
    """Refuse a model that was trained on rows it is to be judged on.

    Reads the test images once, and the training images only where a test image was seen.

    Args:
        model: A model, or its folder.
        catalog: Where the rows are.
        test: The rows it is to be judged on.
        allow_seen: Report and do not refuse.

    Raises:
        DataError: It saw some of them; or the model's list of images cannot be read.
    """
    model = model if isinstance(model, Model) else load(model)
    trained = model.trained_rows
    report = partial(SeenReport, model=model.name, test_rows=len(test))
    if trained is None or (not trained.is_whole and not len(trained.hashes)):
        return report(known="nothing", trained_images=0, seen_test_rows=0, copied_test_rows=0)
    seen, copied = _seen(trained, catalog, test)
    found = report(
        known="all" if trained.is_whole else "some",
        trained_images=len(trained.hashes),
        seen_test_rows=int(seen.sum()),
        copied_test_rows=int(copied.sum()),
        examples=tuple(test.ids[seen][:MOST_EXAMPLES].tolist()),
    )
    if found.seen_test_rows and not allow_seen:
        raise DataError(
            f"{model.name}: was trained on the images of {found.seen_test_rows:,} of {found.test_rows:,} "
            f"test rows of {catalog.path} (such as {found.examples[0]!r}), so what it gets right there "
            "proves nothing; judge a model that was trained on this catalog's training rows, or say "
            "--allow-seen (allow_seen=True), which is then written into each record."
        )
    return found


def _seen(trained: TrainedRows, catalog: Catalog, test: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Test rows that were seen, and those that are copies of training rows, [M] each."""
    nothing = np.zeros(len(test), bool)
    if not len(trained.hashes):
        return nothing, nothing
    hashes = content_hashes(catalog, test.positions)
    known = trained.holds(hashes)
    if not known.any():
        return nothing, nothing
    # Whether a copy is why: all training rows count, with a label or without.
    training = content_hashes(catalog, catalog.positions("split = 'train'"))
    copied = np.isin(hashes, training)
    return known & ~copied, known & copied
