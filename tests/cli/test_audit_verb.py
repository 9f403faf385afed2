"""`synsight audit` on the shipped samples, as a user types it."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synsight.cli import main
from synsight.data.catalog import Catalog


@pytest.fixture(scope="module")
def clipart(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "clipart"
    assert main(["sample", "clipart", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def emoji(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "emoji"
    assert main(["sample", "emoji", "--out", str(path)]) == 0
    return path


def test_the_messy_sample_is_found_messy_and_the_verdict_says_why(run, run_json, clipart, tmp_path):
    value = run_json("audit", clipart, "--out", tmp_path / "out", "--checks", "captions")
    assert list(value)[:4] == ["rows", "findings", "effective_captions", "verdict"]
    found = value["findings"]
    assert found["empty"] == 38
    assert found["boilerplate"] > 1000
    assert found["date"] > 500  # "(Wed Aug 25 23:29:46 2004)"
    assert found["id-like"] >= 25  # "HASH(0x86d2470)"
    assert found["email"] == 3
    assert found["person-name"] > 250
    assert value["effective_captions"] < 0.7 * value["rows"]
    assert value["verdict"] != "likely"
    examples = json.loads((tmp_path / "out" / "audit.json").read_text())["details"]
    captions = {one["flag"]: [example["caption"] for example in one["examples"]] for one in examples}
    assert any("Flat Icon Collection" in caption for caption in captions["boilerplate"])
    code, out, err = run("audit", clipart, "--out", tmp_path / "out", "--checks", "captions")
    assert code == 0, err
    assert "language guidance   uncertain" in out
    assert "report.html" in out


def test_the_clean_sample_is_found_clean(run_json, emoji, tmp_path):
    value = run_json("audit", emoji, "--out", tmp_path / "out", "--checks", "captions")
    found = value["findings"]
    for flag in (
        "empty",
        "boilerplate",
        "duplicated",
        "date",
        "email",
        "phone",
        "url",
        "mojibake",
        "id-like",
    ):
        assert found[flag] == 0
    assert found["person-name"] <= 9  # "Mrs. Claus", "Jan Mayen", "Diego Garcia"
    assert found["no-known-noun"] < 0.05 * value["rows"]
    assert value["effective_captions"] > 0.99 * value["rows"]
    assert value["verdict"] == "likely"


def test_japanese_captions_are_as_good(run_json, emoji, tmp_path):
    pytest.importorskip("sudachipy")
    arguments = ["--text-columns", "caption_ja", "--checks", "captions"]
    value = run_json("audit", emoji, "--out", tmp_path / "out", *arguments)
    for flag in ("boilerplate", "date", "email", "phone", "url", "mojibake", "other-language", "too-short"):
        assert value["findings"][flag] <= 0.01 * value["rows"], flag
    assert value["findings"]["person-name"] == 0
    assert value["verdict"] == "likely"


def test_all_checks_of_a_small_catalog(run, run_json, catalog, tmp_path):
    own = tmp_path / "cat"
    table = tmp_path / "small.parquet"
    names = ["id", "image", "caption", "group", "split"]
    pq.write_table(Catalog.open(catalog).table(names), table)
    assert main(["ingest", str(table), "--out", str(own)]) == 0
    value = run_json("audit", own, "--out", tmp_path / "out")
    assert value["rows"] == 192
    assert set(Catalog.open(own).columns) >= {"image_hash", "image_flags", "caption_flags", "caption_score"}
    assert Path(value["report"]).read_text(encoding="utf-8").startswith("<!")
    code, _, err = run("audit", own, "--out", tmp_path / "out", "--checks", "captions,image")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'images'?" in err
    code, _, err = run("audit", own)
    assert code == 2


def test_a_purge_names_the_files_that_still_show_its_rows_and_removes_them_when_told(run, source, tmp_path):
    cat, out = tmp_path / "cat", tmp_path / "audited here"
    assert run("ingest", source, "--out", cat)[0] == 0
    assert run("audit", cat, "--out", out, "--checks", "captions")[0] == 0
    assert run("repair", cat, "--out", out, "--borrow", "")[0] == 0
    details = json.loads((out / "audit.json").read_text())["details"]
    shown = next(one["id"] for found in details for one in found["examples"])

    def files_with_traces() -> set[str]:
        return {path.name for path in out.iterdir() if shown.encode() in path.read_bytes()}

    assert {"audit.json", "report.html"} <= files_with_traces()
    code, said, err = run("catalog", "delete", cat, "--where", f"id = '{shown}'")
    assert code == 0, err
    assert "these files may still show deleted rows (ids, captions, pictures, features):" in said
    for name in ("audit.json", "report.html", "findings.parquet", "changes.jsonl", "repair.json"):
        assert name in said
    assert files_with_traces()
    code, said, err = run("catalog", "delete", cat, "--where", f"id = '{shown}'", "--reports")
    assert code == 0, err
    assert "removed, since they could show deleted rows:" in said
    assert list(out.iterdir()) == []
