"""The verb `words`: counts on train, one commit, goes on after any interruption, and says what is wrong."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captions import COMMIT, SCHEMA, make_catalog, many_captions

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, DataError, UsageError
from synsight.language import find_words as words
from synsight.language import labelling, load_vocabulary
from synsight.language.labelling import WordStage
from synsight.records import as_json

ROWS = [
    {"caption": "a dog and a cat", "keywords": ["tree"]},
    {"caption": "dogs", "keywords": []},
    {"caption": None, "keywords": None},
    {"caption": "white gramastar", "keywords": ["dog"]},
    {"caption": "two zebras and a dog", "split": "val"},
    {"caption": "zebra", "split": "test"},
]


def word_lists(catalog: Catalog | Path) -> list[list[str]]:
    opened = Catalog.open(catalog) if isinstance(catalog, Path) else catalog
    names = load_vocabulary(opened).names
    return [[names[one] for one in row] for row in opened.table(["words_synset"])["words_synset"].to_pylist()]


def test_classes_are_counted_on_the_train_split_and_found_on_all_rows(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    summary = words(tmp_path / "cat", min_count=1)
    assert word_lists(tmp_path / "cat") == [["dog", "cat"], ["dog"], [], [], ["dog"], []]
    assert (summary.captions, summary.vocabulary_size) == (6, 2)
    assert summary.share_with_word == pytest.approx(3 / 6)
    assert summary.words_per_caption == pytest.approx(4 / 6)
    assert list(summary.top) == [("dog", 2), ("cat", 1)]
    assert list(summary.unmatched) == [("gramastar", 1)]
    assert as_json(summary)["captions"] == 6


def test_without_a_split_column_all_rows_count(tmp_path):
    schema = pa.schema([field for field in SCHEMA if field.name != "split"])
    make_catalog(tmp_path / "cat", ROWS, schema=schema)
    words(tmp_path / "cat", min_count=2)
    assert word_lists(tmp_path / "cat")[-2:] == [["dog", "zebra"], ["zebra"]]


def test_the_threshold_drops_rare_classes(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    words(tmp_path / "cat", min_count=2)
    assert word_lists(tmp_path / "cat")[0] == ["dog"]


def test_any_text_or_list_of_text_may_be_read(tmp_path):
    make_catalog(tmp_path / "cat", [{**row, "title": "a car"} for row in ROWS])
    words(tmp_path / "cat", text_columns=("keywords", "title"), min_count=1)
    assert sorted(word_lists(tmp_path / "cat")[0]) == ["car", "tree"]


def test_hypernyms_add_what_a_synset_is_a_kind_of_but_nothing_that_is_nearly_always_true(tmp_path):
    rows = [
        {"caption": "dog"},
        {"caption": "cat"},
        {"caption": "rose"},
        {"caption": "tulip"},
        {"caption": "car"},
    ]
    make_catalog(tmp_path / "cat", rows)
    words(tmp_path / "cat", min_count=1, hypernyms=True)
    found = word_lists(tmp_path / "cat")
    assert "carnivore" in found[0] and "carnivore" in found[1] and "plant" in found[2]
    assert not any("entity" in row for row in found)


def test_compat_corenet_gives_the_released_labels(tmp_path):
    make_catalog(tmp_path / "cat", [{"caption": "a kid with a photo of a dog, white"}])
    words(tmp_path / "cat", min_count=1, compat="corenet")
    assert sorted(word_lists(tmp_path / "cat")[0]) == ["White", "dog"]


def test_the_column_names_its_vocabulary_and_settings_in_one_commit(tmp_path):
    before = make_catalog(tmp_path / "cat", ROWS).version
    words(tmp_path / "cat", min_count=1)
    catalog = Catalog.open(tmp_path / "cat")
    assert catalog.version == before + 1
    field = catalog.schema.field("words_synset")
    assert field.type == pa.list_(pa.int32())
    assert field.metadata[b"synsight.vocabulary"].decode() == load_vocabulary(catalog).digest
    assert b'"min_count": 1' in field.metadata[b"synsight.settings"]
    version = catalog.versions()[-1]
    assert (version.verb, version.counts["classes"]) == ("words", 2)
    assert version.config["text_columns"] == ["caption"]


def test_a_finished_call_does_nothing_and_answers_the_same(tmp_path, monkeypatch):
    make_catalog(tmp_path / "cat", ROWS)
    first = words(tmp_path / "cat", min_count=1)
    version = Catalog.open(tmp_path / "cat").version
    monkeypatch.setattr(WordStage, "__call__", None)
    assert as_json(words(tmp_path / "cat", min_count=1)) == as_json(first)
    assert Catalog.open(tmp_path / "cat").version == version


def test_another_threshold_makes_another_vocabulary_and_old_versions_keep_theirs(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    words(tmp_path / "cat", min_count=1)
    old = Catalog.open(tmp_path / "cat")
    words(tmp_path / "cat", min_count=2)
    assert len(load_vocabulary(old)) == 2
    assert len(load_vocabulary(Catalog.open(tmp_path / "cat"))) == 1


def test_columns_may_be_made_anew_again_and_again_with_other_settings(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    words(tmp_path / "cat", min_count=1)
    first, kept = word_lists(tmp_path / "cat"), Catalog.open(tmp_path / "cat").table(["id", "caption"])
    words(tmp_path / "cat", min_count=2)  # moves one of the two columns behind the other
    words(tmp_path / "cat", min_count=1, text_columns=["caption", "id"])  # makes both anew
    words(tmp_path / "cat", min_count=1, hypernyms=True)
    words(tmp_path / "cat", min_count=1)
    assert word_lists(tmp_path / "cat") == first
    assert Catalog.open(tmp_path / "cat").table(["id", "caption"]) == kept


def test_new_rows_are_labelled_by_the_same_command(tmp_path):
    catalog = make_catalog(tmp_path / "cat", ROWS)
    words(tmp_path / "cat", min_count=1)
    catalog = Catalog.open(tmp_path / "cat")
    new = pa.Table.from_pylist(
        [{"id": "n", "image": b"x", "caption": "cats", "split": "train"}], schema=SCHEMA
    )
    wide = new.append_column(catalog.schema.field("words_synset"), pa.nulls(1, pa.list_(pa.int32())))
    catalog.append(catalog.write_fragment(wide.combine_chunks().to_batches()[0]), commit=COMMIT)
    words(tmp_path / "cat", min_count=1)
    assert word_lists(tmp_path / "cat")[-1] == ["cat"]


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"text_columns": ["captoin"]}, DataError, "did you mean 'caption'?"),
        (
            {"text_columns": ["number"]},
            DataError,
            "expected text or lists of text in column 'number', found int32",
        ),
        ({"text_columns": []}, ConfigError, "at least one column"),
        ({"min_count": 0}, ConfigError, "min_count must be >= 1; got 0."),
        ({"min_count": 9}, DataError, "no word stands in at least 9 of 4 train rows"),
        ({"vocabulary": "sinset"}, UsageError, "did you mean 'synset'?"),
        ({"compat": "corent"}, UsageError, "did you mean 'corenet'?"),
    ],
)
def test_a_wrong_argument_is_one_clear_sentence_and_changes_nothing(tmp_path, arguments, error, sentence):
    version = make_catalog(tmp_path / "cat", ROWS).version
    with pytest.raises(error) as raised:
        words(tmp_path / "cat", **arguments)
    assert sentence in str(raised.value)
    assert Catalog.open(tmp_path / "cat").version == version


def test_no_train_rows_is_one_clear_sentence(tmp_path):
    make_catalog(tmp_path / "cat", [{"caption": "dog", "split": "test"}])
    with pytest.raises(DataError, match="no row has split 'train'"):
        words(tmp_path / "cat")


def test_a_vocabulary_with_edited_names_is_used_and_one_with_edited_keys_is_refused(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    words(tmp_path / "cat", min_count=1)
    path = tmp_path / "cat" / "_synsight" / "vocabulary_synset.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(2, "name", pa.array(["Hund", "Katze"])), path)
    assert load_vocabulary(Catalog.open(tmp_path / "cat")).names == ["Hund", "Katze"]
    pq.write_table(table.set_column(1, "key", pa.array(["wn30:n00001740", "wn30:n02121620"])), path)
    assert load_vocabulary(Catalog.open(tmp_path / "cat")).names == ["dog", "cat"]
    for archived in (tmp_path / "cat" / "_synsight" / "vocabularies").iterdir():
        archived.unlink()
    with pytest.raises(DataError, match="undo changes to its keys"):
        load_vocabulary(Catalog.open(tmp_path / "cat"))


def test_an_error_in_the_second_pass_leaves_the_catalog_and_no_work_is_lost(tmp_path, monkeypatch):
    version = make_catalog(tmp_path / "cat", ROWS).version

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "add_columns", full_disk)
        with pytest.raises(OSError, match="full"):
            words(tmp_path / "cat", min_count=1)
    assert Catalog.open(tmp_path / "cat").version == version
    monkeypatch.setattr(WordStage, "__call__", None)  # the first pass is done
    words(tmp_path / "cat", min_count=1)
    assert word_lists(tmp_path / "cat")[1] == ["dog"]


def kill_words(path: Path, kills: int, seconds: float) -> int:
    """Kill the program so many times at random moments; how many kills hit it at work."""
    draw, hits = random.Random(kills), 0
    for _ in range(kills):
        program = Path(__file__).with_name("killed_words.py")
        process = subprocess.Popen(
            [sys.executable, str(program), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, seconds))
        process.kill()
        hits += "done" not in process.communicate()[0]
        catalog = Catalog.open(path)
        assert catalog.count_rows() == 20_000
        if "words_synset" in catalog.columns:
            load_vocabulary(catalog)
    return hits


def check_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    rows = many_captions(20_000)
    make_catalog(tmp_path / "killed", rows)
    make_catalog(tmp_path / "whole", rows)
    assert kill_words(tmp_path / "killed", kills, 0.8) > 0
    monkeypatch.setattr(labelling, "ROWS_PER_CHUNK", 500)
    assert as_json(words(tmp_path / "killed")) == as_json(words(tmp_path / "whole"))
    assert word_lists(tmp_path / "killed") == word_lists(tmp_path / "whole")


def test_words_killed_three_times_is_finished_by_the_same_command(tmp_path, monkeypatch):
    check_kills(tmp_path, monkeypatch, 3)


@pytest.mark.slow
def test_words_killed_a_hundred_times_is_finished_by_the_same_command(tmp_path, monkeypatch):
    check_kills(tmp_path, monkeypatch, 100)
