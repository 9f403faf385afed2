"""The page on the catalog is a program that runs."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


def test_the_examples_of_the_page_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^[1-9]\d* rows, [1-9]\d* samples, [1-9]\d* bytes searched, 0 hits$", done.stdout, re.MULTILINE
    )
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "cat.parquet",
        "cat.parquet.json",
        "tars",
    ]
