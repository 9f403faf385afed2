"""The audit as a whole: columns, files, what happens when it is stopped, hostile captions."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captioned import captioned
from PIL import Image

from synsight.curation.audit import caption_checks
from synsight.curation.audit.auditing import CHECKS, audit, caption_scores
from synsight.curation.audit.caption_checks import FINDINGS
from synsight.curation.audit.caption_stage import CaptionStage
from synsight.curation.audit.flags import FLAGS
from synsight.data.catalog import Catalog, Commit
from synsight.errors import ConfigError, DataError, Interrupted, UsageError
from synsight.stages import ThreadRunner

CAPTIONS = [
    "a dog runs along the beach",
    "a cat sleeps on the chair",
    None,
    "IMG_1234.JPG",
    "write to bob@example.com",
    "<script>alert('x')</script> & a dog",
    "{{ 7 * 7 }} a cat",
    "\ufffd\ufffd broken",
]


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    """Eight rows; the images of the last two are one, and one image is none."""
    images = [picture(min(number, 6)) for number in range(7)] + [picture(6)]
    images[1] = b"no image at all"
    splits = ["train"] * 7 + ["test"]
    made = captioned(tmp_path / "cat", CAPTIONS, split=pa.array(splits))
    schema = pa.schema([pa.field("image", pa.binary())])
    made.add_columns(schema, [pa.record_batch({"image": pa.array(images)})], commit=Commit(verb="test"))
    return made


def test_columns_files_and_summary_say_the_same(catalog, tmp_path):
    summary = audit(catalog, out=tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "findings.parquet")
    assert found.schema.names == ["id", "flag", "score", "reason"]
    table = (
        Catalog.open(catalog.path).table(["id", "caption_flags", "caption_score", "image_flags"]).to_pylist()
    )
    in_columns = {(row["id"], flag) for row in table for flag in row["caption_flags"] + row["image_flags"]}
    assert in_columns == {(row["id"], row["flag"]) for row in found.to_pylist()}
    assert {flag: rows for flag, rows in summary.findings.items() if rows} == {
        one.flag: one.rows for one in summary.details
    }
    assert set(summary.findings) == {flag for flags in CHECKS.values() for flag in flags} == set(FLAGS)
    assert {("r1", "unreadable"), ("r2", "empty"), ("r3", "file-name"), ("r4", "email")} <= in_columns
    assert {("r7", "mojibake"), ("r7", "duplicate"), ("r7", "leak")} <= in_columns
    scores = {row["id"]: row["caption_score"] for row in table}
    assert scores["r0"] == 1.0
    assert scores["r2"] == 0.0
    assert 0 < scores["r3"] < scores["r4"] < 1
    stored = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert list(stored)[:4] == ["rows", "findings", "effective_captions", "verdict"]
    assert stored["findings"] == dict(summary.findings)
    assert summary.verdict == "unlikely"  # so few captions are labels for an afternoon


def test_captions_are_data_on_the_page_and_in_the_files(catalog, tmp_path):
    audit(catalog, out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "data:image/webp;base64," in page
    assert "bob@example.com" not in "".join(
        pq.read_table(tmp_path / "out" / "findings.parquet")["reason"].to_pylist()
    )


def test_a_second_call_does_nothing_and_other_settings_do(catalog, tmp_path):
    first = audit(catalog, out=tmp_path / "out", checks=["captions"])
    version = Catalog.open(catalog.path).version
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = audit(catalog.path, out=tmp_path / "out", checks=["captions"])
    assert (again.findings, again.effective_captions) == (first.findings, first.effective_captions)
    assert Catalog.open(catalog.path).version == version
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    audit(catalog.path, out=tmp_path / "other", checks=["captions"])  # another folder gets the files alone
    assert Catalog.open(catalog.path).version == version
    assert (tmp_path / "other" / "findings.parquet").read_bytes() == (
        tmp_path / "out" / "findings.parquet"
    ).read_bytes()
    (tmp_path / "out" / "audit.json").write_text("{}")
    assert audit(catalog.path, out=tmp_path / "out", checks=["captions"]).findings == first.findings
    audit(catalog.path, out=tmp_path / "out", checks=["images"])
    assert Catalog.open(catalog.path).version > version


def test_stopped_and_called_again_it_ends_as_if_never_stopped(tmp_path, monkeypatch):
    captions = CAPTIONS * 5
    whole = audit(captioned(tmp_path / "whole", captions), out=tmp_path / "a", checks=["captions"])
    monkeypatch.setattr(caption_checks, "ROWS_PER_CHUNK", 8)
    catalog = captioned(tmp_path / "cat", captions)
    version, real, calls = catalog.version, CaptionStage.__call__, []

    def once_stopped(self, batch):
        calls.append(batch.num_rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(CaptionStage, "__call__", once_stopped)
    runner = ThreadRunner(workers=1, in_flight=1)
    with pytest.raises(Interrupted, match="run the same command again"):
        audit(catalog.path, out=tmp_path / "b", checks=["captions"], runner=runner)
    assert Catalog.open(catalog.path).version == version
    summary = audit(catalog.path, out=tmp_path / "b", checks=["captions"], runner=runner)
    assert len(calls) == 3 + 3  # two chunks were kept
    assert (summary.findings, summary.numbers) == (whole.findings, whole.numbers)
    assert pq.read_table(tmp_path / "b" / "findings.parquet") == pq.read_table(
        tmp_path / "a" / "findings.parquet"
    )


def test_a_caption_score_is_the_product_of_what_its_flags_leave():
    rows = [(0, "date", 1.0), (0, "email", 0.5), (2, "empty", 1.0), (3, "mismatch", 0.8), (3, "blurred", 1.0)]
    table = pa.Table.from_pylist(
        [{"position": at, "flag": flag, "score": score, "reason": ""} for at, flag, score in rows],
        schema=FINDINGS,
    )
    found = caption_scores(table, np.array([True, True, False, True]))
    expected = [
        (1 - FLAGS["date"].takes) * (1 - 0.5 * FLAGS["email"].takes),
        1.0,
        0.0,
        1 - 0.8 * FLAGS["mismatch"].takes,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_is_wrong_is_said_before_anything_is_done(catalog, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'captions'"):
        audit(catalog, out=tmp_path / "out", checks=["caption"])
    with pytest.raises(ConfigError, match="checks must name at least one"):
        audit(catalog, out=tmp_path / "out", checks=[])
    with pytest.raises(DataError, match="there is no column 'captoin'"):
        audit(catalog, out=tmp_path / "out", text_columns=["captoin"])
    assert not (tmp_path / "out").exists()
