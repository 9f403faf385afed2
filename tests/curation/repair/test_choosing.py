"""Which caption is kept, and how a captioner that says the same of everything is caught."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from synsight.curation.repair.choosing import ModelScorer, Option, choose
from synsight.curation.repair.diversity import diversity, refuse_one_for_all
from synsight.curation.repair.own_scores import own_scores
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError
from synsight.models import Model, ModelConfig, build_backbone, embedding_dim, load
from synsight.models.text import TextTower, TextTowerConfig
from synsight.models.text_side import TextSide
from tiny_captioners import COLOURS, square

GROUP = pa.field("group", pa.string())

OPTIONS = [Option("a dog", "original"), Option("dog, grass", "keywords"), Option("a puppy", "captioner:x")]


def test_the_highest_score_wins():
    assert choose(OPTIONS, [0.6, 0.5, 0.7]) == (2, 0.7)


def test_ties_and_missing_scores_leave_the_first():
    assert choose(OPTIONS, [0.6, 0.6, 0.60005]) == (0, 0.6)
    assert choose(OPTIONS, []) == (0, None)
    assert choose(OPTIONS, [0.1, math.nan, 0.9]) == (0, None)
    assert choose(OPTIONS, [0.1, 0.9]) == (0, None)


def test_diversity_agrees_with_the_definitions_by_hand():
    found = diversity(["a dog", "A dog.", "a cat runs", None, ""])
    shares = (2 / 3, 1 / 3)
    assert found.captions == 3
    assert found.distinct_share == pytest.approx(2 / 3)
    assert found.effective == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)))
    assert found.distinct_2 == pytest.approx(3 / 4)  # (a dog) twice, (a cat), (cat runs)


def test_the_effective_number_runs_from_one_to_all():
    assert diversity(["x y"] * 9).effective == pytest.approx(1)
    assert diversity([f"word{n}a b" for n in range(9)]).effective == pytest.approx(9)
    assert diversity([]).effective == 0


def test_one_text_for_most_of_different_images_is_refused_with_a_sentence():
    images = [str(n) for n in range(20)]
    with pytest.raises(
        DataError, match=r"says 'a photo' of 11 out of 20 different images, so its captions tell"
    ):
        refuse_one_for_all(["a photo"] * 10 + ["A photo."] + ["a"] * 9, images, name="x")
    refuse_one_for_all(["a photo"] * 10 + [f"dog {n}" for n in range(10)], images, name="x")


def test_the_same_image_may_be_said_the_same_of_and_few_images_prove_nothing():
    refuse_one_for_all(["a photo"] * 40, ["0"] * 40, name="x")
    refuse_one_for_all(["a photo"] * 9, [str(n) for n in range(9)], name="x")


def test_a_smaller_lead_than_asked_for_is_a_tie():
    assert choose(OPTIONS, [0.5, 0.65, 0.7], smallest_gain=0.2) == (0, 0.5)
    assert choose(OPTIONS, [0.5, 0.75, 0.7], smallest_gain=0.2) == (1, 0.75)


def test_a_clip_scores_as_its_cosines_and_an_unreadable_image_not_at_all(tmp_path):
    folder = tiny_clip(tmp_path / "clip")
    model, scorer = load(folder), ModelScorer(str(folder))
    images = [square(one) for one in COLOURS]
    texts = [["a red square", "something else"], ["x"], ["a", "b", "c"], ["d"]]
    found = scorer([*images, b"junk"], [*texts, ["e"]])
    assert found[-1] == []
    for image, some, scores in zip(images, texts, found, strict=False):
        with torch.inference_mode():
            seen = model.project(model.features(model.pixels([image])))[0].numpy()
        cosines = model.embed_texts(some) @ (seen / np.linalg.norm(seen))
        assert scores == pytest.approx((1 + cosines) / 2, abs=1e-5)


def tiny_clip(folder):
    """As a CLIP run leaves it, untrained."""
    torch.manual_seed(0)
    backbone = build_backbone("resnet10t", image_size=32, stem="cifar")
    width = embedding_dim(backbone)
    config = ModelConfig(
        encoder="resnet10t",
        image_size=32,
        embedding_dim=width,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        stem="cifar",
        method="clip",
        projection_dim=8,
    )
    text = TextSide(
        TextTower(TextTowerConfig(width=16, layers=1, heads=2, context_length=10)),
        projection=nn.Linear(16, 8, bias=False),
    )
    model = Model(backbone, config, projection=nn.Linear(width, 8, bias=False), text=text, name="clip")
    return model.save_pretrained(folder)


def test_the_catalogs_own_pairs_tell_a_true_caption_from_a_strangers(tmp_path):
    colours = [list(COLOURS)[n % 4] for n in range(240)]
    batch = pa.record_batch(
        {
            "id": [f"id{n}" for n in range(240)],
            "image": pa.array([square(one, seed=n) for n, one in enumerate(colours)], pa.binary()),
            "caption": [f"a {one} square thing" for one in colours],
        }
    )
    catalog = Catalog.create(tmp_path / "cat", batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    options = {
        n: [f"a {colours[n]} square thing", f"a {colours[n + 1]} square thing"] for n in range(0, 60, 2)
    }
    scores = own_scores(catalog, options, caption_column="caption")
    assert scores.keys() == options.keys()
    assert np.mean([own > other for own, other in scores.values()]) > 0.9
    one_lot = Catalog.create(tmp_path / "lot", batch.schema.append(GROUP), commit=Commit(verb="ingest"))
    lots = batch.append_column(GROUP, pa.array(["lot 7"] * 240))
    one_lot.append(one_lot.write_fragment(lots), commit=Commit(verb="ingest"))
    assert own_scores(one_lot, options, caption_column="caption") == {}, "nothing is left to learn from"
    few = catalog.at_version(catalog.version)
    few.delete("id >= 'id3'", commit=Commit(verb="delete"))
    assert own_scores(few, {0: ["a", "b"]}, caption_column="caption") == {}
