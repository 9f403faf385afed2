"""Every command and every Python example that the README and the docs show, run as shown, in small.

In small: a built-in sample is a few hundred rows of itself, and a training whose command names no size gets
a tiny encoder and one epoch. What is proved is that what a reader types works.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from synsight.cli import main
from synsight.models import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLE = ROOT / "src/synsight/data/sample_files/emoji.parquet"
OWN_TEST = {"catalog", "evaluation"}
"""Pages whose Python a test of their room runs and looks into."""
TINY = [
    ("--encoder", "test_resnet.r160_in1k"),
    ("--image-size", "16"),
    ("--epochs", "1"),
    ("--batch-size", "32"),
]
SMALL = {"pretrain": TINY, "sweep": TINY, "pilot": [*TINY, ("--yes",)]}


def fenced(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    joined = "".join(fenced(page, "console")).replace("\\\n", " ")
    return [line[2:].split("  #")[0] for line in joined.splitlines() if line.startswith("$ synsight")]


def in_small(command: str) -> list[str]:
    words = shlex.split(command)[1:]
    if words[0] == "sample":
        words = ["ingest", f"{words[1]}.parquet", *words[2:], "--label-column", "category"]
    if words[:2] == ["pilot", "emoji"]:
        words[1] = "emoji.parquet"
    if words[0] not in SMALL or "--config" in words or "--resume" in words:
        return words
    return words + [part for flag, *value in SMALL[words[0]] if flag not in words for part in (flag, *value)]


@pytest.fixture(scope="module")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few classes of one vendor, as a table of its own."""
    table = pq.read_table(SAMPLE)
    few = pc.is_in(table["category"], pa.array(["food-drink", "animals-nature"]))
    table = table.filter(pc.and_(few, pc.equal(table["domain"], "google")))
    path = tmp_path_factory.mktemp("sample") / "emoji.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture
def place(tmp_path: Path, small_sample: Path) -> Path:
    """Where a reader sits: a folder of images with a caption beside each, a sample, a catalog and a model."""
    (tmp_path / "emoji.parquet").write_bytes(small_sample.read_bytes())
    for number, row in enumerate(pq.read_table(small_sample).to_pylist()):
        folder = tmp_path / "my_folder" / row["category"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.webp").write_bytes(row["image"])
        (folder / f"{number}.txt").write_text(row["caption"], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [one for one in PAGES if commands(one) and one.stem != "walk-through"],  # that page has a test of its own
    ids=lambda page: page.stem,
)
def test_every_command_of_the_page_runs(page: Path, place: Path):
    if page.stem in ("evaluation", "training", "catlip"):  # these pages begin with a catalog
        run("ingest", "emoji.parquet", "--out", "cat", "--label-column", "category", where=place)
    if page.stem == "training":
        run("words", "cat", where=place)
    if page.stem == "evaluation":
        load("random:test_resnet.r160_in1k", image_size=16).save_pretrained(place / "run" / "model")
    for command in commands(page):
        run(*in_small(command), where=place)


@pytest.mark.parametrize(
    "page",
    [one for one in PAGES if fenced(one, "python") and one.stem not in OWN_TEST],
    ids=lambda page: page.stem,
)
def test_every_python_example_of_the_page_runs(page: Path, place: Path):
    check([sys.executable, "-c", "\n".join(fenced(page, "python"))], where=place)


def test_the_two_commands_stand_first_in_the_readme():
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert [line.split("#")[0].strip() for line in block.splitlines()[1:]] == ["make demo", "make test"]


def run(*words: str, where: Path) -> None:
    """In this process, as starting one for each command would take longer than the commands do."""
    with contextlib.chdir(where):
        assert main(list(words)) == 0, shlex.join(words)


def check(words: list[str], *, where: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
