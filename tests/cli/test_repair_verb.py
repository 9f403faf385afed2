"""`synsight repair` as a user types it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synsight.data.catalog import Catalog
from tiny_captioners import COLOURS, save_blip, square


@pytest.fixture
def own(run, source, tmp_path):
    """A catalog that the test may change."""
    code, _, err = run("ingest", source, "--out", tmp_path / "cat")
    assert code == 0, err
    return tmp_path / "cat"


def test_json_begins_with_the_promised_keys_and_the_files_are_written(run_json, own, tmp_path):
    value = run_json("repair", own, "--out", tmp_path / "out")
    assert list(value)[:3] == ["rows", "changed", "origins"]
    assert value["rows"] == sum(value["origins"].values()) == 192
    assert json.loads((tmp_path / "out" / "repair.json").read_text()) == value
    lines = (tmp_path / "out" / "changes.jsonl").read_text().splitlines()
    assert len(lines) == value["changed"]
    catalog = Catalog.open(own)
    assert {"caption", "caption_clean", "caption_repaired", "caption_origin"} <= set(catalog.columns)
    assert catalog.versions()[-1].verb == "repair"


def test_words_and_people_read_what_was_repaired(run, run_json, own):
    code, out, err = run("repair", own)
    assert code == 0, err
    assert "effective number" in out
    before = run_json("words", own, "--min-count", 2)
    after = run_json("words", own, "--text-columns", "caption_repaired", "--min-count", 2)
    assert after["share_with_word"] >= before["share_with_word"] > 0.3


def test_misspelt_words_are_put_right_once_and_stay_on_request(run, run_json, tmp_path):
    looks, stuffs = (
        ("red", "dull", "deep", "long", "thin", "wide"),
        ("metal", "glass", "steel", "paper", "stone"),
    )
    captions = [f"{look} scratch on {stuff} surface" for look in looks for stuff in stuffs]
    captions[4], captions[8] = "red scrach on teh suface", "Suface <b>worn</b>"
    table = {"image": [square("red", seed=n) for n in range(30)], "caption": captions}
    pq.write_table(pa.table(table), tmp_path / "notes.parquet")
    assert run("ingest", tmp_path / "notes.parquet", "--out", tmp_path / "cat")[0] == 0
    kept = run_json("repair", tmp_path / "cat", "--no-spelling")
    assert (kept["changed"], kept["removed"]) == (1, {"mark-up": 1})
    value = run_json("repair", tmp_path / "cat", "--out", tmp_path / "out")
    assert value["removed"] == {"spelling": 2, "mark-up": 1}
    pages = (tmp_path / "out" / "repair.html").read_bytes()
    assert b"<ins>scratch</ins>" in pages
    after = [one["after"] for one in value["examples"]]
    assert after == ["red scratch on teh surface", "Surface worn"]
    version = Catalog.open(tmp_path / "cat").version
    assert run_json("repair", tmp_path / "cat", "--out", tmp_path / "out") == value
    assert (tmp_path / "out" / "repair.html").read_bytes() == pages
    assert Catalog.open(tmp_path / "cat").version == version


def test_captions_that_tell_nothing_are_dropped_on_request(run, run_json, tmp_path):
    captions = ["a red dot", "IMG_0001.jpg", "https://example.com/x", "a blue dot"]
    table = {"image": [square("red", seed=n) for n in range(4)], "caption": captions}
    pq.write_table(pa.table(table), tmp_path / "notes.parquet")
    assert run("ingest", tmp_path / "notes.parquet", "--out", tmp_path / "cat")[0] == 0
    assert run_json("repair", tmp_path / "cat")["changed"] == 0
    code, out, err = run("repair", tmp_path / "cat", "--drop", "empty", "--out", tmp_path / "out")
    assert code == 0, err
    assert "original 2, dropped 2" in out
    assert "'IMG_0001.jpg' (dropped)" in out
    said = Catalog.open(tmp_path / "cat").table(["caption_repaired"])["caption_repaired"].to_pylist()
    assert said == ["a red dot", None, None, "a blue dot"]
    code, _, err = run("repair", tmp_path / "cat", "--drop", "emty")
    assert code != 0
    assert "there are no captions 'emty' to drop; did you mean 'empty'?" in " ".join(err.split())


def test_a_mismatch_that_no_audit_looked_for_cannot_be_dropped(run, own):
    code, _, err = run("repair", own, "--drop", "empty,mismatch")
    assert code != 0
    assert "no audit has said which captions are a mismatch; run `synsight audit" in " ".join(err.split())
    assert "caption_clean" not in Catalog.open(own).columns


def test_a_captioner_from_a_folder_is_asked_about_rows_without_a_caption(run, run_json, tmp_path):
    colours = list(COLOURS) * 8
    images = [square(one, seed=n) for n, one in enumerate(colours)]
    captions = ["a thing" if n < 4 else None for n in range(len(colours))]
    table = {"image": images, "caption": captions, "label": colours}
    pq.write_table(pa.table(table), tmp_path / "squares.parquet")
    assert run("ingest", tmp_path / "squares.parquet", "--out", tmp_path / "cat")[0] == 0
    save_blip(tmp_path / "blip")
    value = run_json("repair", tmp_path / "cat", "--captioner", f"local-dir:{tmp_path / 'blip'}")
    assert value["recaptioned"] == 28
    assert value["origins"] == {"captioner:blip": 28, "original": 4}
    assert value["diversity"]["captioner"]["effective"] == pytest.approx(4)
    said = Catalog.open(tmp_path / "cat").table(["caption_repaired"])["caption_repaired"].to_pylist()
    assert said[4:] == [f"a {one} square" for one in colours[4:]]
    code, out, err = run("repair", tmp_path / "cat", "--captioner", f"local-dir:{tmp_path / 'blip'}")
    assert code == 0, err
    assert "28 images by blip" in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--captioner", "blip"], 1, "expected a captioner as hf-hub:OWNER/NAME or local-dir:PATH"),
        (["--captioner", "local-dir:nowhere"], 1, "expected the folder of a captioner, found none"),
        (["--endpoint", "http://127.0.0.1:9/v1"], 1, "--endpoint-model"),
        (["--endpoint", "ftp://x", "--endpoint-model", "m"], 1, "expected an endpoint as https://HOST/v1"),
        (["--captioner", "local-dir:x", "--endpoint", "http://x/v1"], 2, "expected one captioner"),
        (["--borrow", "keyword"], 2, "did you mean 'keywords'?"),
        (["--vocabulary", "terms"], 2, "expected synset, or terms:FILE"),
        (["--vocabulary", "terms:nowhere.csv"], 1, "nowhere.csv"),
        (["--recaption", "all"], 2, "a captioner is needed"),
        (["--score-model", "nowhere/model"], 1, "expected a model folder, found nothing"),
        (["--text-columns", "captions"], 1, "did you mean 'caption'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(run, own, arguments, code, sentence):
    before = Catalog.open(own).version
    found, _, err = run("repair", own, *arguments)
    assert (found, err.count("\n")) == (code, 1)
    assert sentence in err
    assert Catalog.open(own).version == before
