"""Captions borrowed from keywords and from the same picture, and never from one that only looks like it."""

import io

import numpy as np
from PIL import Image, ImageDraw

from synsight.curation.repair.borrowing import KeywordRule, keyword_caption, keyword_rule, look_alike
from synsight.curation.repair.borrowing import near_image_captions as borrowed
from synsight.data.catalog import Catalog, Commit


def drawing(colour: str = "red", *, size: int = 96, form: str = "png", quality: int = 60) -> bytes:
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse([12, 12, 48, 48], fill=colour)
    draw.rectangle([48, 48, 88, 92], fill="black")
    image = image.resize((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, form, **({"quality": quality} if form == "jpeg" else {}))
    return file.getvalue()


def catalog_of(path, images: list[bytes], captions: list[str | None], **more: list) -> Catalog:
    import pyarrow as pa

    batch = pa.record_batch(
        {
            "id": [f"id{n}" for n in range(len(images))],
            "image": pa.array(images, pa.binary()),
            "caption": pa.array(captions, pa.string()),
            **more,
        }
    )
    catalog = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog


def test_keywords_become_a_caption_said_once_and_cleaned():
    assert (
        keyword_caption(["red_heart", "Love", "love", "", "https://a.org/x", "12", "犬"])
        == "red heart, Love, 犬"
    )
    assert keyword_caption(["IMG_0001.jpg", "  "]) is None
    assert keyword_caption([]) is None
    assert keyword_caption([f"word {chr(97 + n)}" for n in range(26)]).count(",") == 15
    assert keyword_caption(["dog", "Stock"], KeywordRule(common=frozenset({"stock"}))) == "dog"


def test_a_caption_of_unknown_words_stays_before_the_keywords_that_it_does_not_hold():
    assert keyword_caption(["Tool", "metal"], behind="Viti.") == "Viti, Tool, metal"
    assert keyword_caption(["saw", "tool"], behind="Saw") == "Saw, tool"
    assert keyword_caption(["saw"], behind="Saw") is None


def test_a_keyword_of_every_fifth_image_is_not_borrowed_and_a_category_is(tmp_path):
    words = [["icons", "dog" if n % 10 == 0 else "cat" if n % 7 == 0 else f"thing{n}"] for n in range(200)]
    catalog = catalog_of(tmp_path / "cat", [b"x"] * 200, [None] * 200, keywords=words)
    rule = keyword_rule(catalog, "keywords")
    assert rule.common == {"icons"}
    assert keyword_caption(words[0], rule) == "dog"


def test_copies_look_alike_and_other_colours_do_not():
    original = drawing()
    assert look_alike(original, original)
    assert look_alike(original, drawing(form="jpeg"))
    assert look_alike(original, drawing(size=192)) and look_alike(original, drawing(size=64))
    assert not look_alike(original, drawing("blue"))
    assert not look_alike(original, drawing("orange")) and not look_alike(original, drawing("crimson"))
    assert not look_alike(original, b"junk")


def test_the_most_frequent_caption_of_the_same_picture_is_borrowed(tmp_path):
    images = [drawing(), drawing(form="jpeg"), drawing(), drawing("blue"), drawing(size=128), drawing("blue")]
    captions = [None, "a ball", "a red ball", "a blue ball", "a red ball", None]
    hashes = np.array([9, 9 ^ 1, 9, 9, 9 ^ (1 << 40), 9], np.uint64)
    catalog = catalog_of(tmp_path / "cat", images, captions)
    found = borrowed(catalog, hashes, np.array([0, 5]), np.arange(1, 5), caption_column="caption")
    assert found == {0: "a red ball", 5: "a blue ball"}


def test_hashes_further_than_three_bits_or_without_a_value_lend_nothing(tmp_path):
    images = [drawing()] * 4
    hashes = np.array([0b1111, 0, 0b11110000, 0b1110000], np.uint64)
    catalog = catalog_of(tmp_path / "cat", images, [None, "none", "far", None])
    wanting, donors = np.array([0, 3]), np.array([1, 2])
    assert borrowed(catalog, hashes, wanting, donors, caption_column="caption") == {3: "far"}
    nothing = np.array([], np.int64)
    assert borrowed(catalog, hashes, nothing, donors, caption_column="caption") == {}
    assert borrowed(catalog, hashes, wanting, nothing, caption_column="caption") == {}
