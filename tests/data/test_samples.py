"""The shipped samples: what is in them, what is not, and that they become catalogs."""

import re
from collections import Counter, defaultdict
from importlib.resources import files

import pyarrow.parquet as pq
import pytest

from synsight.data.catalog import Catalog
from synsight.data.images import check_image
from synsight.data.samples import SAMPLES, sample
from synsight.errors import UsageError

FOLDER = files("synsight.data") / "sample_files"


@pytest.fixture(scope="module", params=SAMPLES)
def shipped(request) -> tuple[str, list[dict]]:
    return request.param, pq.read_table(FOLDER / f"{request.param}.parquet").to_pylist()


def test_every_image_is_whole_webp_of_at_most_64_pixels(shipped):
    for row in shipped[1]:
        header = check_image(row["image"])
        assert header.format == "webp"
        assert max(header.width, header.height) <= 64


def test_every_row_names_its_origin_and_a_licence_that_the_notice_explains(shipped):
    notice = (FOLDER / "NOTICE").read_text()
    licences = {row["licence"] for row in shipped[1]}
    assert licences == ({"Apache-2.0", "CC-BY-4.0", "MIT"} if shipped[0] == "emoji" else {"public-domain"})
    for words in ("Apache License, Version 2.0", "CC-BY-4.0", "MIT License", "public domain"):
        assert words in notice
    assert all(row["source"] for row in shipped[1])


def test_a_file_has_at_most_five_and_a_quarter_megabytes(shipped):
    assert (FOLDER / f"{shipped[0]}.parquet").stat().st_size < 5_250_000


def test_groups_do_not_straddle_splits_and_ids_are_unique(shipped):
    splits = defaultdict(set)
    for row in shipped[1]:
        splits[row["group"]].add(row["split"])
    assert {len(one) for one in splits.values()} == {1}
    assert len({row["id"] for row in shipped[1]}) == len(shipped[1])
    assert {row["split"] for row in shipped[1]} == {"train", "val", "test"}


def test_no_address_of_a_person_is_shipped(shipped):
    text = "\n".join(" ".join([row["caption"] or "", *(row["keywords"] or [])]) for row in shipped[1])
    found = set(re.findall(r"\S+@\S+\.\w+", text))
    assert {one.strip(".,;:()<>") for one in found} <= {"someone@example.org"}


def test_the_emoji_are_three_drawings_of_the_same_concepts_without_parts():
    rows = pq.read_table(FOLDER / "emoji.parquet").to_pylist()
    assert {row["domain"] for row in rows} == {"google", "twitter", "fluent-emoji"}
    assert "component" not in {row["category"] for row in rows}
    drawn = Counter(row["group"] for row in rows)
    assert set(drawn.values()) == {2, 3}
    assert all(row["caption"] and row["caption_ja"] and row["keywords_ja"] for row in rows)


def test_the_clipart_is_as_messy_as_it_was_but_shows_no_brands_and_no_endless_series():
    rows = pq.read_table(FOLDER / "clipart.parquet").to_pylist()
    captions = Counter(row["caption"] for row in rows)
    assert captions["Part of the Flat Icon Collection (Wed Aug 25 23:29:46 2004)"] > 300
    assert any("HASH(0x" in (row["caption"] or "") for row in rows)
    assert max(Counter(row["group"] for row in rows).values()) <= 30
    words = " ".join([*(row["source"] for row in rows), *(caption or "" for caption in captions)]).lower()
    for brand in ("linux", "firefox", "microsoft", "coca", "toyota", "pacman", "hummer", "logo/"):
        assert brand not in words
    assert "logos" not in {row["category"] for row in rows}


def test_a_sample_becomes_a_catalog_with_label_group_and_its_own_columns(tmp_path):
    summary = sample("clipart", out=tmp_path / "cat")
    catalog = Catalog.open(tmp_path / "cat")
    assert catalog.count_rows() == summary.rows > 4000
    assert summary.rejected == 0
    assert {"label", "group", "category", "subcategory", "domain", "licence", "source"} <= set(
        catalog.columns
    )
    table = catalog.table(["label", "category"])
    assert table.column("label").equals(table.column("category"))
    assert sample("clipart", out=tmp_path / "cat") == summary


def test_an_unknown_sample_is_an_error_with_the_near_name(tmp_path):
    with pytest.raises(UsageError, match=r"there is no sample 'emojis'; did you mean 'emoji'\?"):
        sample("emojis", out=tmp_path)
