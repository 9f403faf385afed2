"""Supervised training beyond the plain cross-entropy: weights of classes, RangeAugment, a given head."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError, ModelError
from synsight.methods import Supervised, SupervisedConfig
from synsight.training.start_head import read_head, write_head


class Flat(nn.Module):
    """The pixels themselves."""

    num_features = 12

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return view.flatten(1)


def a_batch(labels: list[int]) -> Batch:
    views = torch.randn(len(labels), 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return Batch(views=(views,), positions=torch.arange(len(labels)), labels=torch.tensor(labels))


def method(**settings) -> Supervised:
    torch.manual_seed(1)
    counts = torch.tensor([30, 60, 10])
    config = SupervisedConfig(**settings)
    return Supervised(Flat(), embedding_dim=12, config=config, num_classes=3, label_counts=counts)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_row_counts_by_its_class_and_rows_without_a_label_do_not(smoothing):
    batch, one = a_batch([0, 2, -1, 1, 2]), method(class_weights="inverse", label_smoothing=smoothing)
    # By hand: 100 rows, a third of the loss to each class: 100/90, 100/180 and 100/30.
    weights = {0: 100 / 90, 1: 100 / 180, 2: 100 / 30}
    expected = 0.0
    for view, label in zip(batch.views[0], batch.labels.tolist(), strict=True):
        if label >= 0:
            log_p = one.head(view.flatten()).double().log_softmax(dim=0)
            row = -(1 - smoothing) * log_p[label] - smoothing * log_p.mean()
            expected += weights[label] * row.item() / 4
    assert one.loss(batch, World()).loss.item() == pytest.approx(expected, rel=1e-5)


def test_without_weights_it_is_torchs_cross_entropy():
    batch, one = a_batch([0, 2, -1, 1]), method(label_smoothing=0.1)
    expected = F.cross_entropy(
        one.head(batch.views[0].flatten(1)), batch.labels, ignore_index=-1, label_smoothing=0.1
    )
    torch.testing.assert_close(one.loss(batch, World()).loss, expected)


def test_weights_need_the_rows_of_each_class():
    with pytest.raises(ConfigError, match="needs the rows of each class"):
        Supervised(Flat(), embedding_dim=12, config=SupervisedConfig(class_weights="sqrt"), num_classes=3)


def test_kept_statistics_of_a_norm_stay_and_its_scale_learns():
    for kind, moves in (("batch", True), ("kept", False)):
        encoder = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten())
        config = SupervisedConfig(norm_statistics=kind)
        one = Supervised(encoder, embedding_dim=12, config=config, num_classes=3).train()
        one.loss(a_batch([0, 1, 2]), World()).loss.backward()
        assert bool(encoder[0].running_mean.abs().sum() > 0) is moves
        assert encoder[0].weight.grad.abs().sum() > 0
        assert one.training and encoder[1].training


def test_range_augment_changes_training_alone_and_adds_its_penalty():
    batch, one = a_batch([0, 1, 2]), method(range_augment=True)
    one.train()
    found = one.loss(batch, World())
    assert found.logs["range_error"] > 0
    one.eval()
    torch.testing.assert_close(one.represent(batch)["features"], batch.views[0].flatten(1))


def test_a_head_is_read_back_for_the_same_labels_alone(tmp_path):
    weight, bias = torch.randn(2, 5), torch.randn(2)
    write_head(tmp_path / "some" / "head.safetensors", weight=weight, bias=bias, names=["a", "b"])
    path = tmp_path / "some" / "head.safetensors"
    head = read_head(path, embedding_dim=5, names=["a", "b"])
    assert torch.equal(head.weight, weight) and torch.equal(head.bias, bias)
    with pytest.raises(ModelError, match="expected rows of b, a, "):
        read_head(path, embedding_dim=5, names=["b", "a"])
    with pytest.raises(ModelError, match=r"shape \[2, 5\], expected \[2, 6\]"):
        read_head(path, embedding_dim=6, names=["a", "b"])
