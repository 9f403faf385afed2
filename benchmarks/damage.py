"""Known defects, planted: what the audit must find, and what an experiment on caption quality damages.

    damaged = damage_captions(table, kind="shuffled", share=0.2, seed=0)
    damaged["damaged"]                          which rows it hit

Damage is a pure function of its arguments; rows, their order and the other columns stay as they are.
"""

import io
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from PIL import Image, ImageEnhance, ImageFilter

from synsight.seeding import generator

CaptionDamage = Literal["shuffled", "boilerplate", "typos", "truncated", "repeated"]
ImageDamage = Literal["blurred", "dark", "overexposed", "faint"]
DAMAGED = "damaged"
"""Column that says which rows were hit, bool."""
BOILERPLATE = "Part of a picture collection. All rights reserved."
KEPT = 0.4
"""Share of a caption's characters that truncation leaves."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def damage_captions(
    table: pa.Table,
    kind: CaptionDamage,
    share: float,
    seed: int = 0,
    *,
    columns: Sequence[str] = ("caption",),
) -> pa.Table:
    """Damage the text of a share of the rows that have some.

    shuffled      texts go round among the rows hit, within each split
    boilerplate   one sentence in place of the first column's text, nothing in the others
    typos         in every word of four letters or more one letter is lost, doubled, changed or swapped
    truncated     the first 40% of the characters
    repeated      the text of another row, which keeps it, too

    Args:
        table: With text columns, and perhaps `split`.
        kind: What happens.
        share: Of the rows with text.
        seed: Which rows, and how.
        columns: Texts, or lists of texts, that are damaged together; the first decides which rows have text.

    Returns:
        The table with the column `damaged`; a row that a shuffle gave an equal text is not damaged.
    """
    if kind not in get_args(CaptionDamage) or not 0 <= share <= 1:
        raise ValueError(f"expected one of {get_args(CaptionDamage)} and a share; got {kind!r}, {share!r}.")
    drawing = generator(seed, "damage", kind)
    rows = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
    hit = _hit(np.array([bool(row[0]) for row in rows], np.bool_), share, drawing)
    new = list(rows)
    if kind == "shuffled":
        splits = table["split"].to_pylist() if "split" in table.column_names else [None] * len(rows)
        for split in sorted(set(splits), key=str):
            some = drawing.permutation([row for row in hit if splits[row] == split]).astype(np.int64)
            for place, donor in zip(some.tolist(), np.roll(some, 1).tolist(), strict=True):
                new[place] = rows[donor]
    elif kind == "repeated":
        sources = np.setdiff1d(np.arange(len(rows)), hit)
        sources = sources[[bool(rows[one][0]) for one in sources.tolist()]]
        for place, donor in zip(hit.tolist(), drawing.choice(sources, len(hit)).tolist(), strict=True):
            new[place] = rows[donor]
    else:
        for place in hit.tolist():
            new[place] = tuple(
                _damaged(text, kind, drawing, first=not i) for i, text in enumerate(rows[place])
            )
    for number, name in enumerate(columns):
        field = table.schema.field(name)
        values = pa.array([row[number] for row in new], field.type)
        table = table.set_column(table.column_names.index(name), field, values)
    return table.append_column(
        DAMAGED, pa.array([a != b for a, b in zip(rows, new, strict=True)], pa.bool_())
    )


def damage_images(table: pa.Table, kind: ImageDamage, share: float, seed: int = 0) -> pa.Table:
    """Damage a share of the images, which become PNG.

    blurred       by a Gaussian of 4% of the longer side
    dark          all levels at 15%
    overexposed   all levels times 1.8, cut off at white
    faint         92% white laid over
    """
    if kind not in get_args(ImageDamage) or not 0 <= share <= 1:
        raise ValueError(f"expected one of {get_args(ImageDamage)} and a share; got {kind!r}, {share!r}.")
    hit = _hit(np.ones(len(table), np.bool_), share, generator(seed, "damage", kind))
    images = table["image"].to_pylist()
    for row in hit.tolist():
        image = on_white(images[row])
        if kind == "blurred":
            image = image.filter(ImageFilter.GaussianBlur(0.04 * max(image.size)))
        elif kind == "faint":
            image = Image.blend(image, Image.new("RGB", image.size, "white"), 0.92)
        else:
            image = ImageEnhance.Brightness(image).enhance(0.15 if kind == "dark" else 1.8)
        images[row] = as_png(image)
    is_hit = np.isin(np.arange(len(table)), hit)
    table = table.set_column(table.column_names.index("image"), "image", pa.array(images, pa.binary()))
    return table.append_column(DAMAGED, pa.array(is_hit))


def add_near_duplicates(table: pa.Table, share: float, seed: int = 0) -> pa.Table:
    """Append a share of the rows again, each its own group, as JPEG with a rim of 2% cut off."""
    hit = _hit(np.ones(len(table), np.bool_), share, generator(seed, "damage", "near-duplicates"))
    copies = table.take(pa.array(np.sort(hit)))
    images = []
    for data in copies["image"].to_pylist():
        image = on_white(data)
        rim = max(round(0.02 * min(image.size)), 1)
        image = image.crop((rim, rim, image.width - rim, image.height - rim)).resize(image.size)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        images.append(buffer.getvalue())
    copies = copies.set_column(copies.column_names.index("image"), "image", pa.array(images, pa.binary()))
    for name in {"id", "group"} & set(copies.column_names):
        renamed = pa.array([f"copy of {one}" for one in copies[name].to_pylist()], pa.string())
        copies = copies.set_column(copies.column_names.index(name), name, renamed)
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    both = pa.concat_tables([table.cast(copies.schema), copies])
    return both.append_column(DAMAGED, pa.array(np.arange(len(both)) >= len(table)))


def on_white(data: bytes) -> Image.Image:
    """An image as RGB on white."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def as_png(image: Image.Image) -> bytes:
    """Its file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _hit(able: np.ndarray, share: float, drawing: np.random.Generator) -> np.ndarray:
    places = np.flatnonzero(able)
    return drawing.permutation(places)[: round(share * len(places))]


def _damaged(value: Any, kind: str, drawing: np.random.Generator, *, first: bool) -> Any:
    """One text, or each of a list of texts."""
    if value is None:
        return None
    if isinstance(value, list):
        if kind == "boilerplate":
            return [BOILERPLATE] if first else []
        return [_damaged(one, kind, drawing, first=True) for one in value]
    if kind == "boilerplate":
        return BOILERPLATE if first else None
    if kind == "truncated":
        return value[: max(int(KEPT * len(value)), 1)]
    return " ".join(_mistyped(word, drawing) for word in value.split(" "))


def _mistyped(word: str, drawing: np.random.Generator) -> str:
    if sum(map(str.isalpha, word)) < 4:
        return word
    place = int(drawing.integers(1, len(word) - 1))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    match int(drawing.integers(4)):
        case 0:
            return before + after
        case 1:
            return before + letter * 2 + after
        case 2:
            return before + str(drawing.choice(list(LETTERS.replace(letter.lower(), "")))) + after
        case _:
            return before + after[:1] + letter + after[1:]
