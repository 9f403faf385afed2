import re
from pathlib import Path

from made import make_catalog

from synsight.models import load

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_example_of_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    make_catalog(tmp_path / "cat", change=lambda columns: {**columns, "category": columns["kind"]})
    load("random:test_resnet.r160_in1k", image_size=16).save_pretrained(tmp_path / "run" / "model")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})
    printed = capsys.readouterr().out
    assert len(re.findall(r"^mine +\S+ +acc1 +[01]\.\d+ \[", printed, flags=re.MULTILINE)) == 3
    assert "mean_per_class_recall_difference" in printed
