"""A model must not be judged on images it learnt from, whatever they are called since."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from made import make_catalog
from PIL import Image

from synsight.data.catalog import Catalog, Commit
from synsight.data.trained_models import models_trained_on, note_model
from synsight.data.trained_rows import TrainedRows, content_hashes, trained_rows
from synsight.errors import DataError, ModelError
from synsight.evaluation.rows import read_splits
from synsight.evaluation.seen_rows import check_unseen
from synsight.models import Model, load

NAME = "random:test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("seen") / "cat")


def model_of(rows: TrainedRows | None, **more) -> Model:
    """A network that says it was trained on these images."""
    plain = load(NAME, image_size=16)
    config = type(plain.config)(**{**vars(plain.config), "method": "simclr"})
    return Model(plain.encoder, config, trained_rows=rows, name="mine", **more)


def trained_where(catalog, where):
    return trained_rows(catalog, catalog.positions(where))


def test_a_model_of_the_training_rows_saw_no_test_row(catalog):
    report = check_unseen(
        model_of(trained_where(catalog, "split = 'train'")), catalog, read_splits(catalog, "kind").test
    )
    assert (report.known, report.seen_test_rows, report.copied_test_rows) == ("all", 0, 0)
    assert report.trained_images == catalog.count_rows("split = 'train'")
    assert report.as_details() == {}
    assert "0 of 18 test rows" in report.sentence


def test_a_model_that_saw_test_rows_is_refused_with_their_number_unless_that_is_allowed(catalog, tmp_path):
    ids = read_splits(catalog, "kind").test.ids[[2, 5]]
    rows = trained_where(catalog, f"split = 'train' OR id IN ('{ids[0]}', '{ids[1]}')")
    folder = model_of(rows).save_pretrained(tmp_path / "model")
    splits = read_splits(catalog, "kind")
    with pytest.raises(
        DataError, match=rf"trained on the images of 2 of 18 test rows .*'{ids[0]}'.*--allow-seen"
    ):
        check_unseen(folder, catalog, splits.test)
    report = check_unseen(folder, catalog, splits.test, allow_seen=True)
    assert report.as_details() == {"seen_test_rows": 2}
    assert report.examples == tuple(ids)


def test_a_copy_of_the_catalog_with_other_names_and_splits_fools_nobody(catalog, tmp_path):
    rows = trained_where(catalog, "split = 'train'")

    def renamed(columns):
        splits = ["test" if one == "train" else "train" for one in columns["split"]]
        return {**columns, "id": [f"other {n}" for n in range(len(splits))], "split": splits}

    other = make_catalog(tmp_path / "elsewhere", change=renamed)
    splits = read_splits(other, "kind")
    seen = check_unseen(model_of(rows), other, splits.test, allow_seen=True).seen_test_rows
    assert seen == len(splits.test)
    with pytest.raises(DataError, match=f"{seen} of {seen} test rows"):
        check_unseen(model_of(rows), other, splits.test)


def test_a_test_image_that_a_training_row_repeats_is_the_splits_leak_and_counted_apart(tmp_path):
    def leaked(columns):
        images = list(columns["image"])
        train = columns["split"].index("train")
        for number, split in enumerate(columns["split"]):
            if split == "test":
                images[number] = images[train]
                break
        return {**columns, "image": images}

    catalog = make_catalog(tmp_path / "cat", change=leaked)
    report = check_unseen(
        model_of(trained_where(catalog, "split = 'train'")), catalog, read_splits(catalog, "kind").test
    )
    assert (report.seen_test_rows, report.copied_test_rows) == (0, 1)


def test_models_from_elsewhere_and_old_folders_are_unknown_and_untrained_ones_saw_nothing(catalog, tmp_path):
    splits = read_splits(catalog, "kind")
    assert check_unseen(model_of(None), catalog, splits.test).known == "nothing"
    old = model_of(None).save_pretrained(tmp_path / "old")
    assert not (old / "trained_on.parquet").exists()
    assert check_unseen(old, catalog, splits.test).known == "nothing"
    untrained = check_unseen(load(NAME, image_size=16), catalog, splits.test)
    assert (untrained.known, untrained.trained_images) == ("all", 0)
    fresh = check_unseen(load(NAME, image_size=16).save_pretrained(tmp_path / "new"), catalog, splits.test)
    assert (fresh.known, fresh.trained_images) == ("all", 0)


def test_what_was_trained_before_counts_and_what_nobody_knows_stays_unknown(catalog):
    splits = read_splits(catalog, "kind")
    train, test = (trained_where(catalog, f"split = '{name}'") for name in ("train", "test"))
    later = train.with_earlier(test)
    assert check_unseen(model_of(later), catalog, splits.test, allow_seen=True).seen_test_rows == len(
        splits.test
    )
    some = check_unseen(model_of(train.with_earlier(None)), catalog, splits.test)
    assert (some.known, some.seen_test_rows) == ("some", 0)
    assert "unknown images" in some.sentence
    with pytest.raises(DataError, match="test rows"):
        check_unseen(model_of(test.with_earlier(None)), catalog, splits.test)


def test_the_list_costs_eight_bytes_an_image_and_comes_back_the_same(tmp_path):
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**64, 50_000, dtype=np.uint64))
    rows = TrainedRows(hashes, is_whole=True)
    rows.save(tmp_path / "a.parquet")
    rows.save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.parquet").stat().st_size < 8 * len(hashes) + 2_000
    back = TrainedRows.load(tmp_path / "a.parquet")
    assert (back.hashes == hashes).all()
    assert back.digest == rows.digest != TrainedRows(hashes, is_whole=False).digest
    assert not TrainedRows(hashes[:0], is_whole=True).holds(hashes[:3]).any()
    assert back.holds(np.append(hashes[[0, -1]], hashes[5] + np.uint64(1))).tolist() == [True, True, False]


def test_a_list_that_was_changed_or_lost_is_no_list(catalog, tmp_path):
    folder = model_of(trained_where(catalog, "split = 'train'")).save_pretrained(tmp_path / "model")
    TrainedRows(np.array([1, 2], np.uint64), is_whole=True).save(folder / "trained_on.parquet")
    with pytest.raises(ModelError, match=r"lists other images than config.json says"):
        load(folder)
    (folder / "trained_on.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="expected the hashes of the images that a model was trained on"):
        load(folder)
    (folder / "trained_on.parquet").unlink()
    with pytest.raises(DataError, match="none that can be read"):
        load(folder)


def test_a_model_that_is_loaded_and_saved_again_keeps_its_list(catalog, tmp_path):
    rows = trained_where(catalog, "split = 'train'")
    first = model_of(rows).save_pretrained(tmp_path / "a")
    again = load(first).save_pretrained(first)
    assert load(again).trained_rows.digest == rows.digest
    assert load(again).config == load(first).config


def test_hashes_are_those_of_the_bytes_in_the_order_asked(catalog):
    """By `b2sum -l 64`, read as a little-endian number."""
    images = catalog.table(["image"])["image"].to_pylist()
    found = content_hashes(catalog, np.array([7, 3, 7]))
    expected = [
        int.from_bytes(hashlib.blake2b(images[n], digest_size=8).digest(), "little") for n in (7, 3, 7)
    ]
    assert found.tolist() == expected


def test_a_purge_names_the_models_that_were_trained_on_what_went(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    train = trained_where(catalog, "split = 'train'")
    few = trained_where(catalog, "split = 'train' AND number = 0")
    note_model(catalog, tmp_path / "runs/all/model", train)
    note_model(catalog, tmp_path / "runs/few/model", few)
    gone = catalog.table(["id"], where="split = 'train' AND number = 1")["id"].to_pylist()[:3]
    where = f"id IN ({', '.join(map(repr, gone))})"
    hashes = content_hashes(catalog, catalog.positions(where))
    assert models_trained_on(catalog, hashes) == {str(tmp_path / "runs/all/model"): 3}
    proof = Catalog.open(catalog.path).purge(where)
    assert proof.trained_models == {str(tmp_path / "runs/all/model"): 3}
    assert Catalog.open(catalog.path).purge("split = 'val'").trained_models == {}


def _png(seed):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_a_single_changed_byte_is_another_image(tmp_path):
    image = _png(0)
    batch = pa.record_batch({"id": ["a", "b"], "image": pa.array([image, image + b"\0"], pa.binary())})
    catalog = Catalog.create(tmp_path / "cat", batch.schema, commit=Commit(verb="test"))
    catalog.append(catalog.write_fragment(batch), commit=Commit(verb="test"))
    one, other = content_hashes(catalog, np.array([0, 1]))
    assert one != other
