"""The flags of an audit: what each says about a row, and what can be done."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "caption", "pair", "split"]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag."""

    kind: Kind
    meaning: str
    advice: str
    takes: float = 0.0
    """Share of a caption's worth that it takes away at full strength, for `caption_score`."""


FLAGS = {
    "unreadable": Flag(
        kind="image", meaning="The image cannot be decoded.", advice="Leave the row out or mend the file."
    ),
    "tiny": Flag(
        kind="image", meaning="The image has too few pixels.", advice="Look for the original; else leave it."
    ),
    "blurred": Flag(
        kind="image", meaning="The image has no sharp edges.", advice="Take it again, or leave it out."
    ),
    "dark": Flag(kind="image", meaning="Nearly all of the image is black.", advice="Check the exposure."),
    "bright": Flag(
        kind="image",
        meaning="The image is burnt out, or too faint on white to see.",
        advice="Check the exposure.",
    ),
    "blank": Flag(kind="image", meaning="The image shows one colour only.", advice="Leave the row out."),
    "odd-aspect": Flag(
        kind="image",
        meaning="The image is far longer one way than the other.",
        advice="Cut it, or check that views keep what matters.",
    ),
    "duplicate": Flag(
        kind="image", meaning="The same image stands in another row.", advice="Keep one row of each set."
    ),
    "near-duplicate": Flag(
        kind="image",
        meaning="Nearly the same image stands in another row.",
        advice="Give such rows one group, so that no split parts them.",
    ),
    "leak": Flag(
        kind="split",
        meaning="The same or nearly the same image, or its group, stands in another split.",
        advice="Ingest with a group column, so that test images are unseen.",
    ),
    "empty": Flag(
        kind="caption",
        meaning="There is no caption, or one without a letter or digit.",
        advice="Borrow the keywords or write one: synsight repair.",
        takes=1.0,
    ),
    "boilerplate": Flag(
        kind="caption",
        meaning="The caption, or a sentence of it, stands on a great share of the images.",
        advice="Take the sentence out; where nothing is left, write a caption: synsight repair.",
        takes=1.0,
    ),
    "duplicated": Flag(
        kind="caption",
        meaning="An image of another group has the same caption.",
        advice="Such captions cannot tell images apart; exclude duplicates from neighbours.",
        takes=0.25,
    ),
    "too-short": Flag(
        kind="caption",
        meaning="The caption holds no word: fewer than three letters and no known noun.",
        advice="Add words: keywords, or a caption by synsight repair.",
        takes=1.0,
    ),
    "file-name": Flag(
        kind="caption",
        meaning="The caption is the name of a file.",
        advice="Its words are still read; names by a camera say nothing and need a caption.",
        takes=0.5,
    ),
    "id-like": Flag(
        kind="caption",
        meaning="The caption holds a number or code that names the item and not what is seen.",
        advice="Move codes to a column of their own.",
        takes=0.5,
    ),
    "date": Flag(
        kind="caption",
        meaning="The caption holds a date.",
        advice="Move dates to the column captured_at.",
        takes=0.1,
    ),
    "email": Flag(
        kind="caption",
        meaning="The caption holds an e-mail address.",
        advice="Personal data: take it out before anything is shared (synsight repair).",
        takes=0.1,
    ),
    "phone": Flag(
        kind="caption",
        meaning="The caption holds a telephone number.",
        advice="Personal data: take it out before anything is shared (synsight repair).",
        takes=0.1,
    ),
    "url": Flag(
        kind="caption",
        meaning="The caption holds a web address.",
        advice="Take it out (synsight repair); words are never read from it.",
        takes=0.1,
    ),
    "person-name": Flag(
        kind="caption",
        meaning="The caption seems to name a person.",
        advice="Personal data: check that you may keep it; take names out before sharing.",
        takes=0.1,
    ),
    "mojibake": Flag(
        kind="caption",
        meaning="The caption was read in the wrong encoding.",
        advice="Read the source again as UTF-8, or let synsight repair mend it.",
        takes=0.5,
    ),
    "other-language": Flag(
        kind="caption",
        meaning="The caption is in a language without a noun table here.",
        advice="Its words still count as sub-words: synsight words --vocabulary subword.",
        takes=0.25,
    ),
    "no-known-noun": Flag(
        kind="caption",
        meaning="No word of the caption is a noun that the vocabulary knows.",
        advice="Add your words with a terms file, read the keywords too, or use sub-words.",
        takes=0.5,
    ),
    "near-duplicate-text": Flag(
        kind="caption",
        meaning="An image of another group has nearly the same caption.",
        advice="Often a typing error or a counter; check that the images differ.",
    ),
    "mismatch": Flag(
        kind="pair",
        meaning="Image and caption seem not to belong together.",
        advice="Look at the examples; if files were mixed up, pair them again, else synsight repair.",
        takes=1.0,
    ),
}
"""Flag -> what it says, in the order pages and tables have."""

CAPTION_FLAGS = tuple(name for name, flag in FLAGS.items() if flag.kind in ("caption", "pair"))
"""Those of the column `caption_flags`."""
IMAGE_FLAGS = tuple(name for name, flag in FLAGS.items() if flag.kind in ("image", "split"))
"""Those of the column `image_flags`."""
