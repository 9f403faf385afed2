"""Where a model is worse: planted slices are found and named, and where there is none, none is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sliced import answers, catalog_of, evaluation_of, null_members, planted_columns, with_word

from synsight.cli import main
from synsight.data.trained_rows import trained_rows
from synsight.deployment.slice_parts import column_parts
from synsight.deployment.slice_rows import judged_by_evaluation, judged_by_model
from synsight.deployment.slice_search import paired_slices, single_slices
from synsight.deployment.slices import slices
from synsight.errors import ConfigError, DataError, ModelError, UsageError
from synsight.models import Model, ModelConfig, build_backbone, embedding_dim, linear_head

ROWS = 2400


@pytest.fixture(scope="module")
def columns():
    return planted_columns(ROWS)


@pytest.fixture(scope="module")
def catalog(columns, tmp_path_factory):
    return catalog_of(tmp_path_factory.mktemp("catalog") / "parts", columns)


@pytest.fixture(scope="module")
def evaluation(columns, tmp_path_factory):
    """Misses 10% of the rows, 45% of those with a wheel, 60% of those of camera B with snow."""
    chance = np.where(with_word(columns, "wheel"), 0.45, 0.1)
    both = with_word(columns, "snow") & (np.array(columns["camera"]) == "B")
    chance = np.where(both, 0.6, chance)
    return evaluation_of(tmp_path_factory.mktemp("evaluation") / "ev", answers(columns, chance))


@pytest.fixture(scope="module")
def summary(catalog, evaluation, tmp_path_factory):
    return slices(
        predictions=evaluation, data=catalog, label="kind", out=tmp_path_factory.mktemp("out") / "slices"
    )


def test_the_planted_word_is_the_worst_slice_and_its_numbers_are_those_counted_by_hand(
    summary, columns, catalog, evaluation
):
    worst = summary.worst[0]
    assert (worst.parts[0].kind, worst.parts[0].value) == ("word", "wheel")
    assert worst.found
    test = np.array(columns["split"]) == "test"
    inside = with_word(columns, "wheel")[test]
    assert worst.rows == inside.sum()
    rows = slices(predictions=evaluation, data=catalog, label="kind", out=summary.report + ".again")
    assert rows.worst[0] == worst  # the same call, the same numbers
    assert worst.ci_low < 0.55 < worst.ci_high
    assert worst.accuracy < worst.shrunk < worst.others
    assert worst.expected == pytest.approx(worst.others, abs=0.05)


def test_only_what_was_planted_is_called_worse(summary):
    values = {part.value for one in (*summary.worst, *summary.pairs) if one.found for part in one.parts}
    assert values <= {"wheel", "snow", "B"}


def test_the_planted_pair_is_found_and_measured_on_the_other_half(summary):
    pair = summary.pairs[0]
    assert {one.value for one in pair.parts} == {"B", "snow"}
    assert pair.found
    assert pair.shrunk is None
    assert 0.25 < pair.accuracy < 0.6
    assert pair.accuracy < pair.others - 0.2


def test_found_slices_come_with_pictures_of_what_was_answered_wrongly(summary):
    examples = summary.worst[0].examples
    assert len(examples) == 6
    for one in examples:
        assert "wheel" in one.caption
        assert one.predicted[0][0] != one.label
        assert one.thumbnail.startswith(b"RIFF")


def test_a_page_and_all_slices_as_records_lie_in_the_folder(summary):
    told = json.loads((summary_path(summary) / "slices.json").read_text())
    assert len(told["slices"]) == told["slices_tested"] == summary.slices_tested
    page = (summary_path(summary) / "report.html").read_text()
    assert "Worse on" in page
    assert "“wheel” in the caption" in page


def summary_path(summary):
    return Path(summary.report).parent


def test_the_command_prints_its_keys_and_tells_the_worst(catalog, evaluation, tmp_path, capsys):
    words = ["slices", "--predictions", evaluation, "--data", catalog.path, "--label", "kind"]
    words = [
        str(one) for one in (*words, "--out", tmp_path / "out", "--columns", "camera,lot", "--locale", "ja")
    ]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"model", "rows", "accuracy", "slices_tested", "found", "worst", "pairs", "report"} <= set(told)
    assert told["rows"] == ROWS / 2
    assert "精度が低い" in (tmp_path / "out" / "report.html").read_text()
    assert main(words) == 0
    assert "“wheel” in the caption" in capsys.readouterr().out


@pytest.mark.parametrize("correlated", [False, True], ids=["alone", "in groups"])
def test_with_nothing_planted_at_most_5_percent_of_looks_find_anything(correlated):
    looks, single, paired = 30, 0, 0
    for seed in range(looks):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(250), 3) if correlated else np.arange(750)
        chance = rng.beta(4, 1, 250)[groups] if correlated else 0.8
        hits = rng.random(750) < chance
        members = null_members(rng, groups, 100)
        labels = rng.integers(0, 4, int(groups.max()) + 1)[groups]
        single += bool((single_slices(hits, labels, groups, members).q_values <= 0.05).any())
        kinds = np.full(members.shape[1], -1)
        found = paired_slices(hits, groups, members, kinds, min_rows=20, seed=seed)
        paired += bool((found.q_values <= 0.05).any())
    # 30 looks at a true 5% give at most 4 in 98% of cases.
    assert single <= 4
    assert paired <= 4


def test_a_planted_pair_that_neither_half_shows_is_found_among_many():
    found = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        members = rng.random((3000, 40)) < 0.2
        both = members[:, 3] & members[:, 11]
        hits = rng.random(3000) < np.where(both, 0.3, 0.9)
        pairs = paired_slices(
            hits, np.arange(3000), csr_array(members.astype(float)), np.full(40, -1), min_rows=20, seed=seed
        )
        named = [pair for pair, q in zip(pairs.parts, pairs.q_values, strict=True) if q <= 0.05]
        found += (3, 11) in named
    assert found >= 5


def test_a_slice_of_a_hard_class_is_explained_by_its_class():
    # Class 1 is right half of the time, class 0 always; the slice is of class 1 alone.
    labels = np.repeat([0, 1], 200)
    hits = np.concatenate([np.ones(200), np.tile([1, 0], 100)]).astype(bool)
    member = np.zeros((400, 1))
    member[200:300] = 1
    found = single_slices(hits, labels, np.arange(400), csr_array(member))
    assert found.expected[0] == pytest.approx(0.5)
    assert 1 - found.tests.other_rates[0] == pytest.approx(250 / 300)


def test_numbers_are_cut_into_quarters_and_few_of_them_are_values(catalog):
    positions = catalog.positions()
    quarters = column_parts(catalog, positions, "weight")
    assert len(quarters) == 4
    assert [int(one) for one in quarters.members.sum(axis=0)] == pytest.approx([ROWS / 4] * 4, abs=2)
    assert all(" to " in one.value for one in quarters.names)
    assert sorted(one.value for one in column_parts(catalog, positions, "lot").names) == list("01234567")


def test_a_value_is_called_as_it_is_called_as_a_label(tmp_path):
    columns = {"id": ["a", "b", "c"], "night": [True, False, None]}
    catalog = catalog_of(tmp_path / "cat", columns, words=False)
    parts = column_parts(catalog, catalog.positions(), "night")
    assert sorted(one.value for one in parts.names) == ["False", "True"]
    assert parts.members.sum() == 2, "no value, no part"


def label_model(kinds=("defect", "ok")) -> Model:
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet.r160_in1k", image_size=16, stem="standard")
    dim = embedding_dim(backbone)
    config = ModelConfig(
        encoder="test_resnet.r160_in1k",
        image_size=16,
        embedding_dim=dim,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        head="labels",
        classes=len(kinds),
    )
    return Model(backbone, config, head=linear_head(dim, len(kinds)), label_names=list(kinds), name="net")


def test_a_model_with_a_head_is_looked_at_by_what_it_predicts(tmp_path):
    columns = planted_columns(120)
    catalog = catalog_of(tmp_path / "cat", columns)
    model = label_model()
    found = slices(
        model, data=catalog, label="kind", out=tmp_path / "out", columns=["camera", "split"], min_rows=5
    )
    assert found.rows == 120  # the split is a column, so all rows count
    answer = model.label_names[int(model.predict([columns["image"][0]])[0].argmax())]
    assert found.accuracy == pytest.approx(columns["kind"].count(answer) / 120)  # all images are the same
    told = json.loads((tmp_path / "out" / "slices.json").read_text())
    by_name = {(part["column"], part["value"]): one for one in told["slices"] for part in one["parts"]}
    of_b = [kind for kind, camera in zip(columns["kind"], columns["camera"], strict=True) if camera == "B"]
    assert by_name["camera", "B"]["accuracy"] == pytest.approx(of_b.count(answer) / len(of_b))
    assert ("split", "train") in by_name


def test_images_that_the_model_has_learnt_from_are_told_of_also_where_they_are_training_rows(tmp_path):
    catalog = catalog_of(tmp_path / "cat", planted_columns(40), words=False)  # one picture, forty times
    plain = label_model()
    learnt = plain.adapted(
        plain.head, plain.label_names, method="test", trained_rows=trained_rows(catalog, catalog.positions())
    )
    note = judged_by_model(learnt, catalog, label="kind", split="all").notes[0]
    assert note.startswith("the model has learnt from 40 of these 40 images")


def test_where_no_slice_is_worse_the_page_and_the_table_say_so(tmp_path, capsys):
    columns = planted_columns(120)
    for name in ("lot", "weight", "caption"):
        del columns[name]
    catalog = catalog_of(tmp_path / "cat", columns, words=False)
    right = evaluation_of(tmp_path / "ev", answers(columns, np.zeros(120)))
    words = ["slices", "--predictions", right, "--data", catalog.path, "--label", "kind"]
    words += ["--out", tmp_path / "out", "--min-rows", 10]
    assert main([str(one) for one in words]) == 0
    assert "accuracy  others" not in capsys.readouterr().out
    assert "In none of the 3 slices" in (tmp_path / "out" / "report.html").read_text()


def test_rows_of_a_label_that_the_model_does_not_know_are_left_out_and_told(tmp_path):
    columns = planted_columns(120)
    columns["kind"][1] = "new"
    rows = judged_by_model(label_model(), catalog_of(tmp_path / "cat", columns), label="kind", split="test")
    assert len(rows) == 59
    assert "1 rows have a label that the model does not know" in rows.notes[0]


def test_truth_values_and_whole_numbers_with_gaps_are_labels_as_an_evaluation_calls_them(tmp_path):
    columns = planted_columns(160)
    told = {
        "broken": [one == "defect" for one in columns["kind"]],
        "grade": [
            None if row % 9 == 0 else float(one == "defect") for row, one in enumerate(columns["kind"])
        ],
    }
    catalog = catalog_of(tmp_path / "cat", {**columns, **told}, words=False)
    called = {"broken": {True: "True", False: "False"}, "grade": {1.0: "1", 0.0: "0"}}
    rows = answers(columns, np.full(160, 0.2))
    for label, names in called.items():
        true = dict(zip(columns["id"], told[label], strict=True))
        answered = [
            {**row, "label": names[true[row["id"]]], "prediction": names[true[row["id"]]]}
            for row in rows
            if true[row["id"]] is not None
        ]
        evaluation = evaluation_of(tmp_path / label, answered)
        assert len(judged_by_evaluation(evaluation, catalog, label=label)) == len(answered)


def test_what_cannot_be_sliced_is_refused_in_a_sentence(catalog, evaluation, tmp_path, columns):
    given = {"data": catalog, "label": "kind", "out": tmp_path / "out"}
    with pytest.raises(UsageError, match="--predictions EVALUATION; give one"):
        slices(**given)
    with pytest.raises(UsageError, match=r"no column 'camra'; did you mean 'camera'"):
        slices(predictions=evaluation, **given, columns=["camra"])
    with pytest.raises(UsageError, match="no column 'knd'"):
        slices(predictions=evaluation, **{**given, "label": "knd"})
    with pytest.raises(DataError, match="expected the predictions of 'camera'"):
        slices(predictions=evaluation, **{**given, "label": "camera"})
    with pytest.raises(DataError, match="expected texts, numbers or truth values in column 'image'"):
        slices(predictions=evaluation, **given, columns=["image"])
    with pytest.raises(UsageError, match="no task 'knn'"):
        slices(predictions=evaluation, **given, task="knn")
    with pytest.raises(ConfigError, match="min_rows must be >= 2"):
        slices(predictions=evaluation, **given, min_rows=1)
    with pytest.raises(UsageError, match="no locale 'fr'"):
        slices(predictions=evaluation, **given, locale="fr")
    model = label_model()
    silent = Model(
        model.encoder, ModelConfig(**{**vars(model.config), "head": None, "classes": 0}), name="net"
    )
    with pytest.raises(ModelError, match="net: predicts no labels"):
        slices(silent, **given)
    with pytest.raises(DataError, match="knows none of the labels"):
        slices(label_model(("red", "blue")), **given)
