"""Wrong inputs: one sentence on stderr, the right exit code, the near name."""

import pytest
from small_source import TINY

from synsight.cli import app as program
from synsight.cli.settings import read_words
from synsight.errors import UsageError

WRONG = [
    (["pretrian", "catlip"], 'Did you mean "pretrain"'),
    (["ingest", "a", "--out", "b", "--label-colum", "c"], "--label-column"),
    (["words"], "words needs a catalog"),
    (["pretrain", "catlp", "--data", "x", "--out", "y"], "did you mean 'catlip'"),
    (["pretrain", "catlip", "--data", "x", "--out", "y", "--optim.lrr", "1"], "did you mean 'optim.lr'"),
    (["pretrain", "catlip", "--data", "x", "--out", "y", "--epoch", "3"], "'epochs'"),
    (["pretrain", "catlip", "--data", "x", "--out", "y", "--resum"], "'resume'"),
    (["pretrain", "catlip", "simclr", "--data", "x", "--out", "y"], "one recipe"),
    (["pretrain", "catlip", "--data", "x"], "--out RUN"),
    (["pretrain", "catlip", "--out", "y"], "--data CATALOG"),
    (["pretrain", "catlip", "--data", "x", "--out", "y", "--epochs", "many"], "--epochs"),
    (["evaluate", "--data", "x", "--label", "y", "--out", "z"], "needs a model"),
    (["evaluate", "m", "--data", "x", "--label", "y", "--out", "z", "--labels-per-class", "1,x"], "1,5,10"),
    (["pilot", "emoji", "--label", "category", "--out", "z"], "--yes"),
    (
        ["pilot", "emoji", "--label", "l", "--out", "z", "--yes", "--recipes", "catlp"],
        "did you mean 'catlip'",
    ),
    (["pilot", "--label", "l", "--out", "z", "--yes"], "needs a source"),
    (["pilot", "emoji", "--label", "l", "--out", "z", "--yess"], "'yes'"),
    (["sample", "emojis", "--out", "z"], "emoji"),
]


@pytest.mark.parametrize(("arguments", "hint"), WRONG, ids=[" ".join(one) for one, _ in WRONG])
def test_wrong_usage_exits_with_2_and_names_the_near_ones(arguments, hint, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("synsight: error: ")
    assert err.count("\n") == 1
    assert hint in err
    assert list(tmp_path.iterdir()) == []


MENDABLE = [
    (["words", "nowhere"], "nowhere: expected a catalog, found nothing"),
    (["ingest", "nowhere", "--out", "cat"], "nowhere"),
    (["catalog", "versions", "nowhere"], "synsight ingest"),
    (["embed", "random:resnet18", "nowhere"], "nowhere: expected a catalog"),
]


@pytest.mark.parametrize(("arguments", "hint"), MENDABLE, ids=[" ".join(one) for one, _ in MENDABLE])
def test_an_error_the_user_can_mend_exits_with_1_in_one_sentence(arguments, hint, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("synsight: error: ")
    assert "Traceback" not in err
    assert hint in err


def test_a_folder_that_holds_another_run_is_refused(run, catalog, trained):
    code, _, err = run("pretrain", "simclr", "--data", catalog, "--out", trained, *TINY)
    assert code == 1
    assert "--resume" in err


def test_a_value_out_of_range_names_the_setting(run, catalog, tmp_path):
    code, _, err = run(
        "pretrain", "simclr", "--data", catalog, "--out", tmp_path / "run", "--optim.lr", "-1", *TINY
    )
    assert code == 1
    assert "optim.lr" in err


def test_a_defect_shows_its_traceback_and_asks_for_a_report(run, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(program, "app", broken)
    code, _, err = run("words", "cat")
    assert code == 1
    assert "ZeroDivisionError: inside" in err
    assert "report it" in err.splitlines()[-1]


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "app", interrupted)
    code, _, err = run("words", "cat")
    assert code == 130
    assert "same command again" in err


def test_settings_and_recipe_are_told_apart_in_any_order():
    words = ("--optim.lr", "-1", "catlip", "--steps=40", "--monitor.every-steps", "2")
    assert read_words(words, what="recipe", flags=()) == (
        "catlip",
        {"optim.lr": "-1", "steps": "40", "monitor.every_steps": "2"},
    )


def test_a_setting_without_a_value_is_wrong_usage():
    with pytest.raises(UsageError, match="no value"):
        read_words(("catlip", "--optim.lr", "--steps", "3"), what="recipe", flags=("steps",))


def test_a_misspelt_encoder_leaves_no_run_behind_and_a_short_sentence(catalog, tmp_path, capsys):
    words = ["pretrain", "simclr", "--data", str(catalog), "--out", str(tmp_path / "run"), "--steps", "1"]
    assert program.main([*words, "--encoder", "qqqqqq"]) == 1
    told = capsys.readouterr().err
    assert "expected a model folder, a timm name" in told and " more" in told
    assert len(told) < 2000
    assert not (tmp_path / "run").exists()


def wrapped() -> None:
    raise RuntimeError("while a class was made") from KeyboardInterrupt()


def plain() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("raise_it", [plain, wrapped])
def test_ctrl_c_is_one_sentence_whatever_it_meets(raise_it, monkeypatch, capsys):
    monkeypatch.setattr("synsight.data.samples.sample", lambda *_, **__: raise_it())
    assert program.main(["sample", "emoji", "--out", "nowhere"]) == 130
    assert (
        capsys.readouterr().err
        == "synsight: error: stopped; run the same command again to go on where it was.\n"
    )
