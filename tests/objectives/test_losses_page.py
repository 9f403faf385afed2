import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "methods"
EXAMPLES = re.findall(r"```python\n(.*?)```", (PAGES / "losses.md").read_text("utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_run_as_they_stand(example):
    exec(compile(example, "losses.md", "exec"), {})
