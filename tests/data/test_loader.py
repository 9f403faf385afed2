import multiprocessing
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
import torch
from drawn import KINDS, drawn_catalog, picture

from synsight.data.catalog import Catalog, Commit
from synsight.data.loader import TrainingData, default_workers, training_loader
from synsight.data.plan import Plan
from synsight.data.views import SIMCLR_VIEWS, ViewsConfig, normalise, plain_view
from synsight.errors import ConfigError, DataError, TrainingError

PLAIN = ViewsConfig(kind="plain")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return drawn_catalog(tmp_path_factory.mktemp("data") / "cat")


def training_data(catalog, **options):
    return TrainingData(catalog, **{"views": SIMCLR_VIEWS, "image_size": 24, "seed": 7} | options)


def batches(data, *, count, batch_size=5, **options):
    plan = Plan(rows=len(data), batch_size=batch_size, seed=1)
    return list(islice(training_loader(data, plan, **{"num_workers": 0} | options), count))


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        for name in ("positions", "labels", "word_rows", "word_classes"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert all(torch.equal(x, y) for x, y in zip(a.views, b.views, strict=True))


@pytest.mark.parametrize("num_workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_batches_are_the_same_whatever_the_number_of_workers(catalog, num_workers):
    data = training_data(catalog, vocabulary="synset", label="kind")
    # Two epochs and a bit: workers live on over the end of an epoch.
    here = batches(data, count=9)
    assert_same(
        batches(training_data(catalog, vocabulary="synset", label="kind"), count=9, num_workers=num_workers),
        here,
    )


def test_a_run_that_goes_on_mid_epoch_gets_the_same_batches(catalog):
    data = training_data(catalog, vocabulary="synset", label="kind")
    whole = batches(data, count=9)
    epoch, step = Plan(rows=len(data), batch_size=5).locate(6)
    fresh = training_data(catalog, vocabulary="synset", label="kind")
    assert_same(batches(fresh, count=3, start_epoch=epoch, start_step=step), whole[6:])


def test_kept_images_give_the_same_views_as_those_read_anew(catalog):
    options = {"vocabulary": "synset", "label": "kind"}
    kept, anew = training_data(catalog, **options), training_data(catalog, **options, cache_bytes=0)
    assert_same(batches(kept, count=9), batches(anew, count=9))


def test_images_that_fit_are_read_once(catalog, monkeypatch):
    data = training_data(catalog)
    taken = []
    monkeypatch.setattr(
        Catalog,
        "take",
        lambda self, rows, columns, take=Catalog.take: taken.extend(rows) or take(self, rows, columns),
    )
    batches(data, count=16, batch_size=6)
    assert sorted(taken) == list(range(24))


def test_images_that_do_not_fit_are_not_kept(catalog):
    size = 24 * 40 * 32 * 3
    data = training_data(catalog, cache_bytes=size - 1)
    batches(data, count=2)
    assert data._kept == {}
    fits = training_data(catalog, cache_bytes=size)
    batches(fits, count=2)
    assert len(fits._kept) == 10


def test_a_batch_says_what_the_catalog_says(catalog):
    data = training_data(catalog, views=PLAIN, vocabulary="synset", label="kind")
    assert data.label_names == ["circle", "square"]
    (batch,) = batches(data, count=1, batch_size=24)
    words = list(zip(batch.word_rows.tolist(), batch.word_classes.tolist(), strict=True))
    for row, position in enumerate(batch.positions.tolist()):
        kind = KINDS[position % 3]
        assert batch.labels[row] == (-1 if kind is None else data.label_names.index(kind))
        assert [c for r, c in words if r == row] == list(range(position % 3))
        pixels = torch.from_numpy(plain_view(picture(position), image_size=24).copy()).permute(2, 0, 1)[None]
        torch.testing.assert_close(
            batch.views[0][row : row + 1], normalise(pixels, mean=data.mean, std=data.std)
        )


def test_views_of_an_image_differ_from_each_other_and_from_epoch_to_epoch(catalog):
    data = training_data(catalog)
    first, later = batches(data, count=2, batch_size=24)
    assert not torch.equal(*first.views)
    order = [first.positions.tolist().index(position) for position in later.positions.tolist()]
    assert not torch.equal(first.views[0][order], later.views[0])


def test_a_row_has_the_same_views_in_any_company(catalog):
    data, few = training_data(catalog), training_data(catalog, positions=np.array([3, 11]))
    whole = data[0, np.arange(24)]
    pair = few[0, np.arange(2)]
    assert torch.equal(whole.views[1][[3, 11]], pair.views[1])


def test_where_and_positions_choose_the_rows(catalog):
    assert training_data(catalog, where="split = 'val'").positions.tolist() == [3, 7, 11, 15, 19, 23]
    assert training_data(catalog, positions=np.array([5, 2])).positions.tolist() == [5, 2]
    with pytest.raises(ConfigError, match="got both"):
        training_data(catalog, where="split = 'val'", positions=np.array([1]))


def test_labels_follow_the_names_given(catalog):
    data = training_data(catalog, label="kind", label_names=["square"])
    (batch,) = batches(data, count=1, batch_size=24)
    expected = [0 if KINDS[p % 3] == "square" else -1 for p in batch.positions.tolist()]
    assert batch.labels.tolist() == expected


def test_channels_last_changes_the_layout_and_no_value(catalog):
    data = training_data(catalog)
    (plain,), (last,) = batches(data, count=1), batches(data, count=1, channels_last=True)
    assert plain.views[0].is_contiguous()
    assert last.views[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain.views[0], last.views[0])


def test_a_batch_without_words_or_labels_has_none(catalog):
    (batch,) = batches(training_data(catalog), count=1)
    assert (batch.labels, batch.word_rows, batch.word_classes) == (None, None, None)


def test_a_batch_whose_rows_have_no_word_is_empty_not_missing(catalog):
    data = training_data(catalog, positions=np.array([0, 3, 6]), vocabulary="synset")
    (batch,) = batches(data, count=1, batch_size=3)
    assert batch.word_rows.dtype == batch.word_classes.dtype == torch.int64
    assert len(batch.word_rows) == len(batch.word_classes) == 0


def test_says_what_is_missing(catalog):
    with pytest.raises(
        DataError, match=r"expected a column 'words_terms', found id, .*; run `synsight words` first"
    ):
        training_data(catalog, vocabulary="terms")
    with pytest.raises(DataError, match=r"expected a column 'colour'.*name another column"):
        training_data(catalog, label="colour")
    with pytest.raises(DataError, match="no row matches \"split = 'test'\""):
        training_data(catalog, where="split = 'test'")
    with pytest.raises(ConfigError, match="plan is for 9 rows, the data has 24"):
        next(training_loader(training_data(catalog), Plan(rows=9, batch_size=3), num_workers=0))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_broke_after_ingest_is_one_sentence_from_a_worker_too(tmp_path, num_workers):
    batch = pa.record_batch({"id": ["a"], "image": pa.array([b"\x89PNG broken"], pa.binary())})
    catalog = Catalog.create(tmp_path / "cat", batch.schema, commit=Commit(verb="ingest"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    with pytest.raises(
        DataError, match=r"image at position 0 can no longer .* ingest the source again"
    ) as refusal:
        batches(training_data(catalog), count=1, batch_size=1, num_workers=num_workers)
    assert "\n" not in str(refusal.value)


def test_a_worker_that_dies_is_one_sentence(catalog):
    others = multiprocessing.active_children()
    loader = training_loader(training_data(catalog), Plan(rows=24, batch_size=5), num_workers=1)
    next(loader)
    (worker,) = (child for child in multiprocessing.active_children() if child not in others)
    worker.kill()
    with pytest.raises(TrainingError, match="a worker process that makes batches died"):
        list(loader)


def test_two_cores_train_without_workers(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(2)), raising=False)
    assert default_workers() == 0
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert default_workers() == 8
