"""Files of sentences and of names, in the forms that CLIP_benchmark has."""

import json

import pytest

from synsight.errors import DataError, UsageError
from synsight.language.prompts import (
    TEMPLATES,
    default_templates,
    names_of_labels,
    read_class_names,
    read_templates,
)


@pytest.fixture
def written(tmp_path):
    def write(value):
        path = tmp_path / "file.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return write


def test_there_are_sentences_in_english_and_japanese_and_each_has_a_place_for_the_name():
    assert default_templates("en")[0] == "a photo of a {}."
    assert default_templates("ja")[0] == "{}の写真"
    assert all(one.count("{}") == 1 for some in TEMPLATES.values() for one in some)
    with pytest.raises(UsageError, match="there are no sentences in 'xyz'; known: en, ja"):
        default_templates("xyz")


def test_a_list_of_sentences_with_either_mark_is_read(written):
    path = written(["{c}の写真", "a {} in a {}", "the {c}."])
    assert read_templates(path) == ("{}の写真", "a {} in a {}", "the {}.")


def test_of_a_file_for_many_data_sets_one_is_read_by_name(written):
    path = written({"cifar10": ["a {c}."], "flowers": ["a {c}, a type of flower."]})
    assert read_templates(path, dataset="flowers") == ("a {}, a type of flower.",)
    with pytest.raises(
        UsageError, match=r"holds 2 data sets \(cifar10, flowers \.\.\.\), and none was named"
    ):
        read_templates(path)
    with pytest.raises(UsageError, match="there is no data set 'flower'; did you mean 'flowers'"):
        read_templates(path, dataset="flower")
    assert read_templates(written({"only": ["{c}"]})) == ("{}",)


@pytest.mark.parametrize("value", [[], ["a photo"], [1], "a {}", None, {"one": "a {}"}, ["{}" + "x" * 3000]])
def test_what_is_no_list_of_sentences_is_refused_with_what_was_found(written, value):
    with pytest.raises(DataError, match=r"expected a JSON list of sentences that hold '\{\}' or '\{c\}'"):
        read_templates(written(value))


def test_names_by_label_with_synonyms(written):
    path = written({"b": ["oak", "oak tree"], "a": "dog", "unused": "x"})
    assert read_class_names(path, ["a", "b"]) == [("dog",), ("oak", "oak tree")]
    with pytest.raises(DataError, match="list of names, for the label 'c', found none; add it"):
        read_class_names(path, ["a", "c"])


def test_names_by_number_where_labels_are_numbers_and_by_order_where_not(written):
    path = written({"set": [f"name{number}" for number in range(12)]})
    assert read_class_names(path, ["0", "10", "2"]) == [("name0",), ("name10",), ("name2",)]
    assert read_class_names(written(["cat", "dog"]), ["a", "b"]) == [("cat",), ("dog",)]
    for value, labels in ((["cat"], ["a", "b"]), (["cat", "dog", "cow"], ["a", "b"]), (["cat"], ["0", "1"])):
        with pytest.raises(DataError, match=f"a name for each of 2 labels, found {len(value)} names"):
            read_class_names(written(value), labels)


def test_a_data_set_is_asked_for_by_name_even_where_a_label_is_called_like_one(written):
    path = written({"cat": ["lion", "tiger"], "dog": ["wolf", "poodle"]})
    assert read_class_names(path, ["cat", "dog"]) == [("lion", "tiger"), ("wolf", "poodle")]
    assert read_class_names(path, ["cat", "dog"], dataset="dog") == [("wolf",), ("poodle",)]


@pytest.mark.parametrize("value", [3, "a", [["a"], ["b"]], {"a": " ", "b": "x"}, {"a": 1, "b": 2}])
def test_what_is_no_file_of_names_is_refused(written, value):
    with pytest.raises(DataError, match=r"expected (names of classes|a name)"):
        read_class_names(written(value), ["a", "b"])


def test_labels_name_themselves_with_blanks_for_underscores():
    assert names_of_labels(["gate_valve", "M8", "_"]) == [("gate valve",), ("M8",), ("_",)]
