"""What a trained model keeps of its making, and who is told of it (E2)."""

import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_catalog, tiny_config

from synsight.data.catalog import Catalog
from synsight.data.trained_rows import TrainedRows, trained_rows
from synsight.errors import DataError
from synsight.evaluation.rows import read_splits
from synsight.evaluation.seen_rows import check_unseen
from synsight.models import load
from synsight.models.weights import load_weights, save_weights
from synsight.training import train


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Catalog:
    return make_catalog(tmp_path_factory.mktemp("lineage") / "cat", test_every=6)


@pytest.fixture(scope="module")
def run(catalog, tmp_path_factory):
    out = tmp_path_factory.mktemp("lineage_runs") / "run"
    train(tiny_config("simclr", catalog.path, seed=7), out=out)
    return out


def test_the_card_says_which_rows_code_seed_and_processes_made_the_model(run, catalog):
    made = load(run / "model").config.trained_on
    ids = catalog.table(["id"], where="split = 'train'")["id"].to_pylist()
    total = 0
    for one in ids:
        told = b"\1" + len(one).to_bytes(8, "little") + one.encode()
        total += int.from_bytes(hashlib.blake2b(told, digest_size=16).digest(), "little")
    assert made["ids"] == f"{total % 2**128:032x}"
    assert (made["version"], made["seed"], made["processes"]) == (catalog.version, 7, 1)
    assert made["rows"] == {"all": 96, "train": len(ids)}
    assert made["norms"] == ["BatchNormAct2d"] or made["norms"] == ["BatchNorm2d"]
    assert made["code"].keys() == {"synsight", "commit"}
    card = (run / "model/README.md").read_text(encoding="utf-8")
    shown = json.loads("".join(card.split("## Data")[1].split("## Use")[0].splitlines()))
    assert shown == json.loads(json.dumps(dict(made)))


def test_the_model_lists_exactly_the_images_of_its_training_rows(run, catalog):
    model = load(run / "model")
    expected = trained_rows(catalog, catalog.positions("split = 'train'"))
    assert model.trained_rows.is_whole
    assert (model.trained_rows.hashes == expected.hashes).all()
    report = check_unseen(run / "model", catalog, read_splits(catalog, "kind").test)
    assert (report.known, report.seen_test_rows) == ("all", 0)


def test_a_run_on_chosen_rows_lists_those_and_one_that_goes_on_from_it_lists_both(run, catalog, tmp_path):
    test = catalog.positions("split = 'test'")
    train(tiny_config("simclr", catalog.path, batch_size=8), out=tmp_path / "chosen", rows=test)
    chosen = load(tmp_path / "chosen/model").trained_rows
    assert (chosen.hashes == trained_rows(catalog, test).hashes).all()
    further = tiny_config("simclr", catalog.path, encoder=str(tmp_path / "chosen/model"), steps=1)
    train(further, out=tmp_path / "further")
    both = load(tmp_path / "further/model").trained_rows
    own = load(run / "model").trained_rows
    assert (both.hashes == np.union1d(own.hashes, chosen.hashes)).all()
    assert both.is_whole
    with pytest.raises(DataError, match=f"{len(test)} of {len(test)} test rows"):
        check_unseen(tmp_path / "further/model", catalog, read_splits(catalog, "kind").test)


def test_a_catalog_parted_anew_shows_what_the_model_saw(run, tmp_path):
    """The same rows, another split: what trained then is asked about now."""
    other = make_catalog(tmp_path / "cat", test_every=7)
    saw = other.count_rows("split = 'test'") - sum(row % 6 == 0 or row % 5 == 0 for row in range(0, 96, 7))
    splits = read_splits(other, "kind")
    assert check_unseen(run / "model", other, splits.test, allow_seen=True).seen_test_rows == saw > 0


def test_the_catalog_remembers_the_model_and_a_purge_names_it(tmp_path):
    catalog = make_catalog(tmp_path / "cat")
    train(tiny_config("simclr", catalog.path, steps=1), out=tmp_path / "run")
    gone = catalog.table(["id"], where="split = 'train'")["id"].to_pylist()[:2]
    proof = Catalog.open(catalog.path).purge(f"id IN ('{gone[0]}', '{gone[1]}')")
    assert proof.trained_models == {str(tmp_path / "run/model"): 2}


def test_a_list_that_was_torn_in_a_run_that_goes_on_is_made_again(catalog, tmp_path):
    config = tiny_config("simclr", catalog.path, steps=2, **{"monitor.metric": "none"})
    train(config, out=tmp_path / "run")
    whole = TrainedRows.load(tmp_path / "run/model/trained_on.parquet")
    (tmp_path / "run/model/trained_on.parquet").write_bytes(b"torn")
    (tmp_path / "run/DONE").unlink()
    train(config, out=tmp_path / "run", resume=True)
    assert load(tmp_path / "run/model").trained_rows.digest == whole.digest


TYPES = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


@given(st.sampled_from(list(TYPES)), st.lists(st.integers(0, 5), max_size=3), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_weights_come_back_bit_for_bit_whatever_the_bits(tmp_path_factory, kind, shape, seed):
    """Any bits at all: signed zeros, subnormal numbers, every kind of NaN."""
    same_size = TYPES[kind]
    limits = torch.iinfo(same_size)
    bits = torch.from_numpy(
        np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype=np.int64, endpoint=True)
    ).to(same_size)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(path, {"one": bits.view(kind), "two": bits.view(kind).clone()})
    back = load_weights(path, expected={"one": tuple(shape), "two": tuple(shape)})
    for tensor in back.values():
        assert tensor.dtype == kind
        assert torch.equal(tensor.view(same_size), bits)


def test_a_trained_model_saved_again_has_the_same_bytes(run, tmp_path):
    again = load(run / "model").save_pretrained(tmp_path / "model")
    for name in ("model.safetensors", "config.json", "trained_on.parquet", "README.md"):
        assert (again / name).read_bytes() == (run / "model" / name).read_bytes()
