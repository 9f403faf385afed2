import csv
import dataclasses
import io
import re

import pages
import pytest
from rich.console import Console
from test_page import HOSTILE, Shape, drawn_apart

from synsight.reports import choice, failed_models, probes, result_table, terminal_table
from synsight.reports.sweep_figures import axes_of, transfer_chart
from synsight.reports.sweep_page import render_sweep


@pytest.fixture(scope="module")
def drawn():
    return transfer_chart(means(), pages.sweep_runs())


def means():
    return [one for one in pages.sweep_results() if not one.metric.endswith("_difference")]


def test_the_page_has_a_table_a_figure_and_the_runs_of_a_sweep():
    html = render_sweep(pages.sweep_page())
    for part in ("catlip leads on validation images", "emoji: category", "failed (see below)", "Every run"):
        assert part in html
    assert html.count("<svg") == 1
    assert "0.640, mean of 3 seeds" in html
    assert "seeds 0.620 to 0.640" in html


def test_each_probe_has_its_own_table():
    results = [*pages.sweep_results(), *pages.sweep_results(probe="clipart: category")]
    html = render_sweep(dataclasses.replace(pages.sweep_page(), results=results))
    assert re.findall("<h2>(.*: category)</h2>", html) == ["emoji: category", "clipart: category"]
    assert html.count("<svg") == 2
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert [len(found) for found in probes(results).values()] == [7, 7]


def test_the_best_is_chosen_by_the_mean_of_the_monitors_on_validation_images():
    found = choice(pages.sweep_runs())
    assert (found.model, found.monitor, found.seeds) == ("catlip", "knn_acc1", 3)
    assert found.value == pytest.approx(0.64)


def test_monitors_that_read_different_things_choose_nothing():
    runs = pages.sweep_runs()
    other = [dataclasses.replace(run, monitor="rankme") if run.model == "simclr" else run for run in runs]
    blind = [dataclasses.replace(run, best_value=None) if run.model == "simclr" else run for run in runs]
    assert choice(other) is None
    assert choice(blind) is None
    assert choice([]) is None


def test_a_model_counts_as_failed_when_none_of_its_runs_came_to_an_end():
    one, *rest = pages.sweep_runs(seeds=(0,))
    assert failed_models([one, *(dataclasses.replace(run, failure="nan") for run in rest)]) == [
        "simclr",
        "catlip",
    ]
    half = [dataclasses.replace(run, failure="nan") if run.seed == 0 else run for run in pages.sweep_runs()]
    assert failed_models(half) == []


def test_the_terminal_has_a_line_for_a_model_that_failed():
    out = io.StringIO()
    Console(file=out, width=100).print(terminal_table(means(), title="emoji: category", failed=["clip"]))
    lines = out.getvalue().splitlines()
    assert lines[0].strip() == "emoji: category"
    assert next(line for line in lines if line.startswith("clip")).split() == ["clip", "failed", "failed"]


def test_the_notes_speak_of_training_seeds():
    said = " ".join(result_table(means()).notes)
    assert "Mean of 3 training seeds (0, 1, 2)" in said
    assert "mean of 9 draws" in said
    one = pages.sweep_results(seeds=(4,))[:-1]
    assert "One training seed (4)" in " ".join(result_table(one).notes)
    fewer = [
        dataclasses.replace(means()[0], details={**means()[0].details, "training_seeds": [0]}),
        *means()[1:],
    ]
    assert "Some models have fewer" in " ".join(result_table(fewer).notes)


def test_transfer_is_drawn_against_rank_and_time_and_widths_that_differ():
    runs = pages.sweep_runs()
    assert [axis.title for axis in axes_of(runs)] == ["effective rank (RankMe)", "pretraining minutes"]
    wide = [dataclasses.replace(run, embedding_dim=2048) if run.model == "catlip" else run for run in runs]
    wide = [
        dataclasses.replace(run, axes={"method.projection_dim": 64 * (1 + run.seed)})
        if run.recipe != "random"
        else run
        for run in wide
    ]
    assert [axis.title for axis in axes_of(wide)][:2] == ["embedding dimension", "projection dimension"]


def test_a_point_stands_at_the_means_of_its_seeds(drawn):
    rows = list(csv.DictReader(io.StringIO(drawn.csv)))
    points = {(row["question"], row["against"], row["model"]): row for row in rows}
    catlip = points["kNN acc1", "effective rank (RankMe)", "catlip"]
    assert (float(catlip["x"]), float(catlip["value"])) == (92.0, 0.63)
    assert catlip["seed_values"] == "0.62 0.63 0.64"
    minutes = points["10 labels/class", "pretraining minutes", "simclr"]
    assert float(minutes["x"]) == pytest.approx(111 / 60, abs=1e-4)
    assert ("kNN acc1", "pretraining minutes", "random encoder") not in points


def test_chance_and_the_untrained_encoder_are_drawn_in_every_panel(drawn):
    assert drawn.svg.count(">chance<") == 4
    for panel in drawn.figure.axes:
        levels = {line.get_ydata()[0] for line in panel.lines if list(line.get_xdata()) == [0, 1]}
        assert 0.206 in levels
        assert levels & {0.25, 0.15}


def test_more_recipes_than_colours_are_told_apart_by_hollow_markers():
    names = [f"recipe{number}" for number in range(8)]
    one = pages.sweep_runs(seeds=(0,))[1]
    runs = [dataclasses.replace(one, model=name, recipe=name) for name in names]
    results = [dataclasses.replace(means()[2], model=name) for name in names]
    (legend,) = transfer_chart(results, runs).figure.legends
    looks = {
        (line.get_color(), line.get_marker(), line.get_markerfacecolor()) for line in legend.legend_handles
    }
    assert len(looks) == 8


def test_lines_join_what_differs_in_the_width_alone():
    one = pages.sweep_runs(seeds=(0,))[1]
    cells = [(dim, encoder) for dim in (64, 128) for encoder in ("resnet18", "resnet50")]
    runs = [
        dataclasses.replace(
            one,
            model=f"{dim} {encoder}",
            encoder=encoder,
            embedding_dim=512 if encoder == "resnet18" else 2048,
            axes={"encoder": encoder, "method.projection_dim": dim},
        )
        for dim, encoder in cells
    ]
    results = [dataclasses.replace(means()[2], model=run.model) for run in runs]
    embedding, projection, *_ = transfer_chart(results, runs).figure.axes
    assert {text.get_text() for text in embedding.texts} == {"64", "128", "chance"}
    assert {text.get_text() for text in projection.texts} == {"resnet18", "resnet50", "chance"}


def test_without_results_there_is_no_figure_but_a_page():
    failed = [dataclasses.replace(run, failure="nan") for run in pages.sweep_runs()]
    assert transfer_chart([], failed) is None
    html = render_sweep(dataclasses.replace(pages.sweep_page(), results=[], runs=failed))
    assert "9 of them failed" in html


@pytest.mark.parametrize("first", range(0, len(HOSTILE), 9))
def test_hostile_text_in_every_field_makes_no_element(first):
    text = " ".join(HOSTILE[first : first + 9])
    html = render_sweep(pages.sweep_page(text))
    plain = render_sweep(pages.sweep_page("a caption"))
    assert Shape(drawn_apart(html)).elements == Shape(drawn_apart(plain)).elements
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", html)
    html.encode("utf-8")
