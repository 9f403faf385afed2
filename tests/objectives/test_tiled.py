from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import mean_over_processes, random_rows, values_and_gradients
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from synsight import objectives
from synsight.errors import ConfigError, ShapeError
from synsight.objectives import tiled_clip_loss, tiled_nt_xent, tiled_xclr_loss

NAMES = ["nt_xent", "dcl", "clip_loss", "siglip_loss", "xclr_loss"]


def loss_of(name: str, *, form: str, **options):
    """A loss of (rows, rows, captions, scale, bias), dense or tiled, that takes what it needs."""
    function = getattr(objectives, ("" if form == "dense" else "tiled_") + name.replace("dcl", "nt_xent"))

    def loss(first, second, captions, scale, bias, **more):
        if name == "nt_xent":
            return function(first, second, temperature=0.2, **options, **more)
        if name == "dcl":
            return function(first, second, temperature=0.2, decoupled=True, **options, **more)
        if name == "clip_loss":
            return function(first, second, logit_scale=scale, **options, **more)
        if name == "siglip_loss":
            return function(first, second, logit_scale=scale, logit_bias=bias, **options, **more)
        return function(first, second, caption_embeddings=captions, **options, **more)

    return loss


def leaves_of(name: str, batch: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Only what the loss uses wants a gradient."""
    first, second, captions = (random_rows(batch, 6, seed=3 * seed + i, dtype=dtype) for i in range(3))
    scale = torch.tensor(8.0, dtype=dtype, requires_grad=name in ("clip_loss", "siglip_loss"))
    bias = torch.tensor(-2.0, dtype=dtype, requires_grad=name == "siglip_loss")
    return [first, second, captions.detach(), scale, bias]


def assert_same(ours: list[Tensor], theirs: list[Tensor], **tolerance: float) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(2, 12), st.integers(1, 13), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_value_and_every_gradient_equal_the_dense_form(name, batch, tile, seed):
    leaves = leaves_of(name, batch, seed=seed)
    dense = values_and_gradients(loss_of(name, form="dense"), *leaves)
    tiled = values_and_gradients(loss_of(name, form="tiled", tile=tile), *leaves)
    assert_same(tiled, dense, rtol=1e-7, atol=1e-9)  # F.softplus of the dense SigLIP is exact to 2e-9


@pytest.mark.parametrize("name", NAMES)
def test_equal_the_dense_form_to_1e_5_in_float32(name):
    leaves = leaves_of(name, 150, dtype=torch.float32)
    dense = values_and_gradients(loss_of(name, form="dense"), *leaves)
    assert_same(
        values_and_gradients(loss_of(name, form="tiled", tile=64), *leaves), dense, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    leaves = leaves_of(name, 5)
    assert torch.autograd.gradcheck(loss_of(name, form="tiled", tile=2), leaves)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_together_have_the_loss_and_the_gradients_of_one(name, processes):
    loss, leaves = loss_of(name, form="tiled", tile=2), leaves_of(name, 6)

    def apart(first, second, captions, scale, bias):
        def own_loss(*own, gather, rank):
            return loss(*own, scale, bias, gather=gather, rank=rank)

        return mean_over_processes(own_loss, [first, second, captions], processes=processes)

    dense = loss_of(name, form="dense")
    assert_same(values_and_gradients(apart, *leaves), values_and_gradients(dense, *leaves))


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40),
    st.integers(1, 10),
    st.booleans(),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_ignored_pairs_are_those_of_the_dense_form(pairs, tile, decoupled, processes):
    leaves = [random_rows(9, 4), random_rows(9, 4, seed=1)]
    index = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)

    def share(function, *own, gather=None, rank=0):
        rows = (index[:, 0] // len(own[0]) == rank).nonzero()[:, 0]
        ignore = index[rows, 0] - rank * len(own[0]), index[rows, 1]
        return function(*own, decoupled=decoupled, ignore=ignore, gather=gather, rank=rank)

    def apart(*whole):
        if processes == 1:
            return share(partial(tiled_nt_xent, tile=tile), *whole)
        return mean_over_processes(partial(share, partial(tiled_nt_xent, tile=tile)), whole, processes=3)

    dense = partial(objectives.nt_xent, decoupled=decoupled, ignore=tuple(index.T))
    assert_same(values_and_gradients(apart, *leaves), values_and_gradients(dense, *leaves))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.01, 0.001])
@pytest.mark.parametrize("ignore", [None, (torch.arange(8), torch.arange(1, 9))])
def test_steep_temperatures_stay_exact(dtype, temperature, ignore):
    """At 0.01, logits span 200 nats, float32 powers 176; the rows are made so that some anchors have only far
    negatives, some only near ones."""
    z0 = random_rows(12, 3, dtype=dtype)
    signs = torch.tensor([1, -1], dtype=dtype).repeat(6)[:, None]
    far = (torch.ones(12, 3, dtype=dtype) * signs + 0.05 * z0).detach().requires_grad_()
    near = (far.detach().abs() + 0.01 * z0).detach().requires_grad_()
    for leaves in ([z0, far], [far, near], [near[:2], -far[:2]]):
        pairs = ignore if len(leaves[0]) > 2 else None
        options = {"temperature": temperature, "ignore": pairs}
        dense = values_and_gradients(partial(objectives.nt_xent, **options), *leaves)
        tiled = values_and_gradients(partial(tiled_nt_xent, tile=4, **options), *leaves)
        # A similarity is rounded to some units of its dtype, and the temperature magnifies that.
        coarse = 20 * torch.finfo(dtype).eps / temperature
        assert_same(tiled, dense, rtol=coarse, atol=coarse / 10)


def test_logits_that_all_underflow_are_computed_anew():
    """Every stranger is opposed: without a shift of their own, all terms of a row would be exp(-200)."""
    image = F.normalize(torch.ones(20, 4) + 0.02 * random_rows(20, 4, dtype=torch.float32), dim=1)
    leaves = [
        image.detach().requires_grad_(),
        (-image.detach()).requires_grad_(),
        torch.tensor(100.0, requires_grad=True),
    ]
    dense, tiled = (
        values_and_gradients(lambda *z, f=f: f(*z[:2], logit_scale=z[2]), *leaves)
        for f in (objectives.clip_loss, partial(tiled_clip_loss, tile=8))
    )
    assert_same(tiled, dense, rtol=1e-3, atol=1e-4)


def test_large_logits_stay_finite():
    z0 = random_rows(6, 5, dtype=torch.float32)
    loss = tiled_nt_xent(z0, z0, temperature=1e-4)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z0.grad).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [0.3, 100.0])  # trained and untrained
def test_bfloat16_tiles_stay_within_a_thousandth(name, noise):
    leaves = leaves_of(name, 256, dtype=torch.float32)
    first, other, captions = (random_rows(256, 32, seed=seed, dtype=torch.float32) for seed in range(3))
    leaves[:3] = [first, (first + noise * other).detach().requires_grad_(), captions.detach()]
    exact = values_and_gradients(loss_of(name, form="dense"), *leaves)
    low = values_and_gradients(loss_of(name, form="tiled", precision="bfloat16"), *leaves)
    torch.testing.assert_close(low[0], exact[0], rtol=1e-3, atol=1e-3)
    for one, truth in zip(low[1:], exact[1:], strict=True):
        assert (one - truth).norm() < 0.01 * truth.norm()


class _Largest(TorchDispatchMode):
    """The largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple) else (out,):
            if isinstance(one, Tensor):
                self.numel = max(self.numel, one.numel())
        return out


@pytest.mark.parametrize("name", NAMES)
def test_nothing_larger_than_rows_and_tiles_is_ever_made(name):
    batch, tile = 256, 16
    ignore = {"ignore": (torch.arange(batch), torch.arange(batch).flip(0))}
    options = ignore if name in ("nt_xent", "dcl") else {}
    leaves = leaves_of(name, batch)
    with _Largest() as largest:
        loss_of(name, form="tiled", tile=tile, **options)(*leaves).backward()
    assert 0 < largest.numel <= 2 * batch * 6
    with _Largest() as largest:
        loss_of(name, form="dense", **options)(*leaves).backward()
    assert largest.numel >= batch * batch


@pytest.mark.parametrize("name", NAMES)
def test_leave_autocast_forward_and_backward(name):
    leaves = leaves_of(name, 40, dtype=torch.float32)
    expected = values_and_gradients(loss_of(name, form="tiled", tile=16), *leaves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = values_and_gradients(loss_of(name, form="tiled", tile=16), *leaves)
    assert_same(inside, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["clip_loss", "siglip_loss"])
def test_a_frozen_side_needs_no_gradient(name):
    leaves = leaves_of(name, 9)
    leaves[1] = leaves[1].detach()
    dense = values_and_gradients(loss_of(name, form="dense"), *leaves)
    assert_same(values_and_gradients(loss_of(name, form="tiled", tile=4), *leaves), dense)


def test_the_scale_alone_may_learn():
    leaves = [leaf.detach() for leaf in leaves_of("clip_loss", 9)]
    leaves[3].requires_grad_()
    dense = values_and_gradients(loss_of("clip_loss", form="dense"), *leaves)
    assert_same(values_and_gradients(loss_of("clip_loss", form="tiled", tile=4), *leaves), dense)


def test_a_single_pair_of_image_and_caption_has_nothing_to_learn():
    image, text, scale = random_rows(1, 4), random_rows(1, 4, seed=1), torch.tensor(5.0)
    loss = tiled_clip_loss(image, text, logit_scale=scale)
    loss.backward()
    assert loss.item() == 0
    assert (image.grad == 0).all()


def test_refuse_what_the_dense_forms_refuse_and_unknown_tiles():
    z = torch.randn(4, 8)
    with pytest.raises(ShapeError, match=r"one shape \[B, D\]; got \[4, 8\] and \[3, 8\]"):
        tiled_nt_xent(z, z[:3])
    with pytest.raises(ShapeError, match="at least 2 images"):
        tiled_xclr_loss(z[:1], z[:1], caption_embeddings=z[:1])
    with pytest.raises(ConfigError, match="tile must be at least 1; got 0"):
        tiled_nt_xent(z, z, tile=0)
    with pytest.raises(ConfigError, match="'float32' or 'bfloat16'; got 'float16'"):
        tiled_nt_xent(z, z, precision="float16")
