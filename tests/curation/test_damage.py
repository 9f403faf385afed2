"""Planted defects hit what they say, and nothing else."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

PATH = Path(__file__).parents[2] / "benchmarks" / "damage.py"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the benchmarks are not part of the package")

TABLE = pa.table(
    {
        "id": [f"r{n}" for n in range(40)],
        "caption": [None if n % 10 == 0 else f"Caption number{n} of many words" for n in range(40)],
        "keywords": [[f"word{n}", "picture"] for n in range(40)],
        "split": ["train" if n < 20 else "test" for n in range(40)],
    }
)
HAS_TEXT = [n % 10 != 0 for n in range(40)]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("damage", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def damage(benchmark):
    return benchmark.damage_captions


@pytest.mark.parametrize("kind", ["shuffled", "boilerplate", "typos", "truncated", "repeated"])
def test_so_many_rows_with_text_are_hit_and_no_other_is_changed(damage, kind):
    found = damage(TABLE, kind, 0.5, 3)
    hit = found["damaged"].to_pylist()
    assert sum(hit) == 18
    assert not any(one and not text for one, text in zip(hit, HAS_TEXT, strict=True))
    pairs = zip(found["caption"].to_pylist(), TABLE["caption"].to_pylist(), strict=True)
    assert [after != before for after, before in pairs] == hit
    assert found.drop_columns(["caption", "damaged"]) == TABLE.drop_columns(["caption"])
    assert found == damage(TABLE, kind, 0.5, 3)
    assert found != damage(TABLE, kind, 0.5, 4)


def test_a_shuffle_keeps_all_texts_within_their_split_and_moves_columns_together(damage):
    found = damage(TABLE, "shuffled", 1.0, 0, columns=("caption", "keywords"))
    for start in (0, 20):
        before, after = (one["caption"].slice(start, 20).to_pylist() for one in (TABLE, found))
        assert sorted(map(str, before)) == sorted(map(str, after))
    for caption, words in zip(found["caption"].to_pylist(), found["keywords"].to_pylist(), strict=True):
        assert caption is None or words[0] == caption.split()[1].replace("number", "word")


def test_typos_leave_the_words_and_truncation_the_beginning(damage):
    before = TABLE["caption"].to_pylist()
    for after, text in zip(damage(TABLE, "typos", 1.0)["caption"].to_pylist(), before, strict=True):
        assert text is None or len(after.split()) == len(text.split())
        assert text is None or after.split()[2] == "of"
    for after, text in zip(damage(TABLE, "truncated", 1.0)["caption"].to_pylist(), before, strict=True):
        assert text is None or (text.startswith(after) and len(after) == int(0.4 * len(text)))


def test_none_of_nothing_and_an_unknown_kind(damage):
    assert not any(damage(TABLE, "typos", 0.0)["damaged"].to_pylist())
    with pytest.raises(ValueError, match="expected one of"):
        damage(TABLE, "burnt", 0.1)


def test_over_exposure_multiplies_and_cuts_off_and_faint_keeps_a_twelfth(benchmark):
    grey = Image.new("RGB", (4, 4), (100, 130, 200))
    data = io.BytesIO()
    grey.save(data, "PNG")
    table = pa.table({"id": ["a"], "image": pa.array([data.getvalue()], pa.binary())})
    for kind, expected in (("overexposed", (180, 234, 255)), ("faint", (242, 245, 250))):
        (image,) = benchmark.damage_images(table, kind, 1.0)["image"].to_pylist()
        found = Image.open(io.BytesIO(image)).getpixel((0, 0))
        assert np.abs(np.subtract(found, expected)).max() <= 1
