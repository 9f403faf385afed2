"""Two real evaluations of a small catalog, compared by the command."""

import json

import pytest


@pytest.fixture(scope="module")
def evaluated(catalog, tmp_path_factory):
    from synsight.evaluation import evaluate

    out = tmp_path_factory.mktemp("evaluations")
    for name, model in (("a", "random:resnet18"), ("b", "random:test_resnet.r160_in1k")):
        evaluate(
            [model],
            data=catalog,
            label="category",
            out=out / name,
            tasks=("linear", "fewshot"),
            labels_per_class=(1, 2, 5),
            draws=3,
            image_size=32,
            progress=False,
        )
    return out


@pytest.fixture(autouse=True)
def without_paper(monkeypatch):
    """The page on paper has tests of its own, and takes seconds."""
    monkeypatch.setattr("synsight.reports.decision_page.why_no_pdf", lambda: "no paper in a test")


def test_two_evaluations_become_one_decision(evaluated, run_json, tmp_path):
    flags = ["--label-minutes", "0.3..0.8", "--error-costs", "1..2..4", "--images-per-year", "1000"]
    found = run_json("compare", evaluated / "a", evaluated / "b", "--out", tmp_path / "report", *flags)
    assert (found["baseline"], found["candidate"]) == ("random:resnet18", "random:test_resnet.r160_in1k")
    assert found["verdict"] in ("adopt", "adopt_with_conditions", "do_not_adopt")
    decision = json.loads((tmp_path / "report" / "decision.json").read_text())
    assert decision == found["decision"]
    case = decision["cases"][0]
    assert [one["labels_per_class"] for one in case["savings"]][:3] == [1, 2, 5]
    assert case["difference"]["paired"] is True
    assert case["difference"]["n_labels"] == decision["labels_in_use"] == 5
    recorded = {
        (one["model"], one["n_labels"]): one["value"]
        for one in decision["results"]
        if (one["task"], one["metric"]) == ("fewshot", "acc1")
    }
    gain = recorded["random:test_resnet.r160_in1k", 5] - recorded["random:resnet18", 5]
    assert case["difference"]["difference"]["value"] == pytest.approx(gain, abs=1e-4)
    errors = next(line for plan in case["plans"] for line in plan["lines"] if line["key"] == "errors")
    assert errors["saving"]["value"] == pytest.approx(1000 * 2 * gain, rel=1e-3, abs=0.1)
    assert {line.split("/")[-1] for line in found["files"]} >= {
        "decision.html",
        "decision.json",
        "results.csv",
        "costs.csv",
        "savings.csv",
    }


def test_the_table_ends_with_the_verdict_and_the_page(evaluated, run, tmp_path):
    code, out, _ = run("compare", evaluated / "a", evaluated / "b", "--out", tmp_path / "report")
    assert code == 0
    assert "random:test_resnet.r160_in1k against random:resnet18: " in out
    assert out.strip().splitlines()[-1].startswith("report: ")


def test_wrong_usage_is_told(run, tmp_path):
    code, _, err = run("compare", "--out", tmp_path / "report")
    assert (code, err.count("\n")) == (2, 1)
    assert "compare needs evaluations" in err
    code, _, err = run("compare", tmp_path / "absent", "--out", tmp_path / "report")
    assert (code, err.count("\n")) == (1, 1)
    code, _, err = run("compare", tmp_path, "--out", tmp_path / "report", "--label-minute", "1")
    assert code == 2
    assert "--label-minutes" in err
