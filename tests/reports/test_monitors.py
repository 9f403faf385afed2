import csv
import dataclasses
import io

import pages
import pytest

from synsight.reports import ReportPage, render
from synsight.reports.monitors import monitors_chart, readings


@pytest.fixture(scope="module")
def drawn():
    return monitors_chart(pages.monitored_run())


def titled(chart):
    return {panel.get_title(loc="left"): panel for panel in chart.figure.axes if panel.get_title(loc="left")}


def test_every_reading_has_a_panel_and_the_loss_is_the_last(drawn):
    assert list(titled(drawn)) == [
        "k-NN acc1",
        "few-shot acc1",
        "RankMe",
        "LiDAR",
        "feature spread",
        "alignment",
        "uniformity",
        "training loss",
    ]


def test_the_panels_share_the_axis_of_steps(drawn):
    panels = list(titled(drawn).values())
    assert all(panels[0].get_shared_x_axes().joined(panels[0], panel) for panel in panels)


def test_times_and_errors_are_no_readings(drawn):
    assert set(readings(pages.monitored_run())) == {*pages.READINGS, "loss"}


def test_a_reading_that_nobody_named_is_drawn_too():
    run = pages.monitored_run()
    curve = [{**row, "depth": 1.0} if row["kind"] == "monitor" else row for row in run.curve]
    assert "depth" in titled(monitors_chart(dataclasses.replace(run, curve=curve)))


def test_the_peak_is_marked_in_every_panel_and_starred_where_it_was_found(drawn):
    for title, panel in titled(drawn).items():
        upright = [line for line in panel.lines if list(line.get_xdata()) == [200, 200]]
        stars = [line for line in panel.lines if line.get_marker() == "*"]
        assert len(upright) == 1
        assert len(stars) == (title == "k-NN acc1")
    assert "peak 0.500" in drawn.svg


def test_the_band_is_twice_the_standard_error_of_the_deciding_reading(drawn):
    panels = titled(drawn)
    (band,) = panels["k-NN acc1"].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.4 - 1.96 * 0.01, 0.5 + 1.96 * 0.01))
    assert "95% interval" in drawn.description
    assert not panels["RankMe"].collections


def test_chance_is_a_dashed_line_where_the_rows_say_it():
    run = pages.monitored_run()
    told = {"knn_acc1_chance": 0.25, "fewshot_acc1_chance": 0.2}
    curve = [{**row, **told} if row["kind"] == "monitor" else row for row in run.curve]
    chart = monitors_chart(dataclasses.replace(run, curve=curve))
    flat = {
        title: [float(line.get_ydata()[0]) for line in panel.lines if len(set(line.get_ydata())) == 1]
        for title, panel in titled(chart).items()
    }
    assert 0.25 in flat["k-NN acc1"] and 0.2 in flat["few-shot acc1"]
    assert 0.25 not in flat["RankMe"]
    low, high = titled(chart)["k-NN acc1"].get_ylim()
    assert low < 0.25 < 0.5 < high
    assert "Dashed: chance" in chart.description
    assert set(readings(dataclasses.replace(run, curve=curve))) == {*pages.READINGS, "loss"}


def test_older_runs_have_no_line_of_chance(drawn):
    assert "chance" not in drawn.description


def test_the_wall_time_stands_above_the_steps_it_belongs_to(drawn):
    (above,) = titled(drawn)["k-NN acc1"].child_axes
    marks = {
        label.get_text(): place
        for label, place in zip(above.get_xticklabels(), above.get_xticks(), strict=True)
    }
    assert above.get_xlabel() == "minutes"
    assert marks["1"] == pytest.approx(120)  # half a second a step


def test_the_data_beside_it_are_the_rows_of_the_run(drawn):
    rows = list(csv.DictReader(io.StringIO(drawn.csv)))
    knn = [(int(row["step"]), float(row["value"])) for row in rows if row["reading"] == "knn_acc1"]
    assert knn == [(100, 0.4), (200, 0.5), (300, 0.4)]
    assert len(rows) == 3 * len(pages.READINGS) + 30


def test_a_run_without_a_monitor_shows_its_loss():
    run = pages.monitored_run()
    curve = [row for row in run.curve if row["kind"] == "train"]
    bare = dataclasses.replace(run, curve=curve, monitor="none: no label", best_value=None)
    chart = monitors_chart(bare)
    assert list(titled(chart)) == ["training loss"]
    assert "star" not in chart.description
    assert monitors_chart(dataclasses.replace(bare, curve=[])) is None


def test_the_page_of_a_run_says_why_it_ended():
    run = pages.monitored_run()
    html = render(ReportPage(title="run", runs=[run]))
    assert "300 steps in 2.5 minutes. Knn_acc1 peaked at step 200 and later training lost 0.1." in html
    ended = dataclasses.replace(run, stopped_because="finished")
    assert "It took all its steps." in render(ReportPage(title="run", runs=[ended]))


def test_on_a_page_of_several_runs_all_readings_can_be_opened():
    other = dataclasses.replace(pages.monitored_run(), name="SimCLR")
    html = render(ReportPage(title="runs", runs=[pages.monitored_run(), other]))
    assert html.count("<svg") == 4
    assert "All readings of LGSimCLR" in html
    assert "All readings of SimCLR" in html
