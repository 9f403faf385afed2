import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import synsight.finetuning.supervised as module
from synsight.data.catalog import Catalog, Commit
from synsight.errors import UsageError
from synsight.evaluation import METRICS, difference_results, evaluate, read_predictions, read_results
from synsight.evaluation.questions import Question, drawn_rows
from synsight.evaluation.rows import read_splits
from synsight.finetuning import supervised_baseline

COLOURS = {"blue": (40, 60, 200), "green": (40, 170, 60), "red": (200, 40, 40)}
ENCODER = "test_resnet.r160_in1k"
TINY = {
    "encoder": ENCODER,
    "image_size": 16,
    "batch_size": 16,
    "workers": 0,
    "precision": "fp32",
    "optim.lr": 3e-3,
}


def make_catalog(path):
    """Noisy squares in three colours; `kind` is the colour."""
    rng = np.random.default_rng(0)
    kinds = [("green", "red", "blue")[row % 3] for row in range(90)]
    columns = {
        "id": [f"row{row:04d}" for row in rng.permutation(90)],
        "image": [png(kind, rng) for kind in kinds],
        "width": pa.array([16] * 90, pa.int32()),
        "height": pa.array([16] * 90, pa.int32()),
        "group": [f"group{row // 6}-{row % 3}" for row in range(90)],
        "split": [("train", "train", "train", "val", "test")[row // 6 % 5] for row in range(90)],
        "kind": kinds,
    }
    batch = pa.RecordBatch.from_pydict(columns)
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    return catalog


def png(kind, rng):
    pixels = np.clip(np.array(COLOURS[kind]) + rng.normal(0, 25, (16, 16, 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("supervised")
    make_catalog(folder / "cat")
    few = supervised_baseline(
        folder / "cat", label="kind", out=folder / "few", steps=40, labels_per_class=4, draws=2, **TINY
    )
    every = supervised_baseline(folder / "cat", label="kind", out=folder / "all", steps=40, **TINY)
    return folder, of_metrics(few), of_metrics(every)


def of_metrics(results):
    """Accuracies; what is said of calibration stands beside them."""
    return [one for one in results if one.metric in METRICS]


def test_networks_learn_the_label_and_say_what_they_were_given(trained):
    _, few, every = trained
    assert [(one.task, one.n_labels, one.seed) for one in few] == [
        ("supervised", 4, draw) for draw in (0, 0, 1, 1)
    ]
    assert [(one.n_labels, one.seed) for one in every] == [(None, 0)] * 2
    for one in (*few, *every):
        assert one.value > one.baseline + 0.2
        assert one.details["steps"] == 40
        assert one.n_test == 18
    assert few[0].details["train_rows"] == few[0].details["batch_size"] == 12
    assert every[0].details["train_rows"] == 54
    assert every[0].details["batch_size"] == 16


def test_few_labels_are_the_rows_that_few_shot_draws_and_no_other_label_chooses_the_weights(trained):
    folder, few, _ = trained
    catalog = Catalog.open(folder / "cat")
    splits = read_splits(catalog, "kind")
    for seed in (0, 1):
        draw = drawn_rows(splits, Question("fewshot", 4, seed))
        rows = json.loads((folder / "few" / f"4_labels_seed_{seed}" / "rows.json").read_text())
        assert sorted(rows) == sorted(splits.train.positions[draw.rows].tolist())
    assert {one.details["kept_step"] for one in few} == {40}


def test_predictions_can_be_paired_with_frozen_features(trained):
    folder, few, _ = trained
    frozen = evaluate(
        [f"random:{ENCODER}"],
        data=folder / "cat",
        label="kind",
        out=folder / "ev",
        tasks=["fewshot"],
        labels_per_class=(4,),
        draws=2,
        image_size=16,
        names={f"random:{ENCODER}": "untrained"},
    )
    rows = pa.concat_tables([read_predictions(folder / name) for name in ("few", "ev")])
    micro, _ = difference_results([*few, *frozen], rows, model="untrained", against="supervised from scratch")
    means = [np.mean([one.value for one in some if one.metric == "acc1"]) for some in (frozen, few)]
    assert micro.value == pytest.approx(means[0] - means[1])


def test_what_is_finished_is_not_trained_again(trained, monkeypatch):
    folder, few, _ = trained
    weights = folder / "few" / "4_labels_seed_0" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = supervised_baseline(
        folder / "cat", label="kind", out=folder / "few", steps=40, labels_per_class=4, draws=2, **TINY
    )
    assert weights.stat().st_mtime_ns == before
    again = of_metrics(again)
    assert [(one.value, one.config_hash) for one in again] == [(one.value, one.config_hash) for one in few]
    assert [one.value for one in of_metrics(read_results(folder / "few"))] == [one.value for one in few]


def test_a_stopped_second_draw_leaves_the_first_and_the_same_call_goes_on(trained, tmp_path, monkeypatch):
    folder, few, _ = trained
    call = {"label": "kind", "out": tmp_path / "few", "steps": 40, "labels_per_class": 4, "draws": 2, **TINY}
    train = module.train
    monkeypatch.setattr(
        module, "train", lambda *a, out, **k: train(*a, out=out, **k) if "seed_0" in str(out) else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        supervised_baseline(folder / "cat", **call)
    assert (tmp_path / "few" / "4_labels_seed_0" / "model").is_dir()
    assert not (tmp_path / "few" / "results.json").exists()
    monkeypatch.undo()
    again = of_metrics(supervised_baseline(folder / "cat", **call))
    assert [one.value for one in again] == [one.value for one in few]


def test_an_unknown_setting_is_named(trained, tmp_path):
    folder, _, _ = trained
    with pytest.raises(UsageError, match="image_siz"):
        supervised_baseline(folder / "cat", label="kind", out=tmp_path / "x", steps=4, image_siz=16)
