from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch
import torch.distributed as dist
from shares import random_rows
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from synsight.errors import ConfigError, ShapeError
from synsight.objectives import (
    backward_in_parts,
    clip_loss,
    nt_xent,
    siglip_loss,
    tiled_clip_loss,
    tiled_nt_xent,
    tiled_siglip_loss,
)


class TwoTowers(nn.Module):
    """Two encoders whose rows are compared with a learned scale and bias."""

    def __init__(self, *, middle: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (
            nn.Sequential(nn.Linear(6, 8), nn.GELU(), middle or nn.Identity(), nn.Linear(8, 4))
            for _ in range(2)
        )
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.bias = nn.Parameter(torch.tensor(-2.0))
        self.double()

    def forward(self, part: Tensor) -> dict[str, Tensor]:
        return {"first": self.first(part), "second": self.second(part), "place": part[:, 0].long()}

    def compare(self, rows: dict[str, Tensor], name: str) -> Tensor:
        z, scale = (rows["first"], rows["second"]), self.scale.exp()
        if name.endswith("nt_xent"):
            return {"nt_xent": nt_xent, "tiled_nt_xent": tiled_nt_xent}[name](*z)
        if name.endswith("siglip"):
            function = {"siglip": siglip_loss, "tiled_siglip": tiled_siglip_loss}[name]
            return function(*z, logit_scale=scale, logit_bias=self.bias)
        return {"clip": clip_loss, "tiled_clip": tiled_clip_loss}[name](*z, logit_scale=scale)


PARTS = random_rows(14, 6).detach().split([4, 4, 4, 2])


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: one.grad for name, one in model.named_parameters()}


def at_once(model: TwoTowers, name: str) -> Tensor:
    loss = model.compare(model(torch.cat(PARTS)), name)
    loss.backward()
    return loss


def in_parts(model: nn.Module, name: str, **options) -> Tensor:
    compare = partial(getattr(model, "module", model).compare, name=name)
    return backward_in_parts(PARTS, represent=model, compare=compare, loss_of=lambda x: x, **options)


@pytest.mark.parametrize("name", ["nt_xent", "clip", "siglip", "tiled_nt_xent", "tiled_clip", "tiled_siglip"])
def test_loss_and_every_gradient_equal_those_of_one_pass(name):
    parts, whole = TwoTowers(), TwoTowers()
    torch.testing.assert_close(in_parts(parts, name), at_once(whole, name))
    torch.testing.assert_close(gradients(parts), gradients(whole))
    assert (parts.scale.grad is None) == name.endswith("nt_xent")


def test_gradients_add_to_what_is_there():
    parts, whole = TwoTowers(), TwoTowers()
    for model in (parts, whole):
        at_once(model, "nt_xent")
    in_parts(parts, "clip")
    at_once(whole, "clip")
    torch.testing.assert_close(gradients(parts), gradients(whole))


def test_repeating_the_loss_for_each_part_would_count_the_scale_too_often():
    """Accumulation without this: the other parts' rows are constants and the loss comes once a part."""
    naive, whole = TwoTowers(), TwoTowers()
    at_once(whole, "clip")
    with torch.no_grad():
        kept = [naive(part) for part in PARTS]
    for place, part in enumerate(PARTS):
        rows = [*kept[:place], naive(part), *kept[place + 1 :]]
        naive.compare({key: torch.cat([one[key] for one in rows]) for key in rows[0]}, "clip").backward()
    torch.testing.assert_close(naive.first[0].weight.grad, whole.first[0].weight.grad)
    torch.testing.assert_close(naive.scale.grad, len(PARTS) * whole.scale.grad)


def test_dropout_repeats_in_the_second_pass_and_randomness_goes_on_as_after_one_pass():
    seen: dict[bool, list[Tensor]] = {True: [], False: []}
    model = TwoTowers(middle=nn.Dropout(0.5))

    def represent(part: Tensor) -> dict[str, Tensor]:
        rows = model(part)
        seen[torch.is_grad_enabled()].append(rows["first"].detach())
        return rows

    torch.manual_seed(1)
    backward_in_parts(PARTS, represent=represent, compare=partial(model.compare, name="clip"), loss_of=id_of)
    after = torch.rand(3)
    assert all(map(torch.equal, seen[True], seen[False]))
    torch.manual_seed(1)
    for part in PARTS:
        model(part)
    assert torch.equal(after, torch.rand(3))


def id_of(loss: Tensor) -> Tensor:
    return loss


def test_running_statistics_count_each_part_once():
    parts, once = (TwoTowers(middle=nn.BatchNorm1d(8)) for _ in range(2))
    in_parts(parts, "nt_xent", modules=parts)
    for part in PARTS:
        once(part)
    torch.testing.assert_close(dict(parts.named_buffers()), dict(once.named_buffers()))
    assert parts.first[2].num_batches_tracked == 2 * len(PARTS)  # both towers share it


def test_weights_that_autocast_kept_without_a_graph_are_cast_anew():
    model = TwoTowers().float()
    parts = [part.float() for part in PARTS]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        backward_in_parts(
            parts, represent=model, compare=partial(model.compare, name="clip"), loss_of=lambda x: x
        )
    assert all(one.grad is not None for key, one in model.named_parameters() if key != "bias")


def test_each_second_pass_stands_in_its_context():
    events = []

    @contextmanager
    def around(index: int):
        events.append(f"into {index}")
        yield
        events.append(f"out of {index}")

    model = TwoTowers()

    def represent(part: Tensor) -> dict[str, Tensor]:
        events.append("represent" if torch.is_grad_enabled() else "look")
        return model(part)

    backward_in_parts(
        PARTS[:2],
        represent=represent,
        compare=partial(model.compare, name="clip"),
        loss_of=lambda x: x,
        around=around,
    )
    second = [event for index in (0, 1) for event in (f"into {index}", "represent", f"out of {index}")]
    assert events == ["look", "look", *second]


def test_a_single_part_takes_one_pass():
    calls = []
    model, whole = TwoTowers(), TwoTowers()

    def represent(part: Tensor) -> dict[str, Tensor]:
        calls.append(len(part))
        return model(part)

    backward_in_parts(
        [torch.cat(PARTS)],
        represent=represent,
        compare=partial(model.compare, name="clip"),
        loss_of=lambda x: x,
    )
    at_once(whole, "clip")
    assert calls == [14]
    torch.testing.assert_close(gradients(model), gradients(whole))


def test_returns_what_compare_returned_and_scales_by_loss_of():
    model, whole = TwoTowers(), TwoTowers()
    result = backward_in_parts(
        PARTS,
        represent=model,
        compare=lambda rows: ("clip", model.compare(rows, "clip")),
        loss_of=lambda result: 16 * result[1],
    )
    loss = at_once(whole, "clip")
    assert result[0] == "clip"
    torch.testing.assert_close(result[1], loss)
    torch.testing.assert_close(model.scale.grad, 16 * whole.scale.grad)


def test_data_parallel_training_averages_every_gradient_once_a_step(tmp_path):
    """Without `only_compared` the averages of a step would come in the next one, silently."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    averaged = []

    def note(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        averaged.append(bucket.buffer().clone())
        done: torch.futures.Future[Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    try:
        model, whole = TwoTowers(), TwoTowers()
        model.bias.requires_grad_(False)
        parallel = DistributedDataParallel(model)
        parallel.register_comm_hook(None, note)
        for step in range(1, 4):
            in_parts(
                parallel,
                "clip",
                around=lambda index: nullcontext() if index == len(PARTS) - 1 else parallel.no_sync(),
                modules=model,
                only_compared=[model.scale],
            )
            at_once(whole, "clip")
            torch.testing.assert_close(gradients(model), gradients(whole))
            assert len(averaged) == step
            torch.testing.assert_close(averaged[-1].sum(), sum(one.grad.sum() for one in learning(model)))
    finally:
        dist.destroy_process_group()


def learning(model: nn.Module) -> list[nn.Parameter]:
    return [one for one in model.parameters() if one.requires_grad]


def test_says_what_is_wrong_with_the_parts():
    model = TwoTowers()
    options = {"compare": partial(model.compare, name="clip"), "loss_of": lambda x: x}
    with pytest.raises(ConfigError, match="at least one part"):
        backward_in_parts([], represent=model, **options)
    with pytest.raises(ShapeError, match=r"part 0 gave \['a'\], part 1 \['b'\]"):
        backward_in_parts(["a", "b"], represent=lambda part: {part: torch.ones(2)}, **options)
