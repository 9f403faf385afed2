"""Splits by time and by class: what each promises, on made-up rows and through `ingest`."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import png, put

from synsight.cli import main
from synsight.data import ingestion
from synsight.data.catalog import Catalog
from synsight.data.ingestion import ingest
from synsight.data.split_rules import seconds, split_rule
from synsight.data.splits import cut_by_class, cut_by_time, drawn_split, hash_number
from synsight.errors import CatalogError, DataError, UsageError

ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 4), st.one_of(st.none(), st.integers(0, 20))),
    min_size=1,
    max_size=60,
)
"""(group, class, time) of each row."""


def arrays(rows):
    groups, classes, times = zip(*rows, strict=True)
    keys = np.array([hash_number(f"lot {one}") for one in groups], np.uint64)
    return keys, np.array(classes, np.uint64), np.array([np.nan if t is None else t for t in times], float)


@given(ROWS)
@settings(max_examples=200, deadline=None)
def test_no_group_straddles_whichever_way_rows_are_parted(rows):
    keys, classes, times = arrays(rows)
    for codes in (cut_by_time(times, keys), cut_by_class(classes, keys)):
        assert len(codes) == len(rows)
        for key in np.unique(keys):
            assert len(np.unique(codes[keys == key])) == 1


@given(ROWS)
@settings(max_examples=200, deadline=None)
def test_no_training_row_is_newer_than_any_group_of_the_test_has_become(rows):
    keys, _, times = arrays(rows)
    codes = cut_by_time(times, keys)
    tested = [np.nanmax(times[keys == key]) for key in np.unique(keys[codes == 2])]
    trained = times[(codes == 0) & ~np.isnan(times)]
    if tested and len(trained):
        assert trained.max() < min(tested)
    for key in np.unique(keys):
        if np.isnan(times[keys == key]).all():
            assert (codes[keys == key] == 0).all()


@given(ROWS, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_rows_does_not_matter(rows, random):
    keys, classes, times = arrays(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    assert (cut_by_time(times, keys)[order] == cut_by_time(times[order], keys[order])).all()
    assert (cut_by_class(classes, keys)[order] == cut_by_class(classes[order], keys[order])).all()


def test_a_hundred_days_are_cut_at_day_seventy_and_eighty():
    times = np.random.default_rng(0).permutation(100).astype(float)
    codes = cut_by_time(times, np.arange(100, dtype=np.uint64))
    assert (codes == np.where(times < 70, 0, np.where(times < 80, 1, 2))).all()


def test_a_group_goes_with_its_newest_row():
    times = np.arange(10.0)
    keys = np.array([0, *range(2, 10), 0], np.uint64)  # the oldest and the newest row are one lot
    assert cut_by_time(times, keys).tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 1, 2]


def test_two_moments_are_train_and_test_and_one_is_no_order():
    keys = np.arange(4, dtype=np.uint64)
    assert cut_by_time(np.array([5.0, 5.0, 5.0, 1.0]), keys).tolist() == [2, 2, 2, 0]
    assert cut_by_time(np.array([5.0, 5.0, np.nan, 5.0]), keys).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("count", [10, 30, 1000])
def test_every_class_has_its_shares_however_rare(count):
    classes = np.repeat(np.array([0, 1], np.uint64), [count, 5 * count])
    keys = np.array([hash_number(f"image {n}") for n in range(6 * count)], np.uint64)
    codes = cut_by_class(classes, keys)
    for number, rows in ((0, count), (1, 5 * count)):
        found = np.bincount(codes[classes == number], minlength=3) / rows
        np.testing.assert_allclose(found, [0.7, 0.1, 0.2], atol=1e-9)


def test_a_class_of_one_trains_of_two_is_tested_too_and_of_three_is_everywhere():
    for count, expected in ((1, [0]), (2, [0, 2]), (3, [0, 1, 2])):
        keys = np.array([hash_number(f"rare {n}") for n in range(count)], np.uint64)
        assert sorted(cut_by_class(np.zeros(count, np.uint64), keys).tolist()) == expected


def test_a_stratified_split_is_that_of_the_hash_but_for_rows_near_the_cuts():
    names = [f"image {n}" for n in range(20_000)]
    keys = np.array([hash_number(one) for one in names], np.uint64)
    codes = cut_by_class(np.arange(20_000, dtype=np.uint64) % 10, keys)
    drawn = np.array([("train", "val", "test").index(drawn_split(one)) for one in names])
    near = np.abs(keys[:, None] / 2**64 - [0.7, 0.8]).min(axis=1) < 0.03
    assert (codes == drawn)[~near].all()
    assert (codes == drawn).mean() > 0.97


def test_more_rows_move_only_rows_near_the_cuts():
    keys = np.array([hash_number(f"image {n}") for n in range(11_000)], np.uint64)
    classes = np.arange(11_000, dtype=np.uint64) % 5
    before, after = cut_by_class(classes[:10_000], keys[:10_000]), cut_by_class(classes, keys)[:10_000]
    assert (before == after).mean() > 0.98


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2024-05-31T09:30:00", "2024-05-31T09:30:00Z", "2024-05-31T18:30:00+09:00"], [1717147800.0] * 3),
        (["2024:05:31 09:30:00", "2024/5/31 9:30", "2024年5月31日 9:30"], [1717147800.0] * 3),
        (["2024-05-31", "2024/05/31", "20240531"], [1717113600.0] * 3),
        (["yesterday", "5/31/2024", "", None, "2024-13-01"], [np.nan] * 5),
        ([3, None, -1], [3.0, np.nan, -1.0]),
        ([0.5, float("inf"), float("nan")], [0.5, np.nan, np.nan]),
    ],
)
def test_times_are_read_in_the_usual_ways_and_what_is_ambiguous_is_not(values, expected):
    np.testing.assert_array_equal(seconds(pa.array(values)), expected)


def test_dates_and_timestamps_of_a_table_are_seconds():
    moments = pa.array([1717147800_000, None], pa.timestamp("ms", tz="Asia/Tokyo"))
    np.testing.assert_array_equal(seconds(moments), [1717147800.0, np.nan])
    np.testing.assert_array_equal(seconds(pa.array([19874], pa.date32())), [1717113600.0])


def table(folder, *, count=40):
    """Images of one day each; every tenth has no date; lots of four days in a row; two classes."""
    lines = ["file_name,lot,label,captured_at,split"]
    for n in range(count):
        day = "" if n % 10 == 9 else f"2024-{n // 28 + 1:02}-{n % 28 + 1:02}"
        lines.append(f"{n:03}.png,{n // 4},{'ab'[n % 5 == 0]},{day},test")
    return put(folder, {f"{n:03}.png": png(n) for n in range(count)} | {"t.csv": "\n".join(lines) + "\n"})


def splits_of(path, *columns):
    return Catalog.open(path).table(["file_name", "split", *columns]).to_pylist()


def test_the_newest_rows_of_a_table_are_its_test_and_what_it_said_is_kept_beside(tmp_path):
    source = table(tmp_path / "in") / "t.csv"
    summary = ingest(source, out=tmp_path / "cat", split_by="time")
    rows = splits_of(tmp_path / "cat", "given_split", "lot")
    assert {row["given_split"] for row in rows} == {"test"}
    cut = [row["split"] for row in rows]
    assert cut == ["train"] * 28 + ["val"] * 4 + ["test"] * 8
    assert summary.splits == {"train": 28, "val": 4, "test": 8}
    assert summary.columns["split"] == "captured_at: the newest are the test (4 rows without a time)"
    last = Catalog.open(tmp_path / "cat").versions()[-1]
    assert (last.verb, last.config["split_by"]) == ("ingest", {"by": "time", "column": "captured_at"})


def test_a_stratified_split_keeps_the_share_of_a_rare_class(tmp_path):
    source = table(tmp_path / "in") / "t.csv"
    ingest(source, out=tmp_path / "cat", split_by="stratified", group_column="")
    rare = [row["split"] for row in splits_of(tmp_path / "cat", "label") if row["label"] == "b"]
    assert sorted(rare) == ["test", "test", "train", "train", "train", "train", "train", "val"]


def test_all_rows_are_drawn_by_the_hash_when_asked_whatever_the_source_says(tmp_path):
    source = table(tmp_path / "in") / "t.csv"
    ingest(source, out=tmp_path / "cat", split_by="hash")
    for row in splits_of(tmp_path / "cat", "group"):
        assert row["split"] == drawn_split(row["group"])


def test_split_folders_are_parted_anew_by_class(tmp_path):
    put(
        tmp_path / "in",
        {f"test/{name}/{n}.png": png(n + 20 * (name == "b")) for name in "ab" for n in range(10)},
    )
    ingest(tmp_path / "in", out=tmp_path / "cat", split_by="stratified")
    rows = splits_of(tmp_path / "cat", "label", "given_split")
    for name in "ab":
        found = [row["split"] for row in rows if row["label"] == name]
        assert (found.count("train"), found.count("val"), found.count("test")) == (7, 1, 2)
    assert {row["given_split"] for row in rows} == {"test"}


def test_copies_of_an_image_stay_together(tmp_path):
    put(tmp_path / "in", {f"{name}/{n}.png": png(n // 2) for name in "ab" for n in range(20)})
    ingest(tmp_path / "in", out=tmp_path / "cat", split_by="stratified")
    splits = {}
    for row in Catalog.open(tmp_path / "cat").table(["id", "split"]).to_pylist():
        splits.setdefault(row["id"][:32], set()).add(row["split"])
    assert len(splits) == 10
    assert all(len(one) == 1 for one in splits.values())


def test_a_rerun_does_nothing_and_other_splits_need_another_folder(tmp_path):
    source, out = table(tmp_path / "in") / "t.csv", tmp_path / "cat"
    first = ingest(source, out=out, split_by="time")
    version = Catalog.open(out).version
    assert ingest(source, out=out, split_by="time") == first
    assert Catalog.open(out).version == version
    for other in (None, "stratified"):
        with pytest.raises(CatalogError, match="with other columns or splits"):
            ingest(source, out=out, split_by=other)


@pytest.mark.parametrize("point", ["add_split_column", "_summary"])
def test_stopped_around_the_cut_the_same_command_finishes_it(tmp_path, monkeypatch, point):
    source, out = table(tmp_path / "in") / "t.csv", tmp_path / "cat"
    whole = ingest(source, out=tmp_path / "whole", split_by="time")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ingestion, point, stop)
        with pytest.raises(KeyboardInterrupt):
            ingest(source, out=out, split_by="time")
    assert ("split" in Catalog.open(out).columns) == (point == "_summary")
    again = ingest(source, out=out, split_by="time")
    assert again.splits == whole.splits
    assert splits_of(out) == splits_of(tmp_path / "whole")


def test_what_cannot_be_cut_is_said_before_a_folder_is_made(tmp_path):
    source, out = table(tmp_path / "in") / "t.csv", tmp_path / "cat"
    for call, error, sentence in [
        ({"split_by": "times"}, UsageError, "hash, time, stratified, not by 'times'; did you mean 'time'"),
        ({"split_by": "time", "time_column": "captured"}, DataError, "did you mean 'captured_at'"),
        ({"split_by": "time", "split_column": "split"}, UsageError, "found both, so leave one out"),
        ({"time_column": "captured_at"}, UsageError, "add --split-by time"),
        ({"split_by": "stratified", "label_column": ""}, DataError, "name it with --label-column"),
    ]:
        with pytest.raises(error, match=sentence):
            ingest(source, out=out, **call)
        assert not out.exists()


def test_a_column_without_two_times_is_named_with_what_it_holds(tmp_path):
    put(tmp_path, {"a.png": png(0), "b.png": png(1), "t.csv": "file_name,when\na.png,soon\nb.png,later\n"})
    with pytest.raises(DataError, match="different times in 'when', found 'soon', 'later'; write times as"):
        ingest(tmp_path / "t.csv", out=tmp_path / "cat", split_by="time", time_column="when")
    kinds = pa.schema([("when", pa.list_(pa.string()))])
    with pytest.raises(DataError, match="dates, times or numbers in the column 'when', found list"):
        split_rule("time", schema=kinds, columns={}, time_column="when")


def test_the_command_takes_both_flags(tmp_path, capsys):
    source = table(tmp_path / "in") / "t.csv"
    words = ["ingest", str(source), "--out", str(tmp_path / "cat")]
    assert main([*words, "--split-by", "time", "--time-column", "captured_at"]) == 0
    assert "the newest are the test" in " ".join(capsys.readouterr().out.split())
