"""What the captions are worth as supervision, and whether language guidance is likely to pay here.

**Effective captions**: how many images have a clean, matching caption of their own,

    E = sum over usable rows of  matching_i / times_i

where a row is usable if, without what stands on many images, something is left that can teach (no bare code,
camera name or broken text); `times_i` is the number of images (groups of images) that have what is left, so
that a text on a hundred images counts once; `matching_i` is the chance that the caption belongs to the image,
1 where that was not looked at or could not be told.

**The verdict** looks at five numbers. Three are shares: more than half is well, less than a quarter speaks
against. Marks are round numbers; one of them was moved by measurement, as said there.

1. Enough of them: at least 1,000 effective captions; below 200 labels by hand are cheaper (10 s each: half an
   hour). Captions help where pairs are many (Santurkar et al. 2022, "Is a caption worth a thousand images?").
2. On most images: E / rows. A row without a caption of its own is not guided.
3. In shared words: the share of images whose effective caption has a word that five of them have. The same
   paper finds that captions teach when they describe and say the same of the same; a word that stands on
   fewer than five images is no class of our vocabularies (CatLIP's threshold, arXiv 2404.15653, scaled down).
   Here less than a tenth speaks against: recipes that predict words still gained by captions with 11% and
   23%, and no more with 7% (docs/results/caption-quality.md).
4. Words a caption: known nouns in a usable caption; below one there is less than a label an image.
5. Matching: the chance that two captions both match, p^2: a pair of LGSimCLR (arXiv 2302.12248) is right only
   if both do, and repaired captions paid in the reproducibility study (arXiv 2504.08140).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synsight.curation.audit.caption_checks import CaptionCheck
from synsight.curation.audit.mismatch import MismatchResult

Judgement = Literal["likely", "uncertain", "unlikely"]

ENOUGH, TOO_FEW = 1000.0, 200.0
"""Effective captions: some hours of labelling by hand, and less than one."""
MOST, FEW = 0.5, 0.25
FEW_SHARE_WORDS = 0.1
NOUNS_ENOUGH, NOUNS_TOO_FEW = 1.0, 0.5
WIDEST_INTERVAL = 0.5
"""Of the share of mismatched captions; a wider one says nothing, and is not used."""
WORD_ROWS = 5
"""Captions that must share a word before it can be learnt."""


@dataclass(frozen=True)
class Verdict:
    """Whether language guidance is likely to pay, why, and the numbers it rests on."""

    judgement: Judgement
    reasons: tuple[str, ...]
    numbers: Mapping[str, float]

    @property
    def effective_captions(self) -> float:
        """E, see the module."""
        return self.numbers["effective_captions"]


def judge(check: CaptionCheck, *, mismatch: MismatchResult | None = None) -> Verdict:
    """Judge captions.

    Args:
        check: What was found in the captions of N rows.
        mismatch: Whether they belong to their images; None: not looked at.
    """
    numbers = caption_numbers(check, mismatch=mismatch)
    readings = [
        _of_number(numbers["effective_captions"]),
        _of_share(numbers["share_effective"]),
        _of_words(numbers["share_guided"]),
        _of_nouns(numbers["nouns_per_caption"], numbers["words_per_caption"]),
    ]
    if "share_matching" in numbers:
        readings.append(_of_matching(numbers["share_matching"], 1 - numbers["mismatch_low"]))
    marks = [mark for mark, _ in readings]
    judgement: Judgement = "unlikely" if -1 in marks else "likely" if min(marks) == 1 else "uncertain"
    reasons = [said for _, said in sorted(readings, key=lambda reading: reading[0])]
    if mismatch is None:
        reasons.append("Whether captions belong to their images was not looked at.")
    elif "share_matching" not in numbers:
        reasons.append("Whether captions belong to their images could not be told; --model may tell.")
    return Verdict(judgement, tuple(reasons), numbers)


def caption_numbers(check: CaptionCheck, *, mismatch: MismatchResult | None = None) -> dict[str, float]:
    """What the verdict rests on, by name.

    `share_*` are of all rows, but `*_per_caption` and `share_matching` are of the usable ones; `mismatch_low`
    and `mismatch_high` are the ends of the 95% interval of the share of captions that do not match.
    """
    rows, usable = len(check.is_usable), check.is_usable
    weights = np.zeros(rows)
    weights[usable] = 1.0 / check.times[usable]
    found = {
        "share_with_text": _mean(check.has_text),
        "share_usable": _mean(usable),
        "words_per_caption": _mean(check.num_words[usable]),
        "nouns_per_caption": _mean(np.diff(check.bounds)[usable]),
    }
    if mismatch is not None and mismatch.share_high - mismatch.share_low <= WIDEST_INTERVAL:
        matching = mismatch.matching
        known = usable & ~np.isnan(matching)
        found["share_matching"] = _mean(matching[known]) if known.any() else 1.0 - mismatch.share
        found |= {"mismatch_low": mismatch.share_low, "mismatch_high": mismatch.share_high}
        weights *= np.where(np.isnan(matching), found["share_matching"], matching)
    effective = float(weights.sum())
    guided = float(weights[has_shared_word(check)].sum())
    return {
        "effective_captions": effective,
        "share_effective": effective / max(rows, 1),
        "share_guided": guided / max(rows, 1),
        **found,
    }


def has_shared_word(check: CaptionCheck) -> np.ndarray:
    """Whether a usable caption has a word that `WORD_ROWS` usable captions have, bool [N].

    A caption that several groups of images share counts once: what only it says is no word in common.
    """
    rows = np.repeat(np.arange(len(check.is_usable)), np.diff(check.bounds))
    usable = check.is_usable[rows]
    words, rows = check.words[usable], rows[usable]
    distinct, places = np.unique(words, return_inverse=True)
    weight = np.bincount(places, 1.0 / check.times[rows], minlength=len(distinct))
    found = np.zeros(len(check.is_usable), bool)
    # The thirds of three images that share a caption add up to a little less than 1.
    found[rows[weight[places] >= WORD_ROWS - 1e-6]] = True
    return found


def _of_number(effective: float) -> tuple[int, str]:
    said = f"{effective:,.0f} captions are worth something: usable, matching, each text counted once"
    if effective >= ENOUGH:
        return 1, f"{said}."
    hours = effective * 10 / 3600
    label = "less than an hour" if hours < 1 else f"{hours:.1f} hours"
    return (-1 if effective < TOO_FEW else 0), f"Only {said}; as many labels by hand take {label}."


def _of_share(share: float) -> tuple[int, str]:
    if share >= MOST:
        return 1, f"They are {share:.0%} of the images, so most of a batch is guided."
    side = "fewer than a quarter" if share < FEW else "less than half"
    return _mark(share), f"They are {share:.0%} of the images, {side}: the others learn nothing from text."


def _of_words(share: float) -> tuple[int, str]:
    said = f"{share:.0%} of the images have such a caption with a word that {WORD_ROWS} of them share"
    if share >= MOST:
        return 1, f"{said}, so there is something to learn in common."
    mark = _mark(share, few=FEW_SHARE_WORDS)
    return mark, f"Only {said}; what is said once cannot be learnt. Keywords or own terms may help."


def _of_nouns(nouns: float, words: float) -> tuple[int, str]:
    said = f"{nouns:.1f} known nouns a caption ({words:.1f} words between blanks)"
    if nouns >= NOUNS_ENOUGH:
        return 1, f"Captions are descriptive: {said}."
    return (
        -1 if nouns < NOUNS_TOO_FEW else 0
    ), f"Captions say little: {said}; that is less than a label an image."


def _of_matching(share: float, at_most: float) -> tuple[int, str]:
    """Against it only if even the better end of the interval is too low."""
    pairs = share**2
    said = f"About {share:.0%} of the captions match their image"
    if pairs >= MOST:
        return 1, f"{said}, so {pairs:.0%} of the pairs that captions choose are right."
    mark = -1 if at_most**2 < FEW else 0
    return mark, f"{said}, so only {pairs:.0%} of the pairs that captions choose are right; repair first."


def _mark(share: float, *, few: float = FEW) -> int:
    return 1 if share >= MOST else -1 if share < few else 0


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
