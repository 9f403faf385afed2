"""Captions cut into passages, what repeats, and what is left without it."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from synsight.curation.outlines import OutlineStage
from synsight.curation.passages import key_of, passages, plain_text, text_key, without_templates
from synsight.curation.repetition import outline, owners_of, owners_per_key, templates, times


def counted(captions: list[str], groups: list[str] | None = None):
    columns = {"caption": pa.array(captions), **({} if groups is None else {"group": pa.array(groups)})}
    return outline([OutlineStage(("caption",))(pa.record_batch(columns))])


def words(number: int) -> str:
    """A caption of its own for each number, without digits."""
    return " ".join(chr(97 + int(digit)) * (place + 2) for place, digit in enumerate(str(number)))


def test_a_caption_is_cut_at_sentences_brackets_and_dashes():
    cut = [one.plain for one in passages("Clipart by Nicu - pear. A pear (ripe). 犬です。猫です。")]
    assert cut == ["clipart by nicu", "pear", "a pear", "ripe", "犬です", "猫です"]


def test_a_counter_hides_no_template_but_parts_whole_captions():
    assert [one.plain for one in passages("frame 0012 of film 3")] == ["frame 0 of film 0"]
    assert text_key("frame 12") != text_key("frame 13")


def test_captions_that_say_the_same_have_one_key():
    assert text_key("A Dog.") == text_key("  a   dog") == text_key("Ａ dog!")
    assert text_key("keycap: *") != text_key("keycap: #")
    assert text_key("...") == text_key("") == 0


def test_a_template_is_cut_out_and_the_rest_stays_as_found():
    known = {key_of("part of the flat icon collection")}
    assert without_templates("Part of the Flat Icon Collection", known) == ("", 1.0)
    rest, share = without_templates("Red Heart. Part of the Flat Icon Collection!", known)
    assert rest == "Red Heart"
    assert 0.7 < share < 0.9
    assert without_templates("A flat icon", known) == ("A flat icon", 0.0)


def test_the_first_words_of_every_caption_are_a_template():
    captions = [f"This is a nice picture of {words(number)} today" for number in range(100, 160)] + [
        words(n) for n in range(200, 300)
    ]
    found = templates(counted(captions))
    rest, share = without_templates("This is a nice picture of two cats", found)
    assert rest == "of two cats"
    assert 0.5 < share < 0.9


def test_one_text_on_many_images_is_a_template_and_one_on_few_is_none():
    captions = ["Lemon theme"] * 12 + ["apple"] * 9 + [words(number) for number in range(100, 300)]
    found = templates(counted(captions))
    assert found == {text_key("lemon theme")}


def test_class_names_are_no_templates_but_a_sentence_on_every_image_is():
    names = ["dog", "cat", "car", "tree", "house", "boat", "bird", "fish", "horse", "cow"] * 100
    assert templates(counted(names)) == frozenset()
    said = [f"{name}. Copyright of the example company" for name in names]
    rest = {without_templates(one, templates(counted(said)))[0] for one in said}
    assert rest == set(names)


def test_three_sentences_on_everything_are_templates():
    captions = ["image not available", "no description", "coming soon"] * 50
    assert len(templates(counted(captions))) == 3


def test_images_of_one_group_may_share_a_caption():
    captions = ["dog", "dog", "dog", "cat", "cat"]
    found = counted(captions, groups=["a", "a", "b", "c", "c"])
    assert times(found.texts, found.owners).tolist() == [2, 2, 2, 1, 1]
    assert found.num_owners == 3


def test_rows_count_where_groups_are_large_and_where_there_is_none():
    lots = np.repeat(np.array([7, 8], np.uint64), 20)
    assert len(set(owners_of(lots).tolist())) == 40
    assert owners_of(np.array([0, 5, 5, 0], np.uint64)).tolist() == [1, 5, 5, 4]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=40))
def test_owners_are_counted_as_plain_loops_count_them(pairs):
    keys, owners = (np.array([pair[side] for pair in pairs], np.uint64) for side in (0, 1))
    expected = Counter(key for key, _ in set(pairs) if key)
    found = owners_per_key(keys, owners)
    assert dict(zip(found[0].tolist(), found[1].tolist(), strict=True)) == dict(expected)
    assert times(keys, owners).tolist() == [expected[key] for key, _ in pairs]


@given(st.text(max_size=200), st.data())
def test_any_text_is_cut_and_loses_only_what_is_a_template(text, data):
    cut = passages(text)
    assert all(one.plain and one.text for one in cut)
    keys = [key for one in cut for key in one.keys()]  # noqa: SIM118  no mapping
    known = set(data.draw(st.lists(st.sampled_from(keys), max_size=3))) if keys else set()
    rest, share = without_templates(text, known)
    assert 0 <= share <= 1
    if not known:
        assert (rest, share) == (text, 0.0)
    assert len(plain_text(rest)) <= len(plain_text(text))
