import pyarrow as pa
import pytest

from synsight.data import Catalog, Commit
from synsight.workflow.caption_facts import caption_facts, holds, label_leak, text_of


def catalog_of(path, rows) -> Catalog:
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("caption", pa.string()),
            ("keywords", pa.list_(pa.string())),
            ("label", pa.string()),
            ("group", pa.string()),
            ("split", pa.string()),
        ]
    )
    catalog = Catalog.create(path, schema, commit=Commit(verb="ingest"))
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return Catalog.open(path)


def row(number, caption, *, group=None, split="train", label="dog", keywords=()):
    return {
        "id": str(number),
        "caption": caption,
        "keywords": list(keywords),
        "label": label,
        "group": group or str(number),
        "split": split,
    }


@pytest.mark.parametrize(
    ("value", "label", "expected"),
    [
        ("a Dog on grass", "dog", True),
        ("hotdog stand", "dog", False),
        ("flag: Malta", "flags", False),
        ("Food & drink: tea", "food-drink", True),
        ("food to drink", "food-drink", False),
        ("food_drink", "food-drink", True),
        (["dog", "pet"], "Dog", True),
        (["dog house"], "dog", False),
        ([None, "cat"], "dog", False),
        (None, "dog", False),
        ("anything", "--", False),
    ],
)
def test_a_caption_contains_the_label_and_a_keyword_is_it(value, label, expected):
    assert holds(value, label) is expected


def test_the_leak_is_the_share_of_labelled_rows_outside_the_test_split(tmp_path):
    rows = [
        row(0, "a dog"),
        row(1, "a beagle", split="val"),
        row(2, "a dog", split="test"),
        row(3, "a dog", label=None),
    ]
    assert label_leak(catalog_of(tmp_path / "cat", rows), "caption", label="label") == 0.5


def test_a_caption_is_repeated_when_another_group_has_it_too(tmp_path):
    rows = [
        row(0, "red car", group="a"),
        row(1, "Red car ", group="a"),
        row(2, "blue car", group="b"),
        row(3, "blue car", group="c"),
        row(4, "", group="d"),
        row(5, None, group="e"),
        row(6, "blue car", group="f", split="test"),
        row(7, "green car", group="g"),
    ]
    facts = caption_facts(catalog_of(tmp_path / "cat", rows), "caption")
    assert facts.rows == 7
    assert facts.without_caption == pytest.approx(2 / 7)
    assert facts.repeated == pytest.approx(2 / 7)
    assert facts.boilerplate == 0


def test_a_caption_of_more_than_ten_groups_is_boilerplate(tmp_path):
    rows = [row(number, "IMG" if number < 11 else f"thing {number}") for number in range(20)]
    facts = caption_facts(catalog_of(tmp_path / "cat", rows), "caption")
    assert facts.boilerplate == pytest.approx(11 / 20)


def test_keywords_are_read_as_one_text():
    assert text_of(["a", None, "b"]) == "a, b"
    assert text_of(None) == ""
