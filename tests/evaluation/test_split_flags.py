"""What `evaluate` does with models that saw the test, with copies and with features from elsewhere."""

import json

import pytest
from made import make_catalog

from synsight.cli import main
from synsight.data.trained_rows import trained_rows
from synsight.models import Model, load

NAME = "random:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A catalog, a model that was trained on all of it, and one that was trained on its training rows."""
    folder = tmp_path_factory.mktemp("flags")
    catalog = make_catalog(folder / "cat")
    plain = load(NAME, image_size=16)
    config = type(plain.config)(**{**vars(plain.config), "method": "simclr"})
    for name, where in (("saw_all", None), ("honest", "split = 'train'")):
        rows = trained_rows(catalog, catalog.positions(where))
        Model(plain.encoder, config, trained_rows=rows).save_pretrained(folder / name)
    return folder


def evaluate(folder, out, *words):
    call = [
        "evaluate",
        *words,
        "--data",
        folder / "cat",
        "--label",
        "kind",
        "--tasks",
        "knn",
        "--out",
        folder / out,
    ]
    code = main([str(word) for word in call])
    if code:
        return code, None, None
    return code, *(
        json.loads((folder / out / f"{name}.json").read_text()) for name in ("results", "evaluation")
    )


def test_a_model_that_saw_the_test_is_refused_and_with_the_flag_marked(folder, capsys):
    assert evaluate(folder, "no", folder / "saw_all")[0] == 1
    assert "was trained on the images of 18 of 18 test rows" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "no").exists()
    code, results, settings = evaluate(folder, "yes", folder / "saw_all", "--allow-seen")
    assert code == 0
    assert {one["details"]["seen_test_rows"] for one in results} == {18}
    assert settings["trained_on"][0]["seen_test_rows"] == 18


def test_an_honest_model_and_one_from_elsewhere_are_judged_and_what_is_known_is_written(folder):
    code, results, settings = evaluate(folder, "ev", folder / "honest", NAME)
    assert code == 0
    assert not any("seen_test_rows" in one["details"] for one in results)
    assert [one["known"] for one in settings["trained_on"]] == ["all", "all"]
    assert settings["near_copies"]["test_rows"] == 18


def test_features_from_a_file_are_judged_as_those_of_the_model_that_made_them(folder):
    assert (
        main(["embed", str(folder / "honest"), str(folder / "cat"), "--out", str(folder / "x.parquet")]) == 0
    )
    _, model, _ = evaluate(folder, "of_model", folder / "honest")
    _, given, settings = evaluate(folder, "of_file", "--features", folder / "x.parquet")
    assert [one["value"] for one in given] == [one["value"] for one in model]
    assert {one["model"] for one in given} == {"x"}
    assert len(settings["models"][0]["digest"]) == 12
