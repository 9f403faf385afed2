import numpy as np
import pytest

from synsight.errors import DataError, UsageError
from synsight.workflow.compare_curves import Curves, Point
from synsight.workflow.error_costs import (
    confusions,
    drawn_prices,
    error_pairs,
    never_missed,
    read_class_mix,
    read_error_costs,
)

CLASSES = ("crack", "dent", "ok")
TRUTHS = np.array(["ok"] * 6 + ["crack"] * 2 + ["dent"] * 2, dtype=object)


def point(*answers, n_labels=10):
    predicted = np.array([list(one) for one in answers], dtype=object)
    return Point("fewshot", n_labels, 30, tuple(range(len(answers))), predicted == TRUTHS, predicted)


def curves(*points):
    groups = np.arange(len(TRUTHS))
    return Curves(
        np.arange(len(TRUTHS)).astype(str).astype(object), TRUTHS, groups, {"m": points}, "acc1", 400
    )


def table(tmp_path, text):
    path = tmp_path / "costs.csv"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = ["ok"] * 6 + ["crack"] * 2 + ["dent"] * 2
MISSES = ["ok"] * 5 + ["crack"] + ["crack", "ok"] + ["dent"] * 2


def test_a_missed_defect_is_not_a_false_alarm(tmp_path):
    costs = read_error_costs(table(tmp_path, "truth,predicted,cost\ncrack,ok,200\nok,*,2\n"), classes=CLASSES)
    assert costs.price("crack", "ok").centre == 200
    assert costs.price("ok", "crack").centre == costs.price("ok", "dent").centre == 2
    assert costs.price("ok", "ok").centre == 0
    assert costs.price("dent", "ok").centre == pytest.approx(101), "not named: the mean of the rows"
    assert [costs.is_named(*pair) for pair in (("crack", "ok"), ("dent", "ok"))] == [True, False]


def test_the_nearer_row_goes_before_the_star(tmp_path):
    text = "truth,predicted,cost\n*,*,1\ncrack,*,50\n*,ok,9\ncrack,ok,200\n"
    costs = read_error_costs(table(tmp_path, text), classes=CLASSES)
    asked = [("crack", "ok"), ("crack", "dent"), ("dent", "ok"), ("ok", "dent")]
    assert [costs.price(*pair).centre for pair in asked] == [200, 50, 9, 1]


def test_one_number_prices_every_error():
    costs = read_error_costs("1..3", classes=CLASSES)
    assert (costs.price("crack", "ok").low, costs.price("ok", "dent").high) == (1, 3)


def test_the_bill_is_the_sum_over_pairs_by_hand(tmp_path):
    costs = read_error_costs(
        table(tmp_path, "truth,predicted,cost\ncrack,ok,200\nok,crack,2\n"), classes=CLASSES
    )
    good, bad = point(GOOD), point(MISSES, GOOD)  # the second draw makes no error
    made = curves(good, bad)
    mix = read_class_mix("", truths=TRUTHS)
    found = confusions(made, good, bad, costs=costs, mix=mix)
    assert found.pairs == [("crack", "ok"), ("ok", "crack")]
    assert (found.baseline == 0).all()
    # One draw of two misses half of the cracks (2 of 10) and calls one of six good parts (6 of 10) a crack.
    assert found.candidate[0] == pytest.approx([0.5 / 2 * 0.2, 1 / 6 / 2 * 0.6])
    prices = drawn_prices(costs, found.pairs, resamples=400)
    pairs = error_pairs(found, costs, prices=prices, images=np.full(401, 1000.0))
    assert pairs[0].candidate_per_year.value == pytest.approx(0.05 * 200 * 1000)
    assert pairs[1].candidate_per_year.value == pytest.approx(0.05 * 2 * 1000)


def test_the_mix_of_production_replaces_that_of_the_test(tmp_path):
    costs = read_error_costs("1", classes=CLASSES)
    bad = point(MISSES)
    mix = read_class_mix("crack=0.01", truths=TRUTHS)
    assert mix == pytest.approx({"crack": 0.01, "dent": 0.99 * 2 / 8, "ok": 0.99 * 6 / 8})
    found = confusions(curves(bad), bad, bad, costs=costs, mix=mix)
    assert dict(zip(found.pairs, found.candidate[0], strict=True)) == pytest.approx(
        {("crack", "ok"): 0.5 * 0.01, ("ok", "crack"): 1 / 6 * 0.99 * 6 / 8}
    )
    assert (found.candidate <= 1).all() and (found.candidate >= 0).all()


def test_class_mix_from_a_file_and_from_text_agree(tmp_path):
    path = tmp_path / "mix.csv"
    path.write_text("class,share\ncrack,0.25\ndent,0.25\nok,0.5\n")
    text = read_class_mix("crack=0.25,dent=0.25,ok=0.5", truths=TRUTHS)
    assert read_class_mix(str(path), truths=TRUTHS) == text == {"crack": 0.25, "dent": 0.25, "ok": 0.5}


def test_a_class_without_an_error_is_no_class_without_errors():
    costs = read_error_costs("1", classes=CLASSES)
    unseen = {one.truth: one for one in never_missed(curves(point(MISSES)), point(MISSES), costs=costs)}
    assert set(unseen) == {"dent"}
    assert unseen["dent"].groups == 2
    assert (1 - unseen["dent"].most_rate) ** 2 == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "truth,predicted,cost\ncrak,ok,2\n",
            "line 2: no test image or answer is 'crak'; did you mean 'crack'",
        ),
        ("truth,predicted\ncrack,ok\n", "found no 'cost'; add it"),
        ("truth,predicted,cost\n", "found none"),
        ("truth,predicted,cost\ncrack,ok,2\ncrack,ok,3\n", "line 3: 'crack' as 'ok' has a price already"),
    ],
)
def test_a_damaged_table_is_one_sentence(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_error_costs(table(tmp_path, text), classes=CLASSES)


def test_a_price_that_is_none_names_its_line(tmp_path):
    with pytest.raises(UsageError, match="line 2, cost: expected a number"):
        read_error_costs(table(tmp_path, "truth,predicted,cost\ncrack,ok,much\n"), classes=CLASSES)
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"\xff\xfe\x00truth")
    with pytest.raises(DataError, match="expected a table in UTF-8"):
        read_error_costs(path, classes=CLASSES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crack=0.7,dent=0.7", "the sum is 1.4"),
        ("crack=0.1,dent=0.1,ok=0.1", "the sum is 0.3"),
        ("krack=0.1", "did you mean 'crack'"),
        ("crack=0.1..0.2", "expected one share"),
    ],
)
def test_a_wrong_mix_is_one_sentence(text, said):
    with pytest.raises(UsageError, match=said):
        read_class_mix(text, truths=TRUTHS)


def test_luck_that_both_models_share_does_not_widen_what_is_between_them():
    """Ten draws of labels with much luck, models that err alike: only rows tell them apart."""
    rng = np.random.default_rng(0)
    levels = np.linspace(0.05, 0.4, 10)[:, None]
    truths = np.array(["ok"] * 600, dtype=object)
    sides = []
    for _ in range(2):
        answers = np.where(rng.random((10, 600)) < levels, "crack", "ok").astype(object)
        sides.append(Point("fewshot", 10, 30, tuple(range(10)), answers == truths, answers))
    ids = np.arange(600).astype(str).astype(object)
    whole = Curves(ids, truths, np.arange(600), {"a": sides[:1], "b": sides[1:]}, "acc1", 1000)
    costs = read_error_costs("1", classes=("crack", "ok"))
    found = confusions(whole, sides[0], sides[1], costs=costs, mix={"ok": 1.0})
    apart = (found.baseline - found.candidate)[1:, 0]
    by_rows = np.sqrt(2 * (levels * (1 - levels)).mean() / (10 * 600))
    assert 0.8 < apart.std() / by_rows < 1.2  # 1.4 where each model's luck hides what draw and row do
    luck = levels.std(ddof=1) / np.sqrt(10)
    assert found.baseline[1:, 0].std() > luck, "each by itself keeps the luck"
