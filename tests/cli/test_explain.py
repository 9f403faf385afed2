"""`synsight words` with terms, languages, an edited vocabulary, and `--explain`."""

import shutil

import pytest

from synsight.data.catalog import Catalog
from synsight.language import load_vocabulary


@pytest.fixture
def own(catalog, tmp_path):
    """A copy of the session's catalog, that the test may change."""
    shutil.copytree(catalog, tmp_path / "cat")
    return tmp_path / "cat"


def test_a_caption_is_explained_without_a_catalog(run, run_json):
    code, out, err = run("words", "--explain", "two orange cats at a traffic light")
    assert code == 0, err
    assert "traffic light (wn30:n06874185)" in out
    assert "an adjective here: it stands before a noun" in out
    value = run_json("words", "--explain", "two orange cats at a traffic light")
    assert [one["name"] for one in value["words"]] == ["cat", "traffic light"]
    assert value["language"] == "en"


def test_with_a_catalog_its_classes_are_named_and_nothing_is_changed(run, run_json, catalog):
    version = Catalog.open(catalog).version
    value = run_json("words", catalog, "--explain", "a flag and a zeppelin")
    words = {one["name"]: one for one in value["words"]}
    names = load_vocabulary(Catalog.open(catalog)).names
    assert names[words["flag"]["class_number"]] == "flag"
    zeppelin = next(one for name, one in words.items() if name != "flag")
    assert zeppelin["class_number"] is None
    assert zeppelin["note"] == "no class here: in fewer than 2 training rows"
    code, out, _ = run("words", catalog, "--explain", "a flag")
    assert code == 0 and f"class {words['flag']['class_number']}" in out
    assert Catalog.open(catalog).version == version


def test_terms_of_a_file_are_classes_beside_the_synsets(run_json, own, tmp_path):
    (tmp_path / "terms.csv").write_text("term,synonyms,concept,parent\nFlag,banner,our flag,\n")
    value = run_json("words", own, "--vocabulary", f"terms:{tmp_path / 'terms.csv'}", "--min-count", 2)
    assert value["vocabulary"] == "terms"
    assert "our flag" in dict(value["top"])
    keys = load_vocabulary(Catalog.open(own), "terms").keys
    assert "term:our flag" in keys and any(key.startswith("wn30:") for key in keys)
    assert "words_synset" in Catalog.open(own).columns


def test_an_edited_vocabulary_is_given_back(run_json, own, tmp_path):
    file = own / "_synsight" / "vocabulary_synset.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(lines[:6]), encoding="utf-8")
    value = run_json(
        "words", own, "--text-columns", "caption,keywords", "--vocabulary-file", tmp_path / "few.csv"
    )
    assert value["vocabulary_size"] == 5
    assert {one["class"] for one in load_vocabulary(Catalog.open(own)).table.to_pylist()} == set(range(5))


def test_japanese_captions_name_the_same_concepts(run, run_json, own):
    pytest.importorskip("sudachidict_core")
    value = run_json("words", own, "--text-columns", "caption_ja", "--min-count", 2)
    assert value["languages"]["ja"] > 150
    assert "flag" in dict(value["top"])
    code, out, err = run("words", own, "--text-columns", "caption_ja", "--min-count", 2)
    assert code == 0, err
    assert "languages" in out and "ja " in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--vocabulary", "terms"], 2, "needs a file, as terms:our_words.csv"),
        (["--vocabulary", "terms:nowhere.csv"], 1, "nowhere.csv: expected a CSV or Parquet file"),
        (["--vocabulary-file", "nowhere.csv"], 1, "nowhere.csv: expected a CSV or Parquet file"),
        (["--language", "jp"], 2, "ja"),
        (["--vocabulary-file", "a.csv", "--min-count", "2"], 2, "leave min_count out"),
    ],
)
def test_what_is_wrong_is_one_sentence(run, own, arguments, code, sentence):
    found, _, err = run("words", own, *arguments)
    assert (found, err.count("\n")) == (code, 1)
    assert sentence in err


def test_neither_a_catalog_nor_a_caption_is_wrong_usage(run):
    code, _, err = run("words")
    assert (code, err.count("\n")) == (2, 1)
    assert "as `synsight words cat/`, or a caption to --explain" in err
