import dataclasses
import io

import pages
import pytest
from rich.console import Console

from synsight.records import Result
from synsight.reports import (
    fact_table,
    interval_text,
    question_table,
    result_table,
    terminal_table,
    verdict,
)
from synsight.reports.summary import difference_table


def test_models_are_rows_and_questions_are_columns():
    table = result_table(pages.results())
    assert [column.title for column in table.columns] == ["kNN acc1", "10 labels/class"]
    assert [row.model for row in table.rows] == list(pages.MODELS)
    assert table.chance == (0.206, 0.206)
    assert table.best(1) == 0.524


def test_a_network_trained_on_few_labels_shares_the_few_label_column():
    results = pages.results({"a": 0.5}, numbers=(10,))
    trained = dataclasses.replace(results[0], model="b", task="supervised")
    table = result_table([*results, trained])
    assert len(table.columns) == 1
    assert [row.cells[0].model for row in table.rows] == ["a", "b"]


def test_the_record_of_the_mean_is_taken_before_those_of_single_draws():
    mean = pages.results({"a": 0.5}, numbers=(10,))[0]
    draws = [dataclasses.replace(mean, seed=seed, value=0.4 + seed / 10, details={}) for seed in range(3)]
    assert result_table([*draws, mean]).rows[0].cells[0] is mean
    assert result_table(draws[::-1]).rows[0].cells[0] is draws[0]


def test_a_question_not_asked_is_an_empty_cell():
    results = pages.results({"a": 0.5}) + pages.results({"b": 0.4}, numbers=(10,))
    assert result_table(results).rows[1].cells[0] is None


@pytest.mark.parametrize(
    ("low", "high", "kind", "title"),
    [
        (0.02, 0.08, "good", "Captions helped."),
        (-0.08, -0.02, "bad", "Captions did not help."),
        (-0.02, 0.08, "open", "Not decided: captions may or may not help."),
        (0.0, 0.08, "open", "Not decided: captions may or may not help."),
    ],
)
def test_the_interval_of_the_difference_decides_the_verdict(low, high, kind, title):
    results = [*pages.results(), pages.difference(value=(low + high) / 2, low=low, high=high)]
    said = verdict(results, subject="Captions")
    assert (said.kind, said.title) == (kind, title)


def test_the_verdict_states_both_levels_and_the_interval():
    said = verdict([*pages.results(), pages.difference()], subject="Captions")
    assert said.sentence == (
        "With 10 labels a class, CatLIP (captions) names 52% of 1,130 unseen test images rightly, "
        "supervised from scratch 47%; the paired difference is +5.6 points (95% interval +2.6 to +8.6)."
    )


def test_without_a_paired_difference_there_is_no_verdict():
    assert verdict(pages.results(), subject="Captions") is None


def against(rival, low, high):
    one = pages.difference(value=(low + high) / 2, low=low, high=high)
    return dataclasses.replace(one, details={"against": rival})


def test_being_ahead_of_training_from_scratch_is_not_enough():
    results = [*pages.results(), pages.difference(), against("random encoder, frozen", -0.012, 0.016)]
    said = verdict(results, subject="Captions")
    assert said.kind == "open"
    assert said.sentence.endswith("It is not ahead of random encoder, frozen (+0.2 points, -1.2 to +1.6).")


def test_being_behind_one_rival_is_no_help():
    results = [
        *pages.results(),
        pages.difference(),
        against("random encoder, frozen", 0.1, 0.2),
        against("SimCLR (images only)", -0.032, -0.009),
    ]
    said = verdict(results, subject="Captions")
    assert said.title == "Captions did not help."
    assert "It is also ahead of random encoder, frozen." in said.sentence
    assert "It is behind SimCLR (images only)" in said.sentence


def test_a_difference_on_another_question_does_not_decide():
    other = dataclasses.replace(against("x", -0.2, -0.1), n_labels=None, task="linear")
    said = verdict([*pages.results(), pages.difference(), other], subject="Captions")
    assert said.kind == "good"


def test_the_differences_are_rivals_by_questions():
    linear = dataclasses.replace(against("b", 0.1, 0.2), n_labels=None, task="linear")
    table = difference_table([against("a", 0.1, 0.2), against("b", 0.1, 0.2), linear])
    assert [row.model for row in table.rows] == ["a", "b"]
    assert [column.title for column in table.columns] == ["linear acc1", "10 labels/class"]
    assert difference_table(pages.results()) is None


def test_the_notes_name_the_test_rows_the_draws_and_the_single_seed():
    notes = " ".join(result_table(pages.results()).notes)
    assert "1,130 test images" in notes
    assert "mean of 3 draws" in notes
    assert "One seed (0)" in notes


def test_a_terminal_shows_the_same_numbers():
    out = io.StringIO()
    Console(file=out, width=80).print(terminal_table(pages.results()))
    text = out.getvalue()
    assert "chance / most frequent" in text
    assert "0.524 .484–.564" in text
    assert "One seed" in text
    assert "…" not in text


def test_markup_of_the_terminal_in_a_name_is_shown_as_it_is():
    out = io.StringIO()
    Console(file=out, width=80).print(terminal_table(pages.results({"[red]x[/]": 0.5})))
    Console(file=out, width=80).print(fact_table({"[bold]a": "[/bold]", "rows": 5416, "share": 0.5}))
    assert "[red]x[/]" in out.getvalue()
    assert "[/bold]" in out.getvalue()
    assert "5,416" in out.getvalue()


def test_a_value_without_interval_stands_alone():
    plain = Result(model="m", dataset="d", task="knn", metric="acc1", value=0.5)
    assert interval_text(plain) == "0.500"


def _asked(
    task: str, metric: str, value: float, *, model: str = "mine", n_labels: int | None = None
) -> Result:
    return Result(
        model=model,
        dataset="cat",
        task=task,
        metric=metric,
        value=value,
        n_labels=n_labels,
        n_test=50,
        baseline=0.1,
    )


def test_few_labels_episodes_and_fine_tuning_with_as_many_labels_are_three_questions():
    results = [
        _asked("fewshot", "acc1", 0.5, n_labels=5),
        _asked("episodes", "acc1", 0.6, n_labels=5),
        _asked("finetune", "acc1", 0.7, n_labels=5),
        _asked("evidence", "acc1", 0.2, n_labels=0),
    ]
    columns = result_table(results).columns
    assert [column.title for column in columns] == [
        "evidence acc1",
        "5 labels/class",
        "episodes acc1",
        "finetune, 5 labels/class",
    ]


def test_many_questions_are_lines_and_a_task_without_acc1_shows_its_own_metrics():
    results = [
        _asked("linear", "acc1", 0.71),
        _asked("linear", "ece", 0.99),
        _asked("linear", "acc1", 0.61, model="other"),
        _asked("retrieval", "image_retrieval_recall@5", 0.31),
        _asked("retrieval", "text_retrieval_recall@5", 0.32),
    ]
    console = Console(file=io.StringIO(), width=120)
    console.print(question_table(results))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["linear", "acc1", "0.100", "0.710", "0.610"] in lines
    assert ["retrieval", "image_retrieval_recall@5", "0.100", "0.310"] in lines
    assert ["retrieval", "text_retrieval_recall@5", "0.100", "0.320"] in lines
    assert not any("ece" in line for line in lines)


def test_training_from_scratch_has_its_line_where_nobody_asked_the_probe():
    results = [
        _asked("fewshot", "acc1", 0.5, n_labels=5),
        _asked("supervised", "acc1", 0.4, n_labels=5, model="scratch"),
        _asked("supervised", "acc1", 0.6, model="scratch"),
    ]
    console = Console(file=io.StringIO(), width=120)
    console.print(question_table(results))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["5", "labels/class", "0.100", "0.500", "0.400"] in lines
    assert ["linear", "acc1", "0.100", "0.600"] in lines
