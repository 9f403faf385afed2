"""Effective captions by hand, and a verdict that follows what is wrong."""

import numpy as np
import pyarrow as pa
import pytest

from synsight.curation.audit.caption_checks import FINDINGS, CaptionCheck
from synsight.curation.audit.mismatch import MismatchResult
from synsight.curation.audit.verdict import caption_numbers, has_shared_word, judge


def check(
    *, usable: list[bool], times: list[int], words: list[list[int]], num_words: int = 4
) -> CaptionCheck:
    rows = len(usable)
    return CaptionCheck(
        table=FINDINGS.empty_table(),
        has_text=np.ones(rows, bool),
        is_usable=np.array(usable, bool),
        times=np.array(times, np.int64),
        num_words=np.full(rows, num_words, np.int32),
        words=np.array([word for row in words for word in row], np.int64),
        bounds=np.cumsum([0, *map(len, words)]),
        owners=np.arange(rows, dtype=np.uint64),
        languages={"en": rows},
    )


def judged(matching: np.ndarray, *, width: float = 0.1) -> MismatchResult:
    """What a mismatch check would say, with an interval of this width around the share."""
    share = 1 - float(np.nanmean(matching))
    return MismatchResult(
        table=FINDINGS.empty_table(),
        score=1 - matching.astype(np.float32),
        probability=1 - matching.astype(np.float32),
        share=share,
        share_low=max(share - width / 2, 0.0),
        share_high=min(share + width / 2, 1.0),
        agreement=0.9,
        method="by hand",
    )


def good(rows: int = 2000) -> CaptionCheck:
    return check(usable=[True] * rows, times=[1] * rows, words=[[n % 40, 100 + n % 30] for n in range(rows)])


def test_effective_captions_are_the_sum_that_the_page_states():
    found = check(
        usable=[True, True, True, False, True], times=[1, 2, 2, 0, 4], words=[[1], [2], [2], [], [3]]
    )
    matching = np.array([1.0, 0.5, 0.5, 0.0, np.nan])
    known = (1.0 + 0.5 + 0.5) / 3
    assert caption_numbers(found)["effective_captions"] == pytest.approx(1 + 0.5 + 0.5 + 0.25)
    numbers = caption_numbers(found, mismatch=judged(matching))
    assert numbers["effective_captions"] == pytest.approx(1 + 0.25 + 0.25 + 0.25 * known)
    assert numbers["share_effective"] == pytest.approx(numbers["effective_captions"] / 5)
    assert numbers["share_matching"] == pytest.approx(known)
    assert numbers["share_usable"] == pytest.approx(0.8)


def test_a_word_is_shared_when_five_different_captions_have_it():
    words = [[1]] * 5 + [[2]] * 5 + [[3]] * 4
    times = [1] * 5 + [5] * 5 + [1] * 4  # the second word stands in one caption on five images
    found = has_shared_word(check(usable=[True] * 14, times=times, words=words))
    assert found.tolist() == [True] * 5 + [False] * 9


def test_clean_captions_in_shared_words_are_likely_to_pay():
    verdict = judge(good())
    assert (verdict.judgement, verdict.effective_captions) == ("likely", 2000.0)
    assert verdict.reasons[0].startswith("2,000 captions")
    assert "was not looked at" in verdict.reasons[-1]


def test_boilerplate_on_most_images_makes_it_unlikely():
    rows = good()
    worse = check(
        usable=[n % 5 == 0 for n in range(2000)],
        times=[n % 5 == 0 for n in range(2000)],
        words=[[n % 40, 7] for n in range(2000)],
    )
    verdict = judge(worse)
    assert judge(rows).judgement == "likely"
    assert verdict.judgement == "unlikely"
    assert "20% of the images, fewer than a quarter" in verdict.reasons[0]


@pytest.mark.parametrize(("shared", "judgement"), [(0.6, "likely"), (0.12, "uncertain"), (0.08, "unlikely")])
def test_what_is_said_once_lowers_the_verdict(shared, judgement):
    words = [[n % 20] if n < 2000 * shared else [100 + n] for n in range(2000)]
    verdict = judge(check(usable=[True] * 2000, times=[1] * 2000, words=words))
    assert verdict.judgement == judgement
    assert f"{shared:.0%} of the images have such a caption with a word that 5 of them share" in " ".join(
        verdict.reasons
    )


@pytest.mark.parametrize(("matching", "judgement"), [(0.95, "likely"), (0.6, "uncertain"), (0.2, "unlikely")])
def test_mismatched_captions_lower_the_verdict(matching, judgement):
    verdict = judge(good(), mismatch=judged(np.full(2000, matching)))
    assert verdict.judgement == judgement
    assert f"About {matching:.0%} of the captions match" in " ".join(verdict.reasons)


def test_a_share_that_could_not_be_told_is_not_used():
    verdict = judge(good(), mismatch=judged(np.full(2000, 0.5), width=0.9))
    assert verdict.judgement == "likely"
    assert "could not be told" in verdict.reasons[-1]


def test_captions_without_nouns_and_too_few_captions_are_unlikely():
    rows = 2000
    no_nouns = check(usable=[True] * rows, times=[1] * rows, words=[[]] * rows)
    assert judge(no_nouns).judgement == "unlikely"
    few = judge(good(rows=100))
    assert few.judgement == "unlikely"
    assert few.reasons[0] == (
        "Only 100 captions are worth something: usable, matching, each text counted once; "
        "as many labels by hand take less than an hour."
    )


def test_an_empty_catalog_is_judged_without_a_fault():
    verdict = judge(check(usable=[], times=[], words=[]))
    assert (verdict.judgement, verdict.effective_captions) == ("unlikely", 0.0)
    assert pa.table({"n": list(verdict.numbers.values())}).num_rows == len(verdict.numbers)
