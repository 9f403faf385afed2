"""Every command and every Python example that the README and the docs show, run as shown, in small."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TINY = [("--encoder", "resnet10t"), ("--image-size", "32"), ("--epochs", "1"), ("--batch-size", "16")]
SMALL = {"pretrain": TINY, "pilot": [*TINY, ("--yes",)]}
"""Flags added to a long command that does not give them itself: what is proved is that it runs."""


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(page: Path) -> list[str]:
    joined = "".join(fenced(page, "console")).replace("\\\n", " ")
    return [line[2:].split("  #")[0] for line in joined.splitlines() if line.startswith("$ synsight")]


def in_small(command: str) -> list[str]:
    words = shlex.split(command)[1:]
    if words[0] not in SMALL or "--help" in words or "--config" in words:
        return words
    return words + [part for flag, *value in SMALL[words[0]] if flag not in words for part in (flag, *value)]


@pytest.fixture
def my_folder(tmp_path: Path) -> Path:
    """A folder of images that is not ours, as a user has it: class folders, a caption beside each image."""
    sample = ROOT / "src/synsight/data/sample_files/emoji.parquet"
    table = pq.read_table(sample, columns=["image", "caption", "category"])
    labels = table.column("category").to_pylist()
    for label in ("food-drink", "animals-nature"):
        folder = tmp_path / "my_folder" / label
        folder.mkdir(parents=True)
        for place in [i for i, one in enumerate(labels) if one == label][:80]:
            row = table.slice(place, 1).to_pylist()[0]
            (folder / f"{place}.webp").write_bytes(row["image"])
            (folder / f"{place}.txt").write_text(row["caption"], encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", [one for one in PAGES if commands(one)], ids=lambda page: page.stem)
def test_every_command_of_the_page_runs(page: Path, my_folder: Path):
    for command in commands(page):
        words = in_small(command)
        done = subprocess.run(
            [sys.executable, "-m", "synsight", *words],
            cwd=my_folder,
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", [one for one in PAGES if fenced(one, "python")], ids=lambda page: page.stem)
def test_every_python_example_of_the_page_runs(page: Path, my_folder: Path):
    program = "\n".join(fenced(page, "python"))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=my_folder, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, f"{program}\n{done.stderr}"


def test_the_two_commands_stand_first_in_the_readme():
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert [line.split("#")[0].strip() for line in block.splitlines()[1:]] == ["make demo", "make test"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
