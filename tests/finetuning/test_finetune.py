"""Full fine-tuning: the same questions as of frozen features, answered by a network that goes on learning."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_supervised import make_catalog, of_metrics

from synsight.cli.app import main
from synsight.data.catalog import Catalog
from synsight.data.views import normalise
from synsight.errors import ConfigError, UsageError
from synsight.evaluation import difference_results, evaluate, read_predictions, read_results
from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Finetuning, Options, Training
from synsight.evaluation.questions import Question, drawn_rows
from synsight.evaluation.rows import read_splits
from synsight.evaluation.subjects import model_features
from synsight.finetuning.finetune import choose_recipe, finetune, finetuned
from synsight.finetuning.rate_choice import held_back
from synsight.finetuning.start_rows import rows_of
from synsight.metrics import fit_few_labels
from synsight.models import Model, load
from synsight.recipes.finetune import FINETUNING, finetune_catlip, finetune_simclr
from synsight.training.run_folder import RunFolder

MODEL = "random:test_resnet.r160_in1k"
TINY = {"workers": 0, "precision": "fp32", "views.min_area": 0.5}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    make_catalog(folder / "cat")
    pretrained(folder).save_pretrained(folder / "model")
    few = finetune(
        folder / "model",
        data=folder / "cat",
        label="kind",
        out=folder / "few",
        labels_per_class=4,
        draws=2,
        steps=25,
        name="mine",
        progress=False,
        **TINY,
    )
    return folder, few


def pretrained(folder):
    """Untrained weights whose norms have seen the images, as those of a pretrained encoder have."""
    model, catalog = load(MODEL, image_size=16, seed=3), Catalog.open(folder / "cat")
    images = [image for batch in catalog.scan(["image"]) for image in batch.column("image").to_pylist()]
    views = normalise(model.pixels(images), mean=model.config.mean, std=model.config.std)
    model.encoder.train()
    with torch.no_grad():
        for _ in range(40):
            model.encoder(views)
    model.encoder.eval()
    return Model(model.encoder, replace(model.config, method="simclr"))


def runs_of(folder):
    (model,) = (folder / "runs").iterdir()
    return model


def test_the_network_answers_and_says_how_it_was_trained(tuned):
    folder, few = tuned
    assert {(one.task, one.n_labels, one.seed) for one in few} == {("finetune", 4, 0), ("finetune", 4, 1)}
    for one in of_metrics(few):
        assert one.value > one.baseline + 0.3
        assert one.details["recipe"] == "simclr" and "BatchNorm" in one.details["recipe_because"]
        assert one.details["steps"] == one.details["kept_step"] == 25
        assert one.details["settings"]["optim"]["name"] == "sgd"
        assert one.details["lr"] == pytest.approx(0.05 * 12 / 256)
    assert read_results(folder / "few") == few


def test_few_labels_are_the_rows_that_few_shot_draws(tuned):
    folder, _ = tuned
    splits = read_splits(Catalog.open(folder / "cat"), "kind")
    for seed in (0, 1):
        draw = drawn_rows(splits, Question("fewshot", 4, seed))
        rows = json.loads((runs_of(folder / "few") / f"4_labels_seed_{seed}" / "rows.json").read_text())
        assert sorted(rows) == sorted(splits.train.positions[draw.rows].tolist())


def test_a_learning_rate_of_nearly_nothing_leaves_the_converged_probe(tuned, tmp_path):
    folder, _ = tuned
    catalog = Catalog.open(folder / "cat")
    results = {
        head: finetune(
            folder / "model",
            data=folder / "cat",
            label="kind",
            out=tmp_path / head,
            labels_per_class=4,
            draws=1,
            steps=2,
            start_head=head,
            progress=False,
            **{**TINY, "optim.lr": 1e-12, "method.norm_statistics": "kept"},
        )
        for head in ("probe", "random")
    }
    splits = read_splits(catalog, "kind")
    draw = drawn_rows(splits, Question("fewshot", 4, 0))
    features = model_features(load(folder / "model"), catalog, splits, progress=False)
    expected = rows_of(
        fit_few_labels(
            features.train[draw.rows],
            splits.train.labels[draw.rows],
            splits.train.group_codes[draw.rows],
            num_classes=splits.num_classes,
        )
    )
    head = load(runs_of(tmp_path / "probe") / "4_labels_seed_0" / "model").head
    assert head.weight.detach().numpy() == pytest.approx(expected.weight, rel=1e-4, abs=1e-5)
    assert head.bias.detach().numpy() == pytest.approx(expected.bias, rel=1e-4, abs=1e-4)
    accuracy = {head: of_metrics(some)[0].value for head, some in results.items()}
    assert accuracy["probe"] > accuracy["random"]
    frozen = evaluate(
        folder / "model",
        data=folder / "cat",
        label="kind",
        out=tmp_path / "ev",
        tasks=["fewshot"],
        labels_per_class=(4,),
        draws=1,
        progress=False,
    )
    assert accuracy["probe"] == of_metrics(frozen)[0].value


def test_a_probes_rows_give_its_probabilities_on_features_as_they_are():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(60, 7)) * rng.uniform(0.1, 9, 7) + 3).astype(np.float32)
    labels = np.arange(60) % 3
    features[labels == 1] += 2
    probe = fit_few_labels(features, labels, np.arange(60), num_classes=3)
    rows = rows_of(probe)
    scores = features @ rows.weight.T + rows.bias
    found = torch.from_numpy(scores).softmax(dim=1).numpy()
    assert found == pytest.approx(probe.probabilities(features), abs=1e-4)


def test_what_is_finished_is_not_trained_again_and_gives_the_same_numbers(tuned):
    folder, few = tuned
    weights = runs_of(folder / "few") / "4_labels_seed_0" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = finetune(
        folder / "model",
        data=folder / "cat",
        label="kind",
        out=folder / "few",
        labels_per_class=4,
        draws=2,
        steps=25,
        name="mine",
        progress=False,
        **TINY,
    )
    assert weights.stat().st_mtime_ns == before
    assert [(one.value, one.config_hash) for one in again] == [(one.value, one.config_hash) for one in few]


def test_all_labels_keep_the_weights_that_answer_the_validation_rows_best(tuned, tmp_path):
    folder, _ = tuned
    results = finetune(
        folder / "model",
        data=folder / "cat",
        label="kind",
        out=tmp_path / "all",
        steps=12,
        progress=False,
        **{**TINY, "monitor.every_steps": 4, "method.class_weights": "sqrt", "optim.layer_decay": 0.8},
    )
    run = RunFolder(runs_of(tmp_path / "all") / "all_labels_seed_0")
    looks = [json.loads(line) for line in run.metrics.read_text().splitlines() if '"monitor"' in line]
    found = {row["step"]: row["head_acc1"] for row in looks}
    assert [*found] == [4, 8, 12]
    accuracy = of_metrics(results)[0]
    assert found[accuracy.details["kept_step"]] == max(found.values())
    assert accuracy.n_labels is None and accuracy.value > accuracy.baseline + 0.3
    catalog = Catalog.open(folder / "cat")
    splits = read_splits(catalog, "kind")
    images = catalog.take(splits.val.positions, ["image"])["image"].to_pylist()
    model = load(run.model)
    said = model.predict(images).argmax(axis=1)  # all classes have training rows: the same numbers
    assert np.mean(said == splits.val.labels) == pytest.approx(max(found.values()))


def test_answers_can_be_paired_with_those_of_frozen_features(tuned, tmp_path):
    folder, few = tuned
    frozen = evaluate(
        [folder / "model"],
        data=folder / "cat",
        label="kind",
        out=tmp_path / "ev",
        tasks=["fewshot"],
        labels_per_class=(4,),
        draws=2,
        names={str(folder / "model"): "mine"},
        progress=False,
    )
    rows = [read_predictions(one) for one in (folder / "few", tmp_path / "ev")]
    assert sorted(rows[0]["id"].to_pylist()) == sorted(rows[1]["id"].to_pylist())
    assert {one.n_test for one in few} == {one.n_test for one in frozen}


def judged(folder, out, *, finetuning=None, **options) -> Judged:
    catalog, network = Catalog.open(folder / "cat"), load(folder / "model")
    splits = read_splits(catalog, "kind")
    return Judged(
        name="a/strange name",
        model=network,
        catalog=catalog,
        version=catalog.version,
        splits=splits,
        options=Options(finetuning=Finetuning(**(finetuning or {})), **options),
        out=out,
        compute=lambda: model_features(network, catalog, splits, progress=False),
        progress=False,
    )


def test_the_task_asks_each_number_of_labels_and_all(tuned, tmp_path):
    folder, _ = tuned
    one = judged(
        folder,
        tmp_path / "ev",
        labels_per_class=(2, 4),
        draws=1,
        training=Training(steps=2, overrides=TINY),
        finetuning={"start_head": "random"},
    )
    scored = finetuned(one)
    asked = {(record.n_labels, record.seed) for record in scored.results}
    assert asked == {(2, 0), (4, 0), (None, 0)}
    assert {row["model"] for row in scored.predictions.to_pylist()} == {"a/strange name"}
    assert (tmp_path / "ev" / "runs" / f"a_strange_name_{one.network.digest}" / "start").is_dir()


def test_what_cannot_be_done_is_said_before_anything_is_trained(tuned, tmp_path):
    folder, _ = tuned
    with pytest.raises(UsageError, match="no recipe of fine-tuning is called 'simcrl'"):
        finetuned(judged(folder, tmp_path / "a", finetuning={"recipe": "simcrl"}))
    with pytest.raises(UsageError, match="no start_head is called 'zero'"):
        finetuned(judged(folder, tmp_path / "a", finetuning={"start_head": "zero"}))
    with pytest.raises(UsageError, match="predicts no words"):
        finetuned(judged(folder, tmp_path / "a", finetuning={"start_head": "transfer"}))
    only_features = judged(folder, tmp_path / "a")
    only_features.model = None
    with pytest.raises(UsageError, match="a/strange name: this task shows the network images"):
        finetuned(only_features)


def test_recipes_are_the_published_ones():
    one_per_cent = finetune_simclr(rows=4096, labels_per_class=13)
    assert (one_per_cent.optim.lr, one_per_cent.optim.weight_decay) == (0.05 * 64 / 256, 0.0)
    assert (one_per_cent.epochs, one_per_cent.schedule.warmup) == (60, 0.0)
    assert finetune_simclr(rows=4096, labels_per_class=128).epochs == 30
    catlip = finetune_catlip(rows=640)
    assert (catlip.optim.lr, catlip.optim.weight_decay, catlip.optim.ema_decay) == (3e-5, 0.05, 0.9995)
    assert catlip.optim.lr * catlip.schedule.final == pytest.approx(3e-6)
    assert catlip.method.label_smoothing == 0.1 and catlip.method.range_augment
    # Lengths by hand: 60 epochs of 64 batches are cut to 1,000; 10 epochs of 10 batches are 200 at least.
    assert (one_per_cent.steps, catlip.steps) == (1000, 200)


def test_the_recipe_follows_the_kind_of_the_encoder():
    assert choose_recipe(load(MODEL, image_size=16))[0] == "simclr"
    recipe, reason = choose_recipe(load("random:test_vit.r160_in1k", image_size=32))
    assert recipe == "catlip" and "transformers" in reason
    assert set(FINETUNING) == {"simclr", "catlip"}


def test_differences_between_two_ways_of_fine_tuning_are_paired(tuned, tmp_path):
    folder, few = tuned
    other = finetune(
        folder / "model",
        data=folder / "cat",
        label="kind",
        out=tmp_path / "other",
        labels_per_class=4,
        draws=2,
        steps=2,
        name="other",
        start_head="random",
        progress=False,
        **TINY,
    )
    rows = pa.concat_tables([read_predictions(folder / "few"), read_predictions(tmp_path / "other")])
    found = difference_results([*few, *other], rows, model="mine", against="other")
    means = [np.mean([one.value for one in some if one.metric == "acc1"]) for some in (few, other)]
    assert found[0].value == pytest.approx(means[0] - means[1])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=40),
    st.integers(0, 5),
)
def test_what_is_held_back_is_a_third_of_each_class_at_most_in_whole_groups(rows, seed):
    labels, groups = (np.array(one) for one in zip(*rows, strict=True))
    held = held_back(labels, groups, seed=seed)
    assert not set(groups[held]) & set(groups[~held])
    for one in np.unique(labels):
        of_class = held[labels == one]
        assert 3 * of_class.sum() <= len(of_class)
        assert of_class.any() == held.any(), "every class is asked about, or none"


def test_a_rate_is_chosen_on_labels_that_its_trials_have_not_seen(tuned, tmp_path):
    folder, _ = tuned
    one = judged(
        folder,
        tmp_path / "ev",
        labels_per_class=(6,),
        draws=1,
        training=Training(steps=8, overrides=TINY),
        finetuning={"rates": (1e-6, 1.0), "start_head": "random", "all_labels": False},
    )
    found = finetuned(one)
    details = found.results[0].details
    own = FINETUNING[details["recipe"]]("kind", rows=18, labels_per_class=6).optim.lr
    tried = {float(rate): share for rate, share in details["lr_tried"].items()}
    assert sorted(tried) == pytest.approx([own * 1e-6, own], rel=1e-4)
    assert tried[min(tried, key=lambda lr: abs(lr - details["lr"]))] == max(tried.values())
    assert details["lr_chosen_on"] == "one in 3 labels, held back"
    (runs,) = (tmp_path / "ev/runs").glob("*/6_labels_seed_0")
    whole, trial = (
        load(path / "model").trained_rows.hashes for path in (runs, runs.with_name(f"{runs.name}_lr_1"))
    )
    assert len(whole) - len(np.intersect1d(whole, trial)) == details["lr_held_back"] == 6
    again = finetuned(one)
    assert [row.value for row in again.results] == [row.value for row in found.results]


def test_without_labels_to_spare_the_recipes_rate_stays_and_a_rate_that_is_none_is_refused(tuned, tmp_path):
    folder, _ = tuned
    settings = {"start_head": "random", "all_labels": False}
    few = judged(
        folder,
        tmp_path / "ev",
        labels_per_class=(2,),
        draws=1,
        training=Training(steps=2, overrides=TINY),
        finetuning={**settings, "rates": (0.3, 1.0)},
    )
    details = finetuned(few).results[0].details
    assert details["lr_chosen_on"] == "nothing: too few labels to hold one back"
    for rates in ((), (0.0,), (1.0, float("nan"))):
        with pytest.raises(ConfigError, match="learning rates must be multiples > 0"):
            finetuned(judged(folder, tmp_path / "a", finetuning={"rates": rates}))
    words = ["evaluate", str(folder / "model"), "--data", str(folder / "cat"), "--label", "kind"]
    assert main([*words, "--out", str(tmp_path / "b"), "--finetune-rates", "1,fast"]) == 2
