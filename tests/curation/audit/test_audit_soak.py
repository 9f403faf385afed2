"""Many audits, and an audit of many rows, leave no memory, files or threads behind, and find the same."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planted import catalog_of, encoded
from synsight.curation.audit.auditing import audit
from watching import Watched, again_and_again

ROWS = int(os.environ.get("SYNSIGHT_SOAK_AUDIT_ROWS", "10000"))
"""Of the one long audit."""
FEW, TIMES = 400, 30
"""Rows of each audit that is repeated, and how often."""
WORDS = "red old small dog cat wheel door house river bridge rust bird lamp".split()  # noqa: SIM905

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def write_catalog(path: Path, rows: int) -> Path:
    """Pictures that all differ, but for one in a hundred that is broken and one that comes twice."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (rows, 4, 4, 3), dtype=np.uint8)
    images = [encoded(Image.fromarray(one).resize((48, 48)), "JPEG", quality=60) for one in cells]
    images[10::100] = [b"no image"] * len(images[10::100])
    images[20::100] = images[19::100]
    captions = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(rows)]
    captions[30::100] = ["IMG_0001.jpg"] * len(captions[30::100])
    catalog_of(path, images, caption=captions, split=["test" if n % 5 else "train" for n in range(rows)])
    return path


def test_an_audit_of_many_rows_stays_as_it_is(tmp_path):
    catalog, runner = write_catalog(tmp_path / "cat", ROWS), Watched(seconds=0.01)
    found = audit(catalog, out=tmp_path / "out", runner=runner)
    assert found.rows == ROWS
    assert found.findings["unreadable"] == found.findings["duplicate"] == ROWS // 100
    assert found.findings["file-name"] == ROWS // 100
    runner.check(needed=2)


def test_many_audits_leave_nothing_behind_and_find_the_same(tmp_path):
    catalog, found = write_catalog(tmp_path / "cat", FEW), []

    def once(number: int) -> None:
        copy, out = tmp_path / f"copy_{number}", tmp_path / f"out_{number}"
        shutil.copytree(catalog, copy)
        found.append(audit(copy, out=out).findings)
        shutil.rmtree(copy)
        shutil.rmtree(out)

    looks = again_and_again(once, times=TIMES)
    assert found == [found[0]] * TIMES
    looks.check()
