import pickle
import sys

import numpy as np
import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_text_models import sample_captions

from synsight.errors import ConfigError, MissingDependency
from synsight.models.text import TextTokeniser, tokens

TOKENISER = TextTokeniser.load()
HOSTILE = [
    "",
    " ",
    "a\x00b\tc\nd",
    "AT&amp;T &lt;b&gt; &copy 2020 & co",
    "<start_of_text>x<end_of_text>y",
    "ΟΔΟΣ ΣΟΦΙΑ",
    "“quotes” don't it's we'll",
    "naïve café ﬁne ١٢٣ 3rd",
    "🐕‍🦺 👩🏽‍🚀",
    "!!! ?! --",
    "schÃ¶n",
    "a  b   c",
    "\u00a0non\u2009breaking\u3000space",
]


@pytest.mark.parametrize("context_length", [77, 6, 2])
def test_gives_what_open_clips_tokeniser_gives(context_length):
    captions = [
        *sample_captions(),
        *sample_captions(column="caption_ja"),
        *sample_captions(sample="clipart"),
        *HOSTILE,
    ]
    ours = TOKENISER.encode_batch(captions, context_length)
    theirs = open_clip.tokenize(captions, context_length)
    assert ours.dtype == np.int32 and np.array_equal(ours, theirs.numpy())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=4))
def test_gives_what_open_clips_tokeniser_gives_for_any_text(texts):
    theirs = open_clip.tokenize(texts, 16).numpy() if texts else np.zeros((0, 16))
    assert np.array_equal(TOKENISER.encode_batch(texts, 16), theirs)


def test_a_row_is_start_ids_end_and_zeros():
    row = TOKENISER.encode_batch(["a red car"], 8)[0].tolist()
    ids = TOKENISER.token_ids("a red car")
    assert row == [TOKENISER.start_id, *ids, TOKENISER.end_id, 0, 0, 0]
    assert [TOKENISER.token_text(one) for one in ids] == ["a", "red", "car"]


def test_a_caption_that_is_cut_keeps_its_end():
    row = TOKENISER.encode_batch(["one two three four five six"], 5)[0]
    assert row[0] == TOKENISER.start_id and row[-1] == TOKENISER.end_id
    assert row[1:-1].tolist() == TOKENISER.token_ids("one two three")


def test_labels_of_a_caption_never_hold_the_marks():
    ids = TOKENISER.token_ids("x <start_of_text> y <END_OF_TEXT>")
    assert ids == TOKENISER.token_ids("x y")
    assert max(ids) < TOKENISER.start_id < TOKENISER.end_id < TOKENISER.vocab_size


def test_a_word_without_end_is_read_in_parts():
    part, rest = (TOKENISER.token_ids("xy" * pairs) for pairs in (128, 4000 % 256 // 2))
    assert TOKENISER.token_ids("xy" * 5000) == part * (4000 // 256) + rest


def test_remembers_a_bounded_number_of_words(monkeypatch):
    monkeypatch.setattr(tokens, "MAX_PIECES", 10)
    small = TextTokeniser()
    captions = sample_captions(every=9)
    assert np.array_equal(small.encode_batch(captions, 20), TOKENISER.encode_batch(captions, 20))
    assert len(small._pieces) == 10
    assert len(small._bpe.cache) == 2  # the marks


def test_reaches_a_worker_process_without_its_table():
    assert len(pickle.dumps(TOKENISER)) < 200
    assert pickle.loads(pickle.dumps(TOKENISER)) is TOKENISER


def test_a_context_without_room_is_refused():
    with pytest.raises(ConfigError, match="context_length must be >= 2, for start and end; got 1"):
        TOKENISER.encode_batch(["a"], 1)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    for name in ("open_clip", "open_clip.tokenizer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=r'sub-words needs .*pip install "synsight\[text\]"'):
        TextTokeniser()
