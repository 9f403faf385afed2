import math

import pytest
import torch
from shares import mean_over_processes, random_rows, values_and_gradients
from torch.nn import functional as F

from synsight.errors import ConfigError, ShapeError
from synsight.objectives import nt_xent, xclr_loss

CAPTIONS = random_rows(6, 3, seed=2)


def test_equals_the_definition_in_loops():
    views = F.normalize(torch.cat([random_rows(4, 5), random_rows(4, 5, seed=1)]), dim=1)
    captions = F.normalize(CAPTIONS[:4].detach().repeat(2, 1), dim=1)
    losses = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        wanted = [math.exp((captions[i] @ captions[j]).item() / 0.5) for j in others]
        found = [math.exp((views[i] @ views[j]).item() / 0.2) for j in others]
        losses.append(
            -sum(w / sum(wanted) * math.log(f / sum(found)) for w, f in zip(wanted, found, strict=True))
        )
    loss = xclr_loss(
        *views.chunk(2), caption_embeddings=CAPTIONS[:4], temperature=0.2, target_temperature=0.5
    )
    assert loss.item() == pytest.approx(sum(losses) / 8, abs=1e-12)


def test_becomes_nt_xent_as_the_targets_grow_hard():
    z0, z1 = random_rows(6, 5), random_rows(6, 5, seed=1)
    hard = xclr_loss(z0, z1, caption_embeddings=CAPTIONS, target_temperature=1e-4)
    torch.testing.assert_close(hard, nt_xent(z0, z1))


def test_is_least_where_views_are_as_alike_as_captions():
    least = xclr_loss(CAPTIONS, CAPTIONS, caption_embeddings=CAPTIONS)
    noise = 0.1 * random_rows(6, 3, seed=3)
    assert xclr_loss(CAPTIONS + noise, CAPTIONS, caption_embeddings=CAPTIONS) > least > 0


def test_captions_get_no_gradient():
    captions = CAPTIONS.detach().clone().requires_grad_()
    xclr_loss(random_rows(6, 5), random_rows(6, 5, seed=1), caption_embeddings=captions).backward()
    assert captions.grad is None


def test_gradient_equals_finite_differences():
    leaves = random_rows(3, 4), random_rows(3, 4, seed=1)
    assert torch.autograd.gradcheck(
        lambda *z: xclr_loss(*z, caption_embeddings=CAPTIONS[:3], temperature=0.3), leaves
    )


def test_processes_together_have_the_loss_and_the_gradients_of_one():
    leaves = random_rows(6, 4), random_rows(6, 4, seed=1)

    def apart(z0, z1):
        def loss(first, second, captions, *, gather, rank):
            return xclr_loss(first, second, caption_embeddings=captions, gather=gather, rank=rank)

        return mean_over_processes(loss, [z0, z1, CAPTIONS], processes=3)

    together = values_and_gradients(lambda *z: xclr_loss(*z, caption_embeddings=CAPTIONS), *leaves)
    for one, other in zip(values_and_gradients(apart, *leaves), together, strict=True):
        torch.testing.assert_close(one, other)


def test_refuses_what_does_not_fit():
    z = torch.zeros(4, 8)
    with pytest.raises(ShapeError, match=r"one caption embedding a row, \[4, E\]; got \[3, 8\]"):
        xclr_loss(z, z, caption_embeddings=z[:3])
    with pytest.raises(ConfigError, match="target_temperature must be > 0; got 0"):
        xclr_loss(z, z, caption_embeddings=z, target_temperature=0)
