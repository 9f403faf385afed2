import csv
import json
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from made_evaluations import CLASSES, accuracy, write, write_foreign

import synsight
from synsight.errors import ConfigError, DataError, Interrupted, UsageError
from synsight.evaluation import (
    mean_over_draws,
    read_predictions,
    read_results,
    write_evaluation,
)
from synsight.workflow import compare

FAST = {"resamples": 200}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Ours needs a quarter of the labels of the network from scratch."""
    place = tmp_path_factory.mktemp("evaluations")
    write(place / "ours", {"ours": 4.0}, shots=(1, 2, 5, 10, 20, None), seed=1)
    write(place / "scratch", {"from scratch": 1.0}, task="supervised", shots=(1, 2, 5, 10, 20, 50), seed=2)
    return place


@pytest.fixture(autouse=True)
def without_page(monkeypatch):
    """The page has tests of its own."""

    def written(decision, folder, *, locale):
        (folder / "decision.html").write_text(f"{locale} {decision.candidate}")
        return [folder / "decision.html"]

    monkeypatch.setattr("synsight.reports.decision_page.write_decision_page", written)


def run(folders, tmp_path, *names, **changes):
    paths = [folders / one for one in names or ("ours", "scratch")]
    return compare(paths, out=tmp_path / "report", **{**FAST, **changes})


def test_a_quarter_of_the_labels_is_found_and_held_by_its_interval(folders, tmp_path):
    decision = run(folders, tmp_path).decision
    assert (decision.baseline, decision.baseline_reason) == ("from scratch", "from_scratch")
    assert (decision.candidate, decision.candidate_reason) == ("ours", "only")
    assert (decision.labels_in_use, decision.labels_in_use_total) == (10, 30)
    factor = decision.case.saving.factor
    assert factor.low < 4 < factor.high
    assert factor.value == pytest.approx(4, rel=0.3)
    assert decision.case.saving.against_labels.value == pytest.approx(30 * factor.value, rel=1e-4)


def test_what_the_baseline_never_reaches_is_said_to_lie_beyond(folders, tmp_path):
    last = run(folders, tmp_path).decision.case.savings[-1]
    assert last.labels == 300  # worth 1,200 of the baseline's, which was measured with 150
    assert (last.against_labels.value, last.against_labels.value_sign) == (150, ">")
    assert (last.factor.value, last.factor.value_sign) == (0.5, ">")


def test_the_difference_at_the_labels_in_use_is_paired_and_right(folders, tmp_path):
    found = run(folders, tmp_path).decision.case.difference
    assert (found.task, found.against_task, found.n_labels, found.paired) == (
        "fewshot",
        "supervised",
        10,
        True,
    )
    assert found.test_groups == 120
    assert found.difference.low < accuracy(4 * 30) - accuracy(30) + 0.03
    assert found.difference.low > 0.05
    assert (found.found, found.deciding) == ("better", True)
    assert found.p_value <= found.p_holm < 0.05


def test_equal_labels_agree_with_the_records(folders, tmp_path):
    decision = run(folders, tmp_path).decision
    for one in decision.case.equal_labels:
        for side, model in ((one.accuracy, "ours"), (one.against_accuracy, "from scratch")):
            known = [
                each.value
                for each in decision.results
                if (each.model, each.n_labels) == (model, one.labels_per_class)
            ]
            assert side.value == pytest.approx(np.mean(known), abs=1e-4)
    assert [one.labels_per_class for one in decision.case.equal_labels] == [1, 2, 5, 10, 20]


def test_with_errors_priced_it_pays_and_is_adopted(folders, tmp_path):
    summary = run(folders, tmp_path, error_costs="2", images_per_year="20000", engineer_hours="16..40")
    case = summary.decision.case
    plan = case.plan
    assert (summary.verdict, plan.kind) == ("adopt", "same_labels")
    errors = next(one for one in plan.lines if one.key == "errors")
    gain = next(one for one in case.equal_labels if one.labels_per_class == 10).difference.value
    assert errors.saving.value == pytest.approx(2 * 20_000 * gain, rel=1e-3)
    assert plan.payback_months.value == pytest.approx(28 * 40 / (errors.saving.value / 12), rel=1e-3)
    assert plan.net.value == pytest.approx(errors.saving.value - 28 * 40, rel=1e-3)
    assert {one.key for one in plan.drivers} == {"measurement", "engineer_hours"}


def test_without_a_price_of_errors_it_is_no_refusal(folders, tmp_path):
    summary = run(folders, tmp_path)
    assert summary.verdict == "adopt_with_conditions"
    assert [one.key for one in summary.decision.case.verdict.conditions] == ["errors_not_priced"]
    assert {one.key for one in summary.decision.left_out} == {"errors", "compute", "energy", "downtime"}


def test_every_default_is_listed_with_its_flag(folders, tmp_path):
    decision = run(folders, tmp_path, hourly_rate="50").decision
    origin = {one.key: (one.origin, one.flag) for one in decision.assumptions}
    assert origin["hourly_rate"] == ("given", "--hourly-rate")
    assert origin["label_minutes"] == ("default", "--label-minutes")
    assert origin["engineer_hours"] == ("default", "--engineer-hours")
    assert origin["horizon_months"] == ("default", "--horizon-months")
    assert origin["candidate_machine_time"] == ("measured", "")


def test_the_same_inputs_give_the_same_bytes(folders, tmp_path):
    changes = {"error_costs": "1..3", "images_per_year": "1e5", "label_minutes": "0.3..0.8"}
    for name in ("one", "two"):
        compare([folders / "ours", folders / "scratch"], out=tmp_path / name, **FAST, **changes)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")
    )
    assert one == two
    assert {"decision.json", "results.csv", "costs.csv", "savings.csv"} <= one.keys()


def test_a_report_is_written_over_and_anything_else_is_left_alone(folders, tmp_path):
    run(folders, tmp_path)
    run(folders, tmp_path, baseline="ours")
    assert json.loads((tmp_path / "report" / "decision.json").read_text())["baseline"] == "ours"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match=r"found 1 files such as 'thesis.tex'; choose another folder\.$"):
        compare([folders / "ours", folders / "scratch"], out=tmp_path / "mine")
    with pytest.raises(ConfigError, match="found a file"):
        compare([folders / "ours", folders / "scratch"], out=tmp_path / "mine" / "thesis.tex")


def test_the_best_of_several_candidates_leads_and_the_page_says_that_it_was_chosen(folders, tmp_path):
    write(tmp_path / "weak", {"weak": 1.2}, seed=3)
    paths = [tmp_path / "weak", folders / "ours", folders / "scratch"]
    decision = compare(paths, out=tmp_path / "report", **FAST).decision
    assert [one.model for one in decision.cases] == ["ours", "weak"]
    assert "chosen_on_test" in {one.key for one in decision.notes}
    named = compare(paths, out=tmp_path / "report", candidate="weak", **FAST).decision
    assert (named.candidate, named.candidate_reason) == ("weak", "named")
    assert [one.name for one in named.models] == ["from scratch", "weak", "ours"]


def test_other_test_images_are_compared_unpaired(folders, tmp_path):
    write(tmp_path / "other", {"other": 4.0}, prefix="image", seed=5)
    decision = compare([folders / "scratch", tmp_path / "other"], out=tmp_path / "report", **FAST).decision
    assert not decision.case.difference.paired
    assert decision.case.difference.difference.low is not None
    note = next(one for one in decision.notes if one.key == "unpaired")
    assert note.values == {"models": ["other"], "reason": "test_rows"}
    assert "not_paired" in {one.key for one in decision.case.verdict.conditions}


def test_a_foreign_file_is_compared_unpaired_and_without_an_interval(folders, tmp_path):
    write_foreign(tmp_path / "vit.json", acc1=0.8)
    decision = compare(
        [folders / "scratch", str(tmp_path / "*.json")], out=tmp_path / "report", **FAST
    ).decision
    found = decision.case.difference
    assert (found.model, found.paired, found.difference.low, found.found) == (
        "ViT-B-32 laion400m_e32",
        False,
        None,
        "none",
    )
    assert {"unpaired", "no_interval"} <= {one.key for one in decision.notes}
    write_foreign(tmp_path / "vit.json", acc1=0.8, n_test=1000)
    again = compare([folders / "scratch", tmp_path / "vit.json"], out=tmp_path / "report", **FAST).decision
    assert again.case.difference.difference.low is not None


def test_two_models_of_one_name_are_kept_apart(folders, tmp_path):
    write(tmp_path / "late", {"ours": 2.0}, seed=8, digest="another")
    paths = [folders / "ours", tmp_path / "late", folders / "scratch"]
    decision = compare(paths, out=tmp_path / "report", **FAST).decision
    assert {one.name for one in decision.models} == {"ours", "ours (late)", "from scratch"}
    assert "renamed" in {one.key for one in decision.notes}


def test_a_repeated_evaluation_counts_once(folders, tmp_path):
    paths = [folders / "ours", folders / "scratch"]
    once = compare(paths, out=tmp_path / "one", **FAST).decision
    write(tmp_path / "copy", {"ours": 4.0}, shots=(1, 2, 5, 10, 20, None), seed=1)
    twice = compare([*paths, tmp_path / "copy"], out=tmp_path / "two", **FAST).decision
    assert twice.case.savings == once.case.savings
    assert "repeated" in {one.key for one in twice.notes}


def test_leaks_that_an_evaluation_reports_are_conditions(folders, tmp_path):
    write(tmp_path / "seen", {"seen": 4.0}, seed=4, details={"seen_test_rows": 7})
    changes = {"error_costs": "2", "images_per_year": "20000"}
    paths = [folders / "scratch", tmp_path / "seen"]
    summary = compare(paths, out=tmp_path / "report", **FAST, **changes)
    assert summary.verdict == "adopt_with_conditions"
    condition = summary.decision.case.verdict.conditions[0]
    assert (condition.key, condition.values) == ("seen_rows", {"model": "seen", "rows": 7})


def test_seen_rows_and_near_copies_are_read_from_the_settings(folders, tmp_path):
    write(
        tmp_path / "late",
        {"ours": 2.0},
        digest="another",
        trained_on=[{"model": "ours", "seen_test_rows": 3, "test_rows": 240}],
        near_copies={"pool": "cat", "test_rows": 240, "near_copies": 5, "share": 0.02},
    )
    paths = [folders / "scratch", folders / "ours", tmp_path / "late"]
    flags = {"error_costs": "2", "images_per_year": "20000"}
    decision = compare(paths, out=tmp_path / "report", **FAST, **flags).decision
    conditions = {
        case.model: {(one.key, one.values.get("rows")) for one in case.verdict.conditions}
        for case in decision.cases
    }
    assert {("seen_rows", 3), ("near_copies", 5)} <= conditions["ours (late)"]
    assert not {"seen_rows", "near_copies"} & {key for key, _ in conditions["ours"]}


def test_a_pilots_folder_says_the_same_as_its_evaluations(folders, tmp_path):
    results, tables = [], []
    for name in ("ours", "scratch"):
        tables.append(read_predictions(folders / name))
        results += mean_over_draws(read_results(folders / name), tables[-1])
    predictions = pa.concat_tables(tables)
    found = [replace(results[0], metric="acc1_difference", details={"against": "from scratch"})]
    settings = {"label": "kind", "recipes": ["simclr"]}
    write_evaluation(tmp_path / "pilot", [*results, *found], predictions, settings=settings)
    one = compare(tmp_path / "pilot", out=tmp_path / "one", **FAST).decision
    two = run(folders, tmp_path).decision
    assert one.case.savings == two.case.savings
    assert one.case.difference == two.case.difference


def test_altered_test_images_are_no_comparisons_of_their_own(folders, tmp_path):
    write(tmp_path / "a", {"ours": 4.0}, task="corruptions:fog", seed=1)
    write(tmp_path / "b", {"from scratch": 1.0}, task="corruptions:fog", seed=2)
    for name in ("a", "b"):
        settings = tmp_path / name / "evaluation.json"
        told = json.loads(settings.read_text())
        told["models"] = []  # as the same models' own second evaluation, whose digest is not written down
        settings.write_text(json.dumps(told))
    paths = [folders / "ours", folders / "scratch", tmp_path / "a", tmp_path / "b"]
    decision = compare(paths, out=tmp_path / "report", **FAST).decision
    assert {one.task for one in decision.differences} == {"fewshot"}
    assert "corruptions:fog" in {one.task for one in decision.results}


def test_points_on_other_test_images_are_left_off_the_curves(folders, tmp_path):
    few = write(tmp_path / "few", {"ours": 4.0}, shots=(50,), rows=160, prefix="part", seed=1)
    paths = [folders / "ours", few, folders / "scratch"]
    decision = compare(paths, out=tmp_path / "report", **FAST).decision
    assert 50 not in {one.labels_per_class for one in decision.curve if one.model == "ours"}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"baseline": "from scrach"}, UsageError, "did you mean 'from scratch'"),
        ({"candidate": "our"}, UsageError, "did you mean 'ours'"),
        ({"labels_per_class": 7}, UsageError, "not asked with 7; they were with: 1, 2, 5, 10, 20"),
        ({"metric": "acc2"}, UsageError, "did you mean 'acc1'"),
        ({"locale": "fr"}, UsageError, "expected en or ja"),
        ({"currency": "euro"}, UsageError, "three letters"),
        ({"alpha": 2}, UsageError, "--alpha: expected a number above 0 and below 1, as 0.05; got 2"),
        ({"least_gain": 5}, UsageError, "0.01 is one point"),
        ({"most_payback_months": -1}, UsageError, "not below 0"),
        ({"label_minutes": "a while"}, UsageError, "--label-minutes: expected a number"),
        ({"label_minutes": "1", "label_cost": "1"}, UsageError, "not both"),
        ({"horizon_months": "0"}, UsageError, "above zero"),
        ({"error_costs": "none.csv"}, DataError, "found nothing"),
        ({"class_mix": "scratch=0.1"}, UsageError, "no test image is of a class 'scratch'"),
    ],
)
def test_a_wrong_choice_is_one_sentence(folders, tmp_path, changes, error, said):
    with pytest.raises(error, match=said) as caught:
        run(folders, tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_what_cannot_be_read_is_one_sentence(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    write(tmp_path / "by_size", {"other": 1.0}, label="size")
    cases = {
        tmp_path / "empty": "results.json: expected a JSON file, found nothing",
        tmp_path / "absent": "found nothing; check the path",
        tmp_path / "notes.txt": "found another file",
        str(tmp_path / "*.nothing"): "nothing has such a name",
        tmp_path / "by_size": "judges by the label 'kind'.* by 'size'",
    }
    for path, said in cases.items():
        with pytest.raises(DataError, match=said):
            compare([folders / "ours", path], out=tmp_path / "report")
    with pytest.raises(DataError, match="needs two models; found 'ours' alone"):
        compare(folders / "ours", out=tmp_path / "report")
    with pytest.raises(UsageError, match="needs evaluations"):
        compare([], out=tmp_path / "report")


def test_rows_with_two_truths_are_refused(folders, tmp_path):
    write(tmp_path / "swapped", {"other": 1.0}, classes=CLASSES[::-1])
    with pytest.raises(DataError, match=r"test row 'row0000' is labelled 'dent', but 'ok' in .*ours"):
        compare([folders / "ours", tmp_path / "swapped"], out=tmp_path / "report")


def test_stopped_by_hand_it_says_so(folders, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("synsight.reports.decision_page.write_decision_page", stop)
    with pytest.raises(Interrupted, match=r"compare was stopped; .* run the same command again\.$"):
        run(folders, tmp_path)
    assert not (tmp_path / "report" / "decision.json").exists()


def test_hostile_names_run_nothing_in_a_spreadsheet(folders, tmp_path):
    hostile = "=cmd|' /C calc'!A1"
    write(tmp_path / "hostile", {hostile: 4.0}, seed=6)
    compare([folders / "scratch", tmp_path / "hostile"], out=tmp_path / "report", **FAST)
    for path in (tmp_path / "report").glob("*.csv"):
        for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()):
            for cell in row:
                assert not re.match(r"[=+@\t\r]|-(?![\d.])", cell), (path.name, cell)


def test_the_verb_is_a_function_of_the_package():
    assert synsight.compare is compare
