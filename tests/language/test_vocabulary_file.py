"""An edited vocabulary given back: rows removed are dropped, rows of one name are one class."""

import csv

import pytest
from captions import make_catalog

from synsight.data.catalog import Catalog
from synsight.errors import DataError, UsageError
from synsight.language import Vocabulary, find_words, load_vocabulary

ROWS = [
    {"caption": "a dog and a cat"},
    {"caption": "a cat and a kitten"},
    {"caption": "a kitten"},
    {"caption": "a zebra"},
    {"caption": "a zebra and a dog", "split": "test"},
]


@pytest.fixture
def words(tmp_path):
    """A catalog with words, and its vocabulary as rows to edit."""
    make_catalog(tmp_path / "cat", ROWS)
    find_words(tmp_path / "cat", min_count=1)
    with (tmp_path / "cat" / "_synsight" / "vocabulary_synset.csv").open(encoding="utf-8") as file:
        return tmp_path / "cat", list(csv.DictReader(file))


def write(path, rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def classes(path) -> list[list[str]]:
    catalog = Catalog.open(path)
    names = load_vocabulary(catalog).names
    return [
        [names[one] for one in row] for row in catalog.table(["words_synset"])["words_synset"].to_pylist()
    ]


def test_a_row_removed_is_dropped_and_rows_of_one_name_are_one_class(words, tmp_path):
    path, rows = words
    assert {row["name"] for row in rows} == {"dog", "cat", "kitten", "zebra"}
    edited = [{**row, "name": "feline" if row["name"] in ("cat", "kitten") else row["name"]} for row in rows]
    write(tmp_path / "edited.csv", [row for row in edited if row["name"] != "dog"])
    summary = find_words(path, vocabulary_file=tmp_path / "edited.csv")
    assert summary.vocabulary_size == 2
    assert classes(path) == [["feline"], ["feline"], ["feline"], ["zebra"], ["zebra"]]
    table = load_vocabulary(Catalog.open(path)).table.to_pylist()
    feline = next(row for row in table if row["name"] == "feline")
    assert (feline["count"], len(feline["also"])) == (3, 1)


def test_a_file_given_back_unchanged_changes_no_class(words, tmp_path):
    path, rows = words
    before = classes(path)
    digest = load_vocabulary(Catalog.open(path)).digest
    write(tmp_path / "same.csv", rows)
    find_words(path, vocabulary_file=tmp_path / "same.csv")
    assert classes(path) == before
    assert load_vocabulary(Catalog.open(path)).digest == digest
    version = Catalog.open(path).version
    find_words(path, vocabulary_file=tmp_path / "same.csv")
    assert Catalog.open(path).version == version


def test_merged_classes_survive_saving_and_a_second_edit(words, tmp_path):
    path, rows = words
    write(tmp_path / "one.csv", [{**row, "name": "animal"} for row in rows])
    find_words(path, vocabulary_file=tmp_path / "one.csv")
    vocabulary = load_vocabulary(Catalog.open(path))
    assert (len(vocabulary), len(vocabulary.all_keys[0])) == (1, 4)
    vocabulary.save(tmp_path / "again.parquet")
    assert Vocabulary.load(tmp_path / "again.parquet").all_keys == vocabulary.all_keys
    find_words(path, vocabulary_file=tmp_path / "again.parquet")
    assert load_vocabulary(Catalog.open(path)).digest == vocabulary.digest


def test_another_catalog_gets_the_same_classes_also_those_it_has_no_row_of(words, tmp_path):
    path, _ = words
    make_catalog(tmp_path / "other", [{"caption": "a dog"}])
    file = path / "_synsight" / "vocabulary_synset.parquet"
    find_words(tmp_path / "other", vocabulary_file=file)
    ours, theirs = (load_vocabulary(Catalog.open(one)) for one in (path, tmp_path / "other"))
    assert ours.keys == theirs.keys
    assert sorted(theirs.table["count"].to_pylist()) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("key\nwn30:n02084071\n", "expected a column 'name', found key"),
        ("key,name\n", "expected a row for each class, found none"),
        ("key,name\nwn30:n02084071,\n", "line 2: expected a name for 'wn30:n02084071'"),
        ("key,name\ndog,dog\n", "line 2: expected a synset key"),
        ("key,name\nwn30:n00000001,dog\n", "line 2: expected the offset of a noun synset"),
        ("key,name\nterm:valve,valve\n", "say where it is defined, as --vocabulary terms:FILE"),
        (
            "key,name\nwn30:n02084071,dog\nwn30:n02084071,cat\n",
            "line 3: wn30:n02084071 stands in line 2 too; keep one row",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_line(words, tmp_path, text, sentence):
    path, _ = words
    version = Catalog.open(path).version
    (tmp_path / "wrong.csv").write_text(text)
    with pytest.raises(DataError) as raised:
        find_words(path, vocabulary_file=tmp_path / "wrong.csv")
    assert sentence in str(raised.value)
    assert Catalog.open(path).version == version


def test_a_threshold_beside_a_file_is_refused(words):
    path, _ = words
    with pytest.raises(UsageError, match="leave min_count out"):
        find_words(path, vocabulary_file=path / "_synsight" / "vocabulary_synset.csv", min_count=2)
