"""One step of each method, against its definition written out by hand."""

import math

import pytest
import torch
from torch import nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods import (
    CatLIP,
    CatLIPConfig,
    SimCLR,
    SimCLRConfig,
    Supervised,
    SupervisedConfig,
)

ALONE = World()
D, C, B = 6, 4, 5


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, D))


def batch(*, views: int = 1, labels: list[int] | None = None, words: list[list[int]] | None = None) -> Batch:
    generator = torch.Generator().manual_seed(1)
    words = words or [[]] * B
    return Batch(
        views=tuple(torch.randn(B, 3, 2, 2, generator=generator) for _ in range(views)),
        positions=torch.arange(B),
        labels=torch.tensor(labels if labels is not None else [-1] * B),
        word_rows=torch.tensor([row for row, found in enumerate(words) for _ in found], dtype=torch.int64),
        word_classes=torch.tensor([one for found in words for one in found], dtype=torch.int64),
    )


def catlip() -> CatLIP:
    return CatLIP(encoder(), embedding_dim=D, config=CatLIPConfig(), num_classes=C)


def supervised(smoothing: float = 0.0) -> Supervised:
    config = SupervisedConfig(label_smoothing=smoothing)
    return Supervised(encoder(), embedding_dim=D, config=config, num_classes=C)


def test_catlip_is_the_sum_over_words_and_the_mean_over_rows_that_have_one():
    words = [[0, 2], [], [3], [1], []]
    method = catlip()
    step = method.loss(batch(words=words), ALONE)
    logits = method.head(method.encoder(batch().views[0])).double().tolist()
    total = 0.0
    for row, found in enumerate(words):
        if found:
            for number, logit in enumerate(logits[row]):
                probability = 1 / (1 + math.exp(-logit))
                total -= math.log(probability if number in found else 1 - probability)
    assert step.loss.item() == pytest.approx(total / 3, rel=1e-6)
    assert step.logs["share_with_word"].item() == pytest.approx(3 / 5)
    assert step.features.shape == (B, D) and not step.features.requires_grad


def test_catlip_without_any_word_is_zero_with_a_graph():
    method = catlip()
    loss = method.loss(batch(), ALONE).loss
    loss.backward()
    assert loss.item() == 0.0
    assert all(not weight.grad.any() for weight in method.parameters())


def test_catlip_starts_at_the_prior_it_is_given():
    config = CatLIPConfig(start_probability=0.25)
    head = CatLIP(encoder(), embedding_dim=D, config=config, num_classes=C).classifier
    torch.testing.assert_close(head.bias.sigmoid(), torch.full((C,), 0.25))
    torch.testing.assert_close(catlip().classifier.bias.sigmoid(), torch.full((C,), 1 / C))


def test_simclr_is_nt_xent_of_the_projections_written_as_loops():
    method = SimCLR(encoder(), embedding_dim=D, config=SimCLRConfig(temperature=0.3, projection_dim=3))
    views = batch(views=2)
    z = method.projection_head(method.encoder(torch.cat(views.views)))
    z = torch.nn.functional.normalize(z.double(), dim=1).tolist()
    similarity = [[math.exp(sum(a * b for a, b in zip(x, y, strict=True)) / 0.3) for y in z] for x in z]
    total = 0.0
    for anchor in range(2 * B):
        others = sum(similarity[anchor][other] for other in range(2 * B) if other != anchor)
        total -= math.log(similarity[anchor][(anchor + B) % (2 * B)] / others)
    assert method.loss(views, ALONE).loss.item() == pytest.approx(total / (2 * B), rel=1e-5)
    assert method.classifier is None


def test_simclr_that_has_collapsed_is_at_its_chance_loss():
    method = SimCLR(encoder(), embedding_dim=D, config=SimCLRConfig())
    method.projection_head = nn.Linear(D, 2)
    nn.init.zeros_(method.projection_head.weight)
    loss = method.loss(batch(views=2), ALONE).loss.item()
    assert loss == pytest.approx(method.chance_loss(B)) == pytest.approx(math.log(2 * B - 1))


def test_supervised_is_the_mean_over_labelled_rows():
    method = supervised(smoothing=0.1)
    labels = [2, -1, 0, 3, -1]
    step = method.loss(batch(labels=labels), ALONE)
    logits = method.head(method.encoder(batch().views[0]))
    rows = [0, 2, 3]
    expected = nn.functional.cross_entropy(logits[rows], torch.tensor([2, 0, 3]), label_smoothing=0.1)
    torch.testing.assert_close(step.loss, expected)
    hits = (logits[rows].argmax(dim=1) == torch.tensor([2, 0, 3])).float().mean()
    torch.testing.assert_close(step.logs["train_acc1"], hits)


def test_supervised_without_any_label_is_zero_with_a_graph():
    loss = supervised().loss(batch(), ALONE).loss
    loss.backward()
    assert loss.item() == 0.0


@pytest.mark.parametrize("make", [catlip, supervised])
def test_under_bfloat16_the_loss_is_float32_and_near(make):
    method = make()
    inputs = batch(labels=[0, 1, 2, 3, 0], words=[[0], [1], [2], [3], [0]])
    exact = method.loss(inputs, ALONE).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = method.loss(inputs, ALONE).loss
    assert rough.dtype == torch.float32
    # bfloat16 has 8 bits: the logits are off by 1 in 256.
    torch.testing.assert_close(rough, exact, rtol=1e-2, atol=1e-2)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="start_probability must lie between 0 and 1"):
        CatLIPConfig(start_probability=0.0)
    with pytest.raises(ConfigError, match="label_smoothing must lie between 0 and 1"):
        SupervisedConfig(label_smoothing=1.0)
    with pytest.raises(ConfigError, match="projection_dim must be at least 1"):
        SimCLRConfig(projection_dim=0)
