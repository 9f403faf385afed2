"""The samples that the package ships; provenance and licences are in NOTICE beside the files.

`emoji`: 1,906 concepts drawn by two or three vendors (Noto Emoji, Apache-2.0; Twemoji, CC-BY-4.0; Fluent
Emoji, MIT), with English and Japanese captions and keywords from Unicode CLDR; the splits go by concept.

`clipart`: public-domain drawings of openclipart 0.18 with captions as messy as they were found.

Both are made by `scripts/build_samples.py`: longest side 64 px, WebP. `scenes` is composed of the drawings
of `emoji`, with boxes and masks that are exact (`data.scenes`).
"""

from importlib.resources import as_file, files
from pathlib import Path

from synsight.data.ingestion import ingest_source
from synsight.data.scenes import SceneSource
from synsight.data.sources import open_source
from synsight.errors import UsageError, near_names
from synsight.records import IngestSummary
from synsight.stages import Runner

SAMPLES = {
    "emoji": {"label": "category", "group": "group"},
    "clipart": {"label": "category", "group": "group"},
}
"""Name -> the columns that play a role and are not guessed."""

SCENES = "scenes"
"""The sample that is composed and not read."""


def sample(name: str, *, out: str | Path, runner: Runner | None = None) -> IngestSummary:
    """Make a catalog of a shipped sample; its own columns (`category`, `domain`, ...) keep their names.

    Args:
        name: `emoji`, `clipart` or `scenes`.
        out: The catalog's folder; as for `ingest`.
        runner: As for `ingest`.

    Raises:
        UsageError: There is no such sample.
        CatalogError: `out` holds something else.
    """
    if name == SCENES:
        return ingest_source(SceneSource(), name=f"sample {name}", out=Path(out), runner=runner)
    if name not in SAMPLES:
        raise UsageError(f"there is no sample {name!r}; {near_names(name, [*SAMPLES, SCENES])}")
    with as_file(files("synsight.data") / "sample_files" / f"{name}.parquet") as path:
        source = open_source(path, chosen=SAMPLES[name])
        return ingest_source(source, name=f"sample {name}", out=Path(out), runner=runner)
