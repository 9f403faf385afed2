"""The kernel that a step's attention runs in: which one, that it changes no result and does not stay."""

from contextlib import nullcontext

import numpy as np
import pytest
import timm
import torch
from test_whole_runs import losses
from tiny import make_catalog, tiny_config
from torch.nn.attention import SDPBackend, sdpa_kernel

from synsight.training import train
from synsight.training.attention import attention_kernel

CPU = torch.device("cpu")
needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor does not compute in bfloat16"
)


def is_plain(encoder: torch.nn.Module, *, side: int, device=CPU, precision="bf16") -> bool:
    with attention_kernel(encoder, side=side, device=device, precision=precision):
        return not torch.backends.cuda.flash_sdp_enabled()


def test_few_tokens_in_bfloat16_on_the_processor_take_the_plain_kernel_and_nobody_else():
    vit, resnet = (timm.create_model(name, num_classes=0) for name in ("test_vit", "test_resnet"))
    assert is_plain(vit, side=16 * 11)  # 121 patches of 16 pixels
    assert not is_plain(vit, side=16 * 12)
    assert is_plain(resnet, side=224), "its captions are short"
    assert not is_plain(vit, side=32, precision="fp32")
    assert not is_plain(vit, side=32, device=torch.device("cuda"))
    assert torch.backends.cuda.flash_sdp_enabled(), "nothing stays behind"


def test_both_kernels_have_one_gradient():
    torch.manual_seed(0)
    encoder = timm.create_model("test_vit", num_classes=0, img_size=32).double()
    images, wanted = torch.randn(4, 3, 32, 32).double(), torch.randn(4, 64).double()
    gradients = []
    for kernel in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        encoder.zero_grad(set_to_none=True)
        with sdpa_kernel(kernel):
            (encoder(images) * wanted).sum().backward()
        gradients.append([weight.grad.clone() for weight in encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@needs_bf16
def test_a_run_in_bfloat16_is_the_same_up_to_its_precision(tmp_path, monkeypatch):
    catalog, found, asked = make_catalog(tmp_path / "cat"), {}, []

    def watched(encoder, **about):
        asked.append((about["side"], about["device"], about["precision"]))
        return attention_kernel(encoder, **about)

    changes = {
        "encoder": "test_vit",
        "precision": "bf16",
        "steps": 4,
        "levers.activation_checkpointing": True,
    }
    for name in ("chosen", "left"):
        kernel = watched if name == "chosen" else lambda *_, **__: nullcontext()
        monkeypatch.setattr("synsight.training.step.attention_kernel", kernel)
        train(tiny_config("clip", catalog.path, **changes), out=tmp_path / name)
        found[name] = losses(tmp_path / name)
    assert asked == [(16, CPU, "bf16")] * 4, "each step asks for its kernel"
    np.testing.assert_allclose(found["chosen"], found["left"], rtol=2e-2)
