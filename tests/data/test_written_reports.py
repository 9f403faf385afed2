"""A purge knows which files outside the catalog show its rows."""

import pytest
from catalogs import filled

from synsight.data.catalog import Catalog
from synsight.data.written_reports import note_report, remove_reports, written_reports


@pytest.fixture
def noted(tmp_path):
    catalog = filled(tmp_path / "cat")
    for verb, folder in (("audit", "one"), ("repair", "one"), ("audit", "zwei \u00e4")):
        note_report(catalog, tmp_path / folder, verb=verb, names=(f"{verb}.json", "page.html"))
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in (f"{verb}.json", "page.html", "mine.txt"):
            (tmp_path / folder / name).write_text("row 7")
    return catalog


def test_noted_files_that_are_there_are_named_once(noted, tmp_path):
    (tmp_path / "zwei \u00e4" / "page.html").unlink()
    expected = [tmp_path / "one" / name for name in ("audit.json", "page.html", "repair.json")]
    assert written_reports(noted) == (*expected, tmp_path / "zwei \u00e4" / "audit.json")


def test_notes_outlive_a_purge_and_another_process_reads_them(noted):
    before = written_reports(noted)
    noted.purge("number = 7")
    assert written_reports(Catalog.open(noted.path)) == before


def test_removing_takes_what_was_noted_and_leaves_what_is_the_users(noted, tmp_path):
    removed = remove_reports(noted)
    assert len(removed) == 5
    assert not any(path.exists() for path in removed)
    assert (tmp_path / "one" / "mine.txt").read_text() == "row 7"
    assert written_reports(noted) == remove_reports(noted) == ()


def test_a_folder_that_was_written_whole_goes_whole(noted, tmp_path):
    note_report(noted, tmp_path / "one", verb="explain", names=("fiftyone",))
    (tmp_path / "one" / "fiftyone" / "data").mkdir(parents=True)
    (tmp_path / "one" / "fiftyone" / "data" / "1.webp").write_bytes(b"row 7")
    assert tmp_path / "one" / "fiftyone" in remove_reports(noted)
    assert not (tmp_path / "one" / "fiftyone").exists()


def test_two_files_of_one_verb_in_one_folder_are_both_remembered(noted, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        note_report(noted, tmp_path, verb="embed", names=(name,))
        (tmp_path / name).touch()
    assert {tmp_path / "a.parquet", tmp_path / "b.parquet"} <= set(written_reports(noted))


def test_a_relative_folder_is_found_from_anywhere(noted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note_report(noted, "here", verb="audit", names=("a.json",))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.json").touch()
    monkeypatch.chdir("/")
    assert tmp_path / "here" / "a.json" in written_reports(noted)
