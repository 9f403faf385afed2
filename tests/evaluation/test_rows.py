import numpy as np
import pyarrow as pa
import pytest
from made import make_catalog

from synsight.data.training_data import TrainingData
from synsight.data.views import ViewsConfig
from synsight.errors import DataError, UsageError
from synsight.evaluation.rows import read_splits


def test_labelled_rows_stand_in_their_splits_in_the_order_of_their_ids(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    splits = read_splits(catalog, "kind")
    assert splits.class_names == ("blue", "green", "rare", "red")
    assert splits.unlabelled == 3
    assert len(splits.train) + len(splits.val) + len(splits.test) == 87
    for name in ("train", "val", "test"):
        rows = getattr(splits, name)
        assert list(rows.ids) == sorted(rows.ids)
        taken = catalog.take(rows.positions, ["id", "kind", "group", "split"]).to_pydict()
        assert taken["id"] == list(rows.ids)
        assert taken["kind"] == [splits.class_names[label] for label in rows.labels]
        assert taken["group"] == list(rows.groups)
        assert set(taken["split"]) == {name}


def test_integers_and_the_group_itself_can_be_labels(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    assert read_splits(catalog, "number").class_names == ("0", "1", "2")
    assert len(read_splits(catalog, "group").only_in_test) == 9


def test_rows_without_a_group_are_groups_of_their_own(tmp_path):
    def lose_groups(columns):
        return {**columns, "group": [None if row % 2 else "g" for row in range(90)]}

    splits = read_splits(make_catalog(tmp_path / "cat", change=lose_groups), "number")
    assert len(np.unique(splits.test.group_codes)) == 1 + sum(one is None for one in splits.test.groups)
    without = make_catalog(
        tmp_path / "without", change=lambda columns: {k: v for k, v in columns.items() if k != "group"}
    )
    test = read_splits(without, "number").test
    assert len(np.unique(test.group_codes)) == len(test)


def test_an_empty_label_is_no_label_and_a_class_of_test_rows_only_is_noted(tmp_path):
    def change(columns):
        kinds = ["" if row < 6 else kind for row, kind in enumerate(columns["kind"])]
        return {**columns, "kind": kinds}

    splits = read_splits(make_catalog(tmp_path / "cat", change=change), "kind")
    assert splits.unlabelled == 9
    assert [splits.class_names[one] for one in splits.only_in_test] == ["rare"]


def test_labels_that_cannot_be_used_are_named(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    with pytest.raises(UsageError, match=r"no column 'kinds' to take labels from; did you mean 'kind'"):
        read_splits(catalog, "kinds")
    with pytest.raises(DataError, match=r"column 'size' holds double; .* 0\.142857 is a measurement"):
        read_splits(catalog, "size")
    with pytest.raises(DataError, match="all 54 labelled training rows have same = 'x'"):
        read_splits(catalog, "same")
    for split in ("train", "test"):
        lost = make_catalog(
            tmp_path / split,
            change=lambda columns, split=split: {
                **columns,
                "split": ["val" if one == split else one for one in columns["split"]],
            },
        )
        with pytest.raises(DataError, match=f"the {split} split has no row with a value in 'kind'"):
            read_splits(lost, "kind")


def test_training_and_evaluation_call_the_classes_of_any_column_the_same(tmp_path):
    """A trained head's classes are looked up among those of the test rows."""
    truth = [None if row % 9 == 4 else row % 3 == 0 for row in range(90)]
    counts = [float("nan") if row % 9 == 4 else float(row % 3) for row in range(90)]

    def change(columns):
        packed = pa.array(columns["kind"]).dictionary_encode()
        return {**columns, "truth": truth, "counts": counts, "packed": packed}

    catalog = make_catalog(tmp_path / "cat", change=change)
    train = catalog.positions("split = 'train'")
    for label, names in (
        ("truth", ("False", "True")),
        ("counts", ("0", "1", "2")),
        ("packed", ("blue", "green", "rare", "red")),
        ("number", ("0", "1", "2")),
    ):
        splits = read_splits(catalog, label)
        assert splits.class_names == names
        data = TrainingData(catalog, views=ViewsConfig(), image_size=16, positions=train, label=label, seed=0)
        assert data.label_names == list(names)
        assert data.label_counts().tolist() == np.bincount(splits.train.labels).tolist()
        assert label == "number" or splits.unlabelled in (3, 10)
