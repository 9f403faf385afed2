"""`synsight sweep` as a user types it."""

import json

from small_source import TINY

SWEEP = ("sweep", "--recipe", "simclr,catlip", "--tasks", "knn", "--steps", 2, *TINY)


def test_a_sweep_prints_one_table_with_a_line_for_each_model(run, catalog, tmp_path):
    code, out, err = run(
        *SWEEP, "--data", catalog, "--projection-dim", "8,16", "--out", tmp_path / "out", "--seed", "0"
    )
    assert code == 0, err
    assert "cat: category" in out
    for line in (
        "chance",
        "random encoder",
        "simclr, projection_dim 8",
        "simclr, projection_dim 16",
        "catlip",
    ):
        assert f"\n{line}" in out
    assert "report.html" in out
    assert "projection_dim is no setting of catlip" in err
    assert "run 4 of 4: catlip, seed 0" in err


def test_the_json_of_a_sweep_holds_its_runs_and_records(run_json, catalog, tmp_path):
    out = tmp_path / "out"
    value = run_json(*SWEEP, "--data", catalog, "--label-of", "cat=subcategory", "--out", out)
    assert list(value) == ["out", "report", "runs", "results", "notes"]
    assert value["results"] == json.loads((out / "results.json").read_text())
    assert {one["details"]["probe"] for one in value["results"]} == {"cat: subcategory"}
    assert [one["recipe"] for one in value["runs"]] == ["random", "simclr", "catlip"]


def test_a_misspelt_flag_or_setting_is_told_the_near_ones_and_nothing_is_run(run, catalog, tmp_path):
    for words, said in (
        (["--minute-per-run", "2"], "minutes_per_run"),
        (["--method.projection-dims", "8"], "method.projection_dim"),
        (["simclr"], "write --recipe simclr"),
        (["--label-of", "category"], "expected CATALOG=COLUMN"),
    ):
        code, _, err = run(*SWEEP, "--data", catalog, "--out", tmp_path / "out", *words)
        assert code == 2
        assert said in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
