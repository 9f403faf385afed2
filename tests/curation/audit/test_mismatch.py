"""Shuffled captions are found in a real catalog, and what is not known is not claimed."""

import io
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import synsight
from synsight.curation.audit import mismatch
from synsight.curation.audit.image_checks import FINDINGS
from synsight.curation.audit.mismatch import LIKELY, check_mismatch
from synsight.curation.caption_vectors import caption_vectors, words_of
from synsight.curation.descriptors import BLOCKS, DescriptorStage, _small, balance, describe
from synsight.data.catalog import Catalog
from synsight.errors import ModelError

ROWS = 1200


def emoji(folder: Path, share: float, *, rows: int = ROWS, empty: int = 0) -> tuple[Catalog, np.ndarray]:
    """Emoji of whole concepts; a share of the captions goes round; and which rows that changed."""
    table = pq.read_table(files("synsight.data") / "sample_files" / "emoji.parquet")
    table = table.select(["id", "image", "caption", "group"])
    drawing = np.random.default_rng(4)
    names, codes = np.unique(table["group"].to_numpy(zero_copy_only=False), return_inverse=True)
    chosen = np.argsort(drawing.permutation(len(names))[codes], kind="stable")[:rows]
    table = table.take(pa.array(np.sort(chosen)))
    captions = np.array(table["caption"].to_pylist(), dtype=object)
    hit = drawing.permutation(rows)[: round(share * rows)]
    new = captions.copy()
    new[hit] = captions[np.roll(hit, 1)]
    new[:empty] = None
    table = table.set_column(2, "caption", pa.array(new.tolist(), pa.string()))
    pq.write_table(table, folder / "emoji.parquet")
    synsight.ingest(folder / "emoji.parquet", out=folder / "catalog", group_column="group")
    catalog = Catalog.open(folder / "catalog")
    changed = dict(zip(table["id"].to_pylist(), (new != captions).tolist(), strict=True))
    return catalog, np.array([changed[one] for one in catalog.table(["id"])["id"].to_pylist()])


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    return emoji(tmp_path_factory.mktemp("shuffled"), 0.2)


@pytest.fixture(scope="module")
def result(shuffled):
    return check_mismatch(shuffled[0])


def test_shuffled_captions_of_the_emoji_sample_are_found(shuffled, result):
    _, is_shuffled = shuffled
    assert roc_auc_score(is_shuffled, result.score) > 0.78
    assert result.share_low <= 0.2 <= result.share_high
    assert result.share == pytest.approx(0.2, abs=0.1)
    assert result.agreement > 0.65


def test_flagged_rows_are_those_likelier_wrong_than_right(shuffled, result):
    catalog, is_shuffled = shuffled
    assert result.table.schema == FINDINGS
    positions = result.table["position"].to_numpy()
    assert positions.tolist() == np.flatnonzero(result.probability >= LIKELY).tolist()
    assert is_shuffled[positions].mean() > 2 * is_shuffled.mean()
    assert "of other captions fit the image better" in result.table["reason"][0].as_py()
    assert set(result.table["flag"].to_pylist()) == {"mismatch"}
    assert len(result.score) == catalog.count_rows()
    np.testing.assert_allclose(result.matching, 1 - result.probability)


def test_the_same_call_gives_the_same_answer_and_leaves_the_catalog_as_it_was(shuffled, result):
    catalog, _ = shuffled
    version, columns = catalog.version, catalog.columns
    again = check_mismatch(catalog.path)
    np.testing.assert_array_equal(again.score, result.score)
    assert again.table == result.table
    assert (again.share, again.share_low, again.share_high) == (
        result.share,
        result.share_low,
        result.share_high,
    )
    assert (Catalog.open(catalog.path).version, catalog.columns) == (version, columns)


def test_where_all_captions_are_shuffled_nothing_is_found_and_nothing_claimed(tmp_path):
    catalog, _ = emoji(tmp_path, 1.0, rows=900)
    result = check_mismatch(catalog)
    half = np.random.default_rng(0).random(900) < 0.5
    assert 0.44 < roc_auc_score(half, result.score) < 0.56
    assert result.agreement == pytest.approx(0.5, abs=0.03)
    assert (result.share_low, result.table.num_rows) == (0, 0)
    assert result.share_high > 0.8


def test_rows_without_text_or_outside_the_condition_are_not_scored(tmp_path):
    catalog, _ = emoji(tmp_path, 0.0, rows=900, empty=30)
    result = check_mismatch(catalog, where="id NOT LIKE '%7%'")
    table = catalog.table(["id", "caption"])
    left_out = [
        "7" in identity or not caption
        for identity, caption in zip(table["id"].to_pylist(), table["caption"].to_pylist(), strict=True)
    ]
    assert np.isnan(result.score).tolist() == left_out
    assert np.isnan(result.probability).tolist() == left_out


def test_too_few_rows_are_not_judged(tmp_path):
    catalog, _ = emoji(tmp_path, 0.2, rows=60)
    result = check_mismatch(catalog)
    assert np.isnan(result.score).all()
    assert np.isnan([result.share, result.share_low, result.share_high, result.agreement]).all()
    assert result.table.num_rows == 0
    assert result.method == "not judged: fewer than 200 rows with text"


def test_one_caption_for_all_is_not_judged(tmp_path):
    table = pq.read_table(files("synsight.data") / "sample_files" / "emoji.parquet").slice(0, 250)
    table = table.select(["id", "image"]).append_column("caption", pa.array(["a picture"] * 250))
    pq.write_table(table, tmp_path / "same.parquet")
    synsight.ingest(tmp_path / "same.parquet", out=tmp_path / "catalog")
    result = check_mismatch(tmp_path / "catalog")
    assert result.method == "not judged: almost all captions are the same"
    assert np.isnan(result.score).all()


def test_a_catalog_of_one_group_is_not_judged(tmp_path):
    table = pq.read_table(files("synsight.data") / "sample_files" / "emoji.parquet").slice(0, 250)
    table = table.select(["id", "image", "caption"]).append_column("group", pa.array(["lot 7"] * 250))
    pq.write_table(table, tmp_path / "one.parquet")
    synsight.ingest(tmp_path / "one.parquet", out=tmp_path / "catalog")
    result = check_mismatch(tmp_path / "catalog")
    assert result.method == "not judged: too few groups for each to be judged by what the others teach"
    assert np.isnan(result.score).all()


class Seer:
    """A model whose two towers know the truth: the caption that an image had before the shuffle."""

    name = "seer"

    def __init__(self, truth: dict[str, int]) -> None:
        self.vectors = np.random.default_rng(0).standard_normal((len(truth), 64)).astype(np.float32)
        self.truth, self.text, self.device = truth, object(), "cpu"

    def project(self, features):
        return features

    def embed_texts(self, texts):
        rows = self.vectors[[self.truth[text] for text in texts]]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_model_that_reads_texts_judges_by_its_cosines(shuffled, monkeypatch):
    catalog, is_shuffled = shuffled
    table = pq.read_table(catalog.path.parent / "emoji.parquet", columns=["id", "caption", "group"])
    whole = pq.read_table(files("synsight.data") / "sample_files" / "emoji.parquet")
    before = dict(zip(whole["id"].to_pylist(), whole["caption"].to_pylist(), strict=True))
    captions = sorted({*before.values(), *table["caption"].to_pylist()})
    seer = Seer({caption: number for number, caption in enumerate(captions)})
    ids = catalog.table(["id"])["id"].to_pylist()
    features = seer.vectors[[seer.truth[before[one]] for one in ids]]
    monkeypatch.setattr(mismatch, "load", lambda name: seer)
    monkeypatch.setattr(
        mismatch, "catalog_features", lambda model, opened, where: (np.arange(len(ids)), features)
    )
    result = check_mismatch(catalog, model="open-clip:seer/truth")
    assert result.method == "cosines of seer"
    assert roc_auc_score(is_shuffled, result.score) > 0.999
    assert result.share == pytest.approx(is_shuffled.mean(), abs=0.02)
    flagged = result.table["position"].to_numpy()
    assert is_shuffled[flagged].all()
    assert len(flagged) > 0.85 * is_shuffled.sum()


class Looker:
    """A model that reads no text."""

    name, config = "looker", SimpleNamespace(text={})

    @property
    def text(self):
        raise ModelError("looker: reads no text.")


def test_a_model_of_images_alone_judges_by_its_features(shuffled, monkeypatch):
    catalog, is_shuffled = shuffled
    features = describe(
        np.stack([_small(data) for data in catalog.table(["image"])["image"].to_pylist()])
    )  # what it sees is edges and colours, each on its own scale
    monkeypatch.setattr(mismatch, "load", lambda name: Looker())
    monkeypatch.setattr(
        mismatch, "catalog_features", lambda model, opened, where: (np.arange(len(features)), features)
    )
    result = check_mismatch(catalog, model="looker")
    assert result.method.startswith("cross-fitted regressions between features of looker and words")
    assert roc_auc_score(is_shuffled, result.score) > 0.75


def test_balanced_columns_are_centred_with_a_total_variance_of_one_over_the_rows_that_are_there():
    found = np.random.default_rng(0).normal(5, 3, (40, 6)).astype(np.float32)
    is_there = np.arange(40) % 4 > 0
    left = found[is_there].astype(np.float64)
    left -= left.mean(axis=0)
    expected = left / np.sqrt(left.var(axis=0).sum())
    balance(found[:, :], is_there)  # a view: blocks of columns are balanced in place
    np.testing.assert_allclose(found[is_there], expected, atol=1e-6)
    assert not found[~is_there].any()
    nothing = np.ones((3, 2), np.float32)
    balance(nothing, np.zeros(3, np.bool_))
    assert not nothing.any()


def test_descriptors_are_those_by_hand_and_of_each_image_alone():
    flat = np.full((2, 32, 32, 3), 255, np.uint8)
    flat[1, :, 16:] = 0
    found = describe(flat)
    edges, colours, by_cell, _ = np.split(found, np.cumsum(BLOCKS)[:-1], axis=1)
    assert not edges[0].any()
    assert np.flatnonzero(colours[0]).tolist() == [63]
    assert colours[1][[0, 63]] == pytest.approx(np.sqrt([0.5, 0.5]))
    assert by_cell[1].reshape(4, 4, 3)[:, :2].min() == 1
    assert by_cell[1].reshape(4, 4, 3)[:, 2:].max() == 0
    # The only edge stands upright, so its gradient lies along the first direction.
    assert set(np.flatnonzero(edges[1].reshape(16, 9).any(axis=0)).tolist()) == {0}
    np.testing.assert_array_equal(describe(flat[1:])[0], found[1])


def test_an_image_that_cannot_be_decoded_has_no_descriptor():
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(buffer, "PNG")
    batch = pa.record_batch({"image": pa.array([buffer.getvalue(), b"\x89PNG broken", None], pa.binary())})
    column = DescriptorStage()(batch).column("descriptor")
    assert column.is_valid().to_pylist() == [True, False, False]


def test_words_are_letters_and_pairs_of_characters_where_nothing_is_spaced():
    assert words_of("A Dog_02, dog!") == ["a", "dog", "dog"]
    assert words_of("赤い車 car") == ["赤い", "い車", "car"]
    assert words_of("犬") == ["犬"]


def test_equal_captions_have_equal_vectors_and_their_order_does_not_matter():
    texts = ["red car", "green car", "red house", "green house", "red car"] * 4
    found, said = caption_vectors(texts, encoder=None)
    assert said == "words"
    np.testing.assert_array_equal(found[0], found[4])
    np.testing.assert_allclose(caption_vectors(texts[::-1], encoder=None)[0], found[::-1], atol=1e-6)
    apart = np.linalg.norm(found[0] - found[1]), np.linalg.norm(found[0] - found[3])
    assert apart[0] < apart[1]
