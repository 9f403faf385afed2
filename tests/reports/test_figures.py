import csv
import dataclasses
import io
from xml.etree import ElementTree

import pages
import pytest

from synsight.reports.chart import SERIES, Chart
from synsight.reports.figures import label_curve, result_chart, training_chart, vocabulary_chart


def charts():
    words = pages.page("").words
    return {
        "results": result_chart(pages.results()),
        "labels": label_curve(pages.results(numbers=(1, 10))),
        "run0": training_chart(pages.run()),
        "vocabulary": vocabulary_chart(words),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, Chart]:
    return charts()


def test_a_chart_is_one_well_formed_drawing_without_style(drawn):
    for chart in drawn.values():
        root = ElementTree.fromstring(chart.svg)
        assert root.attrib["role"] == "img"
        for element in root.iter():
            assert "style" not in element.attrib
            assert element.tag.rpartition("}")[2] not in {"style", "script", "metadata", "image"}


def test_ink_takes_the_colour_of_the_page(drawn):
    for chart in drawn.values():
        assert "currentColor" in chart.svg
        assert "#010203" not in chart.svg
        assert "#000000" not in chart.svg


def test_the_data_beside_a_figure_are_the_records(drawn):
    rows = list(csv.DictReader(io.StringIO(drawn["results"].csv)))
    assert [(row["model"], float(row["value"])) for row in rows if row["n_labels"] == "10"] == list(
        pages.MODELS.items()
    )


def test_cells_that_a_spreadsheet_would_run_are_defused(drawn):
    chart = dataclasses.replace(drawn["results"], rows=(("=1+1", -0.5), ("@x", 1), ("plain", 2)))
    rows = list(csv.reader(io.StringIO(chart.csv)))[1:]
    assert rows == [["'=1+1", "-0.5"], ["'@x", "1"], ["plain", "2"]]


def test_the_result_chart_has_a_panel_for_each_question_and_draws_chance(drawn):
    titles = [axes.get_title(loc="left") for axes in drawn["results"].figure.axes]
    assert titles == ["kNN acc1", "10 labels/class"]
    assert drawn["results"].svg.count(">chance<") == 2


def test_the_whiskers_of_a_result_end_at_its_interval(drawn):
    panel = drawn["results"].figure.axes[1]
    ends = [tuple(segment[:, 0]) for bar in panel.collections for segment in bar.get_segments()]
    assert ends == [pytest.approx((value - 0.04, value + 0.04)) for value in pages.MODELS.values()]


def test_the_peak_of_a_run_is_marked_at_its_best_step(drawn):
    upper, lower = drawn["run0"].figure.axes
    star = next(line for line in upper.lines if line.get_marker() == "*")
    assert list(star.get_xdata()) == [200]
    assert list(star.get_ydata()) == [0.4]
    assert upper.get_shared_x_axes().joined(upper, lower)
    assert "peak 0.400 at step 200" in drawn["run0"].svg


def test_models_named_first_keep_their_colours_over_the_charts_of_a_page():
    chart = label_curve(pages.results(numbers=(1, 10)), first=["CatLIP (captions)"])
    colours = {text: bars.lines[0].get_color() for text, bars in labelled(chart)}
    assert colours["CatLIP (captions)"] == SERIES[0][0]
    assert len(set(colours.values())) == len(colours)


def labelled(chart):
    axes = chart.figure.axes[0]
    handles, labels = axes.get_legend_handles_labels()
    return zip(labels, handles, strict=True)


def test_the_colours_differ_in_lightness():
    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [lightness(colour) for colour, _, _ in SERIES]
    assert all(0.2 < shade < 0.7 for shade in shades)
    assert len({(marker, dash) for _, marker, dash in SERIES}) == len(SERIES)


def test_where_there_is_nothing_to_draw_there_is_no_chart():
    words = dataclasses.replace(pages.page().words, top=())
    assert vocabulary_chart(words) is None
    assert result_chart([]) is None
    assert label_curve(pages.results()) is None
    assert training_chart(dataclasses.replace(pages.run(), curve=[])) is None
