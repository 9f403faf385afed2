import torch
from torch import nn

from synsight.models import ProjectionHead, linear_head


def test_projection_head_is_the_papers_two_layers():
    layers = list(ProjectionHead(16, projection_dim=8).layers)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert layers[0].weight.shape == (16, 16)
    assert layers[3].weight.shape == (8, 16)


def test_projections_are_128_numbers_unless_told():
    assert ProjectionHead(16)(torch.randn(4, 16)).shape == (4, 128)


def test_linear_head_starts_at_the_probability_given():
    scores = linear_head(16, 1000, prior=0.01)(torch.zeros(1, 16))
    torch.testing.assert_close(scores.sigmoid(), torch.full((1, 1000), 0.01))


def test_linear_head_for_a_softmax_starts_without_a_bias():
    assert (linear_head(16, 10).bias == 0).all()
