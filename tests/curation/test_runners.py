"""R10: audit and repair keep the same rows and the same bytes wherever their stages run.

Ray's part runs where Ray is installed: pip install -e ".[dev,cluster]"; elsewhere it is left out.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from planted import catalog_of, shipped

from synsight.curation import caption_checks, cleaning, image_checks, repair_steps
from synsight.curation.audit import audit
from synsight.curation.repair import repair
from synsight.data.catalog import Catalog
from synsight.process_pool import ProcessRunner
from synsight.stages import Runner, ThreadRunner

ROWS = 240
TEMPLATE = "Part of the Big Icon Collection"
SAID = (
    "a red heart",
    "red_star.png",
    None,
    f"a dog. {TEMPLATE}",
    "IMG_0001.jpg",
    "caf\u00c3\u00a9 cup",
    "a xqzv",
)

NOUNS = [
    "cat",
    "dog",
    "tree",
    "car",
    "star",
    "cup",
    "fish",
    "bird",
    "house",
    "boat",
    "shoe",
    "hat",
    "key",
    "lamp",
]


@pytest.fixture(scope="module", params=["processes", "ray"])
def elsewhere(request, tmp_path_factory) -> Iterator[Runner]:
    if request.param == "processes":
        yield ProcessRunner(workers=2)
        return
    ray = pytest.importorskip("ray.data", reason="ray is not installed") and __import__("ray")
    from synsight.ray_data import RayRunner

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path_factory.mktemp("token") / "auth_token"))
        yield RayRunner(workers=2)
        ray.shutdown()


@pytest.fixture
def small_chunks(monkeypatch):
    """So that two workers share the rows."""
    for module in (caption_checks, cleaning, repair_steps):
        monkeypatch.setattr(module, "ROWS_PER_CHUNK", 60)
    monkeypatch.setattr(image_checks, "BYTES_PER_CHUNK", 1)


def catalogs(folder: Path) -> tuple[Path, Path]:
    """The same rows twice: images good, broken and double, captions of every kind."""
    images = shipped("emoji", ROWS)
    images[3], images[5], images[7] = b"no image", None, images[6]
    for name in ("here", "there"):
        catalog_of(
            folder / name,
            images,
            caption=[f"{text} {n % 50}" if n % 3 and text else text for n, text in enumerate(SAID * 35)][
                :ROWS
            ],
            keywords=[[NOUNS[n % len(NOUNS)]] if n % 4 else None for n in range(ROWS)],
            group=[f"g{n // 2}" for n in range(ROWS)],
            split=["test" if n % 5 == 0 else "train" for n in range(ROWS)],
        )
    return folder / "here", folder / "there"


def whole(path: Path) -> pa.Table:
    catalog = Catalog.open(path)
    return catalog.table(catalog.columns)


def test_an_audit_finds_the_same_and_writes_the_same_bytes(elsewhere, small_chunks, tmp_path):
    here, there = catalogs(tmp_path)
    outs = tmp_path / "out_here", tmp_path / "out_there"
    found = [
        audit(catalog, out=out, runner=runner, checks=("images", "duplicates", "captions"))
        for catalog, out, runner in zip(
            (here, there), outs, (ThreadRunner(workers=2), elsewhere), strict=True
        )
    ]
    assert found[0].findings == found[1].findings
    assert found[0].findings["unreadable"] == 2
    assert found[0].findings["boilerplate"] > 20
    assert found[0].numbers["effective_captions"] > 0
    assert whole(there).equals(whole(here), check_metadata=True)
    first, second = (out / "findings.parquet" for out in outs)
    assert second.read_bytes() == first.read_bytes()
    first, second = (json.loads((out / "audit.json").read_text()) for out in outs)
    told = {"out", "report"}  # where it was written
    assert {k: v for k, v in second.items() if k not in told} == {
        k: v for k, v in first.items() if k not in told
    }


def test_a_repair_writes_the_same_captions(elsewhere, small_chunks, tmp_path):
    here, there = catalogs(tmp_path)
    runners = ThreadRunner(workers=2), elsewhere
    for catalog, runner in zip((here, there), runners, strict=True):
        repair(catalog, borrow=("keywords",), runner=runner, out=tmp_path / "repair" / catalog.name)
    origins = whole(here)["caption_origin"].to_pylist()
    assert {"original", "cleaned", "keywords"} <= set(origins)
    assert whole(there).equals(whole(here), check_metadata=True)
    first, second = (
        (tmp_path / "repair" / name / "changes.jsonl").read_bytes() for name in ("here", "there")
    )
    assert second == first
    assert first.count(b"\n") == sum(one not in ("original", None) for one in origins)
