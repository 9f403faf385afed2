import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synsight.errors import UsageError
from synsight.workflow.amounts import read_amount
from synsight.workflow.costs import Measured, deciding, draw_inputs, plans
from synsight.workflow.prices import left_out, read_prices

R = 400


def inputs(prices=None, **given_):
    amounts = {name: read_amount(value, name=name) for name, value in given_.items()}
    return draw_inputs(amounts, resamples=R, prices=prices)


def full(value):
    return np.full(R + 1, float(value))


LABELS = Measured(labels=80, against_labels=full(320), least_labels=8, most_labels=500)
PAID = {"label_minutes": "0.5", "hourly_rate": "60", "engineer_hours": "2"}


def line(plan, key):
    return next(one for one in plan.lines if one.key == key)


def test_labels_saved_are_paid_by_hand():
    (plan,) = plans(LABELS, inputs(**PAID), horizon_months=12, resamples=R)
    assert plan.kind == "same_accuracy"
    assert line(plan, "labelling").saving.value == 240 * 0.5  # half a minute at 60 an hour is 0.5 a label
    assert line(plan, "engineering").saving.value == -120
    assert (plan.once.value, plan.per_month.value, plan.net.value) == (0, 0, 0)
    assert plan.payback_months.value == 0


def test_compute_energy_and_downtime_by_hand():
    measured = Measured(
        labels=80,
        against_labels=full(80),
        least_labels=8,
        most_labels=500,
        baseline_seconds=3600,
        candidate_seconds=7200,
    )
    given_ = {
        "label_cost": "1",
        "pretraining_hours": "3",
        "machine_rate_per_hour": "4",
        "electricity_price": "0.25",
        "watts": "400",
        "downtime_minutes": "30",
        "downtime_cost_per_hour": "1000",
    }
    (plan,) = plans(measured, inputs(**given_), horizon_months=12, resamples=R)
    found = {one.key: (one.baseline.value, one.candidate.value) for one in plan.lines}
    assert found == {
        "labelling": (80, 80),
        "compute": (4, 20),
        "energy": (0.1, 0.5),
        "downtime": (0, 500),
    }
    assert plan.once.value == pytest.approx(-16 - 0.4 - 500)
    assert plan.payback_months.value_sign == "never"


def test_errors_pay_back_month_by_month():
    measured = Measured(baseline_rates=full(0.02)[:, None], candidate_rates=full(0.01)[:, None])
    given_ = inputs(full(3)[:, None], images_per_year="100000", engineer_hours="20", hourly_rate="50")
    (plan,) = plans(measured, given_, horizon_months=24, resamples=R)
    assert plan.kind == "same_labels"
    assert line(plan, "errors").baseline_quantity.value == 2000
    assert plan.per_month.value == 3000 / 12
    assert plan.payback_months.value == pytest.approx(1000 / 250)
    assert plan.net.value == pytest.approx(24 * 250 - 1000)


def test_beyond_the_measured_labels_only_those_count_and_the_figure_says_at_least():
    beyond = Measured(labels=80, against_labels=full(np.inf), least_labels=8, most_labels=500)
    (plan,) = plans(beyond, inputs(**PAID), horizon_months=12, resamples=R)
    saving = line(plan, "labelling").saving
    assert (saving.value, saving.value_sign, saving.low_sign) == (210, ">", ">")
    assert (plan.net.value, plan.net.value_sign) == (90, ">")


def test_an_uncertain_input_gives_an_interval_and_leads_the_ranking():
    rng = np.random.default_rng(0)
    read = np.concatenate([[320.0], rng.normal(320, 5, R)])
    measured = Measured(labels=80, against_labels=read, least_labels=8, most_labels=500)
    given_ = {**PAID, "label_minutes": "0.2..0.8", "engineer_hours": "1.9..2.1"}
    (plan,) = plans(measured, inputs(**given_), horizon_months=12, resamples=R)
    assert [one.key for one in plan.drivers] == ["label_minutes", "engineer_hours", "measurement"]
    first = plan.drivers[0]
    assert (first.low, first.high) == pytest.approx((240 * 0.215 - 120, 240 * 0.785 - 120), abs=6)
    assert first.input_text == "0.2..0.8"
    widest = plan.net.high - plan.net.low
    assert first.high - first.low <= widest * 1.02, "all together move it at least as far as one alone"


def test_nothing_uncertain_has_no_interval_and_no_ranking():
    (plan,) = plans(LABELS, inputs(**PAID), horizon_months=12, resamples=R)
    assert (plan.net.low, plan.net.high, plan.drivers) == (0, 0, [])


def test_without_a_price_there_is_no_plan():
    assert plans(LABELS, inputs(hourly_rate="40"), horizon_months=12, resamples=R) == []
    assert plans(Measured(), inputs(**PAID), horizon_months=12, resamples=R) == []


def test_the_plan_that_pays_sooner_decides():
    measured = Measured(
        labels=80,
        against_labels=full(90),
        least_labels=8,
        most_labels=500,
        baseline_rates=full(0.02)[:, None],
        candidate_rates=full(0.01)[:, None],
    )
    given_ = inputs(full(3)[:, None], images_per_year="100000", **PAID)
    both = deciding(plans(measured, given_, horizon_months=12, resamples=R))
    assert [(one.kind, one.deciding) for one in both] == [("same_accuracy", False), ("same_labels", True)]
    assert deciding([]) == []


@given(st.floats(0, 500), st.floats(0, 500), st.floats(0.1, 40))
def test_more_labels_saved_never_pay_later(labels, more, hours):
    given_ = inputs(**{**PAID, "engineer_hours": str(hours)})

    def months(number):
        measured = Measured(labels=80, against_labels=full(number), least_labels=8, most_labels=2000)
        found = plans(measured, given_, horizon_months=12, resamples=R)[0].payback_months.value
        return np.inf if found is None else found

    assert months(labels + 8 + more) <= months(labels + 8)


def test_defaults_depend_on_the_currency_and_are_listed():
    yen, dollars = (read_prices({}, currency=None, locale=locale) for locale in ("ja", "en"))
    assert (yen.currency, yen.amounts["hourly_rate"].centre) == ("JPY", 4000)
    assert (dollars.currency, dollars.amounts["hourly_rate"].centre) == ("USD", 40)
    assert {one.key for one in yen.assumptions} == {
        "label_minutes",
        "hourly_rate",
        "engineer_hours",
        "horizon_months",
    }
    krona = read_prices({"label_cost": "2"}, currency="sek", locale="en")
    assert not krona.has("hourly_rate") and not krona.has("label_minutes")
    missing = left_out(krona, errors_priced=True, unknown_training=False, curve=True)
    assert [one.key for one in missing] == ["engineering", "compute", "energy", "downtime"]


def test_yen_is_no_code_of_a_currency_and_its_code_is_named():
    with pytest.raises(UsageError, match="ISO 4217 as JPY; got 'YEN'"):
        read_prices({}, currency="yen", locale="ja")


def test_a_currency_is_three_letters():
    with pytest.raises(UsageError, match="three letters"):
        read_prices({}, currency="€", locale="en")
