"""`synsight explain` from end to end."""

import io
import json
import re

import pytest
from PIL import Image

from synsight.data.catalog import Catalog
from synsight.data.written_reports import written_reports


@pytest.fixture(scope="session")
def explained(catalog, trained, tmp_path_factory):
    from synsight.cli import main

    out = tmp_path_factory.mktemp("explained") / "out"
    arguments = ["explain", trained / "model", catalog, "--out", out, "--count", 3, "--label", "category"]
    assert main([str(one) for one in (*arguments, "--map", "--projection", "pca", "--locale", "ja")]) == 0
    return out


def test_a_catalog_is_explained_by_a_page_and_records(explained, catalog):
    value = json.loads((explained / "explanations.json").read_text(encoding="utf-8"))
    records = value["explanations"]
    assert len(records) == 3
    truth = Catalog.open(catalog).table(["id", "category", "split"]).to_pylist()
    by_id = {row["id"]: row for row in truth}
    for record in records:
        assert by_id[record["id"]]["split"] == "val"
        assert record["label"] == by_id[record["id"]]["category"]
        assert len(record["near"]) == 4 and "picture" not in record["near"][0]
        assert all(by_id[case["id"]]["split"] == "train" for case in record["near"])
    assert set(value["faithfulness"]) == {"deletion", "insertion", "deletion_random", "insertion_random"}
    page = (explained / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page
    assert (
        "default-src &#39;none&#39;" in page
        and "<script" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    assert "見えているもの" in page
    assert len(re.findall(r'<article class="explained">', page)) == 3
    assert (explained / "map.parquet").is_file() and (explained / "fiftyone" / "labels.csv").is_file()


def test_a_purge_names_what_shows_rows(explained, catalog):
    shown = {explained / name for name in ("report.html", "explanations.json", "map.parquet", "fiftyone")}
    assert shown <= set(written_reports(Catalog.open(catalog)))


def test_an_image_file_is_explained_without_a_catalog(trained, tmp_path, run_json):
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / "<b>evil & co.png")
    value = run_json(
        "explain", trained / "model", tmp_path / "<b>evil & co.png", "--out", tmp_path / "out", "--words", 3
    )
    (record,) = value["explanations"]
    assert len(record["words"]) == 3 and record["near"] == []
    assert "not calibrated" in value["calibration"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>evil" not in page and "&lt;b&gt;evil &amp; co.png" in page


def test_words_are_named_at_the_level_asked_for(trained, tmp_path, run_json):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    value = run_json(
        *("explain", trained / "model", tmp_path / "a.png", "--out", tmp_path / "out"),
        *("--level", "0", "--heat", "none", "--skip-check"),
    )
    assert [one["name"] for one in value["explanations"][0]["words"]] == ["entity"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["nowhere.png"],
            1,
            "nowhere.png: expected an image, a folder of images or a catalog, found nothing",
        ),
        (["CATALOG", "--where", "split = 'no'"], 1, "found none where split = 'no'"),
        (["CATALOG", "--count", "0"], 2, "count and words must be >= 1"),
        (["CATALOG", "--level", "animl,"], 2, "no word of the model is a kind of 'animl'"),
        (["IMAGE", "--map"], 2, "a map is one of a catalog"),
        (["BROKEN"], 1, "broken.png: is neither a catalog nor an image"),
    ],
)
def test_what_is_wrong_is_one_sentence(run, trained, catalog, tmp_path, arguments, code, sentence):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    (tmp_path / "image.png").write_bytes(buffer.getvalue())
    (tmp_path / "broken.png").write_bytes(b"not an image")
    named = {"CATALOG": catalog, "IMAGE": tmp_path / "image.png", "BROKEN": tmp_path / "broken.png"}
    words = [named.get(one, one) for one in arguments]
    found, _, err = run("explain", trained / "model", *words, "--out", tmp_path / "out")
    assert (found, err.strip().count("\n")) == (code, 0), err
    assert sentence in err
