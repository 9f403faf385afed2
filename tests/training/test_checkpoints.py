"""Checkpoints: what is read back, what is refused, what is never executed."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from synsight.errors import TrainingError
from synsight.training.checkpoints import Checkpoint, has_checkpoint, load_checkpoint, save_checkpoint
from synsight.training.config import OptimConfig
from synsight.training.optim import WeightAverage, build_optimiser
from synsight.training.state import Parts, Progress, pack, unpack


def parts(width: int = 3) -> Parts:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.BatchNorm2d(width))
    network = network.to(memory_format=torch.channels_last)
    optimiser = build_optimiser(network, OptimConfig())
    return Parts(network, optimiser, WeightAverage(network, decay=0.5), Progress())


def take_a_step(state: Parts) -> None:
    state.optimiser.zero_grad()
    state.method(torch.randn(4, 3, 8, 8)).square().sum().backward()
    state.optimiser.step()
    state.progress.step += 1
    state.average.update(state.method, step=state.progress.step)


def saved(folder: Path) -> Parts:
    state = parts()
    take_a_step(state)
    save_checkpoint(folder, pack(state), step=1)
    return state


def test_a_state_read_back_is_the_same_bit_for_bit(tmp_path: Path):
    first = saved(tmp_path)
    first.progress.best_value, first.progress.sums = 0.1 + 0.2, {"loss": 1 / 3}
    save_checkpoint(tmp_path, pack(first), step=2)
    second = parts()
    unpack(load_checkpoint(tmp_path), second)
    assert second.progress == first.progress
    # The random state, too, is that of the moment of saving: the next step is the same.
    take_a_step(second)
    unpack(load_checkpoint(tmp_path), first)
    take_a_step(first)
    one, other = pack(first).tensors, pack(second).tensors
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    velocity = second.optimiser.state[second.method[0].weight]["exp_avg"]
    assert velocity.stride() == second.method[0].weight.stride()


def test_only_the_newest_tensors_stay(tmp_path: Path):
    state = saved(tmp_path)
    save_checkpoint(tmp_path, pack(state), step=12)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["state-000000012.safetensors", "state.json"]


def test_without_a_pointer_there_is_no_checkpoint(tmp_path: Path):
    assert not has_checkpoint(tmp_path)
    saved(tmp_path)
    assert has_checkpoint(tmp_path)
    (tmp_path / "state.json").unlink()
    assert not has_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "its bytes are not the ones"),
        (lambda path: path.write_bytes(b""), "its bytes are not the ones"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.parent / "state.json").write_text("{"), "expected JSON"),
        (lambda path: (path.parent / "state.json").write_text("[]"), "not a checkpoint of format 1"),
        (lambda path: (path.parent / "state.json").write_text('{"format": 1}'), "fields are damaged"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(damage, sentence: str, tmp_path: Path):
    saved(tmp_path)
    damage(tmp_path / "state-000000001.safetensors")
    with pytest.raises(TrainingError) as refused:
        load_checkpoint(tmp_path)
    assert sentence in str(refused.value)
    assert "expected a checkpoint that synsight saved" in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_pickle_in_place_of_the_tensors_is_refused_and_never_run(tmp_path: Path):
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    folder = tmp_path / "last"
    saved(folder)
    for evil in (pickle.dumps(Evil()), (8).to_bytes(8, "little") + pickle.dumps(Evil())):
        (folder / "state-000000001.safetensors").write_bytes(evil)
        pointer = json.loads((folder / "state.json").read_text())
        pointer["sha256"] = hashlib.sha256(evil).hexdigest()  # an attacker can write this one, too
        (folder / "state.json").write_text(json.dumps(pointer))
        with pytest.raises(TrainingError, match="expected a checkpoint that synsight saved"):
            load_checkpoint(folder)
    assert not marker.exists()


def test_a_pointer_out_of_the_folder_is_refused(tmp_path: Path):
    saved(tmp_path / "a")
    saved(tmp_path / "b")
    pointer = json.loads((tmp_path / "a" / "state.json").read_text())
    pointer["tensors"] = "../b/state-000000001.safetensors"
    (tmp_path / "a" / "state.json").write_text(json.dumps(pointer))
    with pytest.raises(TrainingError, match="its fields are damaged"):
        load_checkpoint(tmp_path / "a")


def test_the_state_of_another_network_is_refused_and_changes_nothing(tmp_path: Path):
    saved(tmp_path)
    other = parts(width=5)
    before = {name: value.clone() for name, value in other.method.state_dict().items()}
    with pytest.raises(TrainingError, match=r"holds another network: .* the first is '0\.bias'"):
        unpack(load_checkpoint(tmp_path), other)
    assert all(torch.equal(before[name], value) for name, value in other.method.state_dict().items())


def test_a_state_without_its_random_numbers_is_refused(tmp_path: Path):
    state = saved(tmp_path)
    whole = pack(state)
    tensors = {name: value for name, value in whole.tensors.items() if name != "random/torch"}
    with pytest.raises(TrainingError, match="incomplete or of another version"):
        unpack(Checkpoint(tensors, whole.values), parts())
    with pytest.raises(TrainingError, match="incomplete or of another version"):
        unpack(Checkpoint(whole.tensors, {"progress": {"steps": 3}}), parts())
