"""The step of each method against trusted libraries, dense losses and loops by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NegativeCosineSimilarity
from open_clip.loss import ClipLoss, SigLipLoss
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.distributed import World
from synsight.errors import ConfigError
from synsight.methods import METHODS, CLIPConfig, LGSimCLRConfig, Method, SuperCLIPConfig
from synsight.methods.related import related_rows
from synsight.objectives import backward_in_parts, nt_xent, xclr_loss
from two_processes import WORDS, build, joint_batch

ALONE = World()
BATCH_FREE = ("clip", "siglip", "superclip", "catlip", "superclass", "supervised")
"""Methods whose heads have no batch normalisation."""


def loss_of(method: Method, batch: Batch | None = None) -> Tensor:
    return method.loss(batch or joint_batch(), ALONE).loss


def test_clip_is_open_clips_loss():
    method = build("clip")
    rows = method.represent(joint_batch())
    image, text = (F.normalize(rows[name], dim=1) for name in ("image_z", "text_z"))
    expected = ClipLoss()(image, text, torch.tensor(1 / 0.07))
    torch.testing.assert_close(loss_of(method), expected)


def test_clips_logit_scale_never_exceeds_100():
    method = build("clip")
    with torch.no_grad():
        method.log_scale.fill_(9.0)
    method.after_step()
    assert method.log_scale.exp().item() == pytest.approx(100)


def test_siglip_is_open_clips_loss_at_the_papers_start():
    method = build("siglip")
    rows = method.represent(joint_batch())
    image, text = (F.normalize(rows[name], dim=1) for name in ("image_z", "text_z"))
    expected = SigLipLoss()(image, text, torch.tensor(10.0), torch.tensor(-10.0))
    torch.testing.assert_close(loss_of(method), expected)


def test_simsiam_is_half_the_sum_of_lightlys_loss_in_both_directions():
    method = build("simsiam").eval()  # batch statistics would differ between two passes by rounding alone
    rows = method.represent(joint_batch())
    one_way = NegativeCosineSimilarity()
    expected = (one_way(rows["p0"], rows["z1"].detach()) + one_way(rows["p1"], rows["z0"].detach())) / 2
    torch.testing.assert_close(method.compare(rows, joint_batch(), ALONE).loss, expected)


def test_simclr_with_smaller_views_is_the_mean_over_all_pairs_with_a_whole_view():
    method = build("simclr")
    batch = joint_batch()
    rows = method.represent(batch)
    pairs = [("z0", "z1"), ("local0", "z0"), ("local0", "z1")]
    expected = sum(nt_xent(rows[a], rows[b], temperature=0.2) for a, b in pairs) / 3
    torch.testing.assert_close(method.compare(rows, batch, ALONE).loss, expected)


def test_lgsimclr_leaves_related_rows_out_of_the_negatives():
    batch = joint_batch()
    masked, published = build("lgsimclr"), build("lgsimclr", mask_neighbours=False)
    rows = masked.represent(batch)
    related = related_rows(batch, ALONE)
    assert len(related[0]) > 0
    expected = nt_xent(rows["z0"], rows["z1"], temperature=0.1, ignore=related)
    torch.testing.assert_close(masked.compare(rows, batch, ALONE).loss, expected)
    plain = nt_xent(rows["z0"], rows["z1"], temperature=0.1)
    torch.testing.assert_close(published.compare(rows, batch, ALONE).loss, plain)
    assert expected < plain


def test_xclr_with_a_low_target_temperature_and_distinct_captions_is_simclr():
    batch = replace(joint_batch(), caption_embeddings=torch.eye(8))
    method = build("xclr", target_temperature=0.01)
    rows = method.represent(batch)
    torch.testing.assert_close(
        method.compare(rows, batch, ALONE).loss, nt_xent(rows["z0"], rows["z1"], temperature=0.1)
    )
    soft = build("xclr", target_temperature=1.0).compare(rows, batch, ALONE).loss
    expected = xclr_loss(
        rows["z0"], rows["z1"], caption_embeddings=torch.eye(8), temperature=0.1, target_temperature=1.0
    )
    torch.testing.assert_close(soft, expected)


def test_lgslip_is_the_sum_of_both_contrasts_through_one_projection():
    method, batch = build("lgslip", image_weight=2.0), joint_batch()
    step = method.loss(batch, ALONE)
    expected = step.logs["clip_loss"] + 2.0 * step.logs["pair_loss"]
    torch.testing.assert_close(step.loss, expected)
    rows = method.represent(batch)
    torch.testing.assert_close(rows["image_z"], method.image_projection(rows["features"]))


def test_superclass_counts_captions_and_weighs_words_by_how_rare_they_are():
    method, batch = build("superclass").train(), joint_batch()
    loss_of(method)
    words = method.words
    counts = np.bincount([one for found in WORDS for one in found], minlength=4)
    assert words.captions.item() == 8 and words.captions_with.tolist() == counts.tolist()
    weights = np.log((8 + 1) / (counts + 1))
    assert words.weights.tolist() == pytest.approx(weights.tolist(), rel=1e-6)
    logits = method.classifier(method.encoder(batch.views[0])).double()
    logs = logits.log_softmax(dim=1).tolist()
    losses = []
    for row, found in enumerate(WORDS):
        total = sum(weights[one] for one in found)
        if total > 0:
            losses.append(-sum(weights[one] / total * logs[row][one] for one in found))
    method.eval()  # a second look does not count again
    assert loss_of(method).item() == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert words.captions.item() == 8


def test_a_word_that_every_caption_has_weighs_nothing_and_its_rows_are_left_out():
    batch = replace(joint_batch(), word_rows=torch.arange(8), word_classes=torch.zeros(8, dtype=torch.int64))
    loss = loss_of(build("superclass").train(), batch)
    loss.backward()
    assert loss.item() == 0.0


def test_superclass_counts_stand_in_the_state():
    method = build("superclass").train()
    loss_of(method)
    assert {"words.captions", "words.captions_with"} <= method.state_dict().keys()


def test_superclip_is_clip_and_the_weighted_words():
    method = build("superclip", word_weight=0.5).train()
    step = method.loss(joint_batch(), ALONE)
    torch.testing.assert_close(step.loss, step.logs["clip_loss"] + 0.5 * step.logs["word_loss"])


@pytest.mark.parametrize("name", BATCH_FREE)
def test_a_batch_represented_in_parts_has_the_gradient_of_the_whole(name: str):
    whole, parted, batch = build(name).train(), build(name).train(), joint_batch()
    loss_of(whole).backward()
    result = backward_in_parts(
        [slice(0, 3), slice(3, 6), slice(6, 8)],
        represent=lambda part: parted.represent(batch.part(part)),
        compare=lambda rows: parted.compare(rows, batch, ALONE),
        loss_of=lambda step: step.loss,
    )
    torch.testing.assert_close(result.loss, loss_of(build(name).train()), rtol=1e-5, atol=1e-6)
    for (weight_name, one), other in zip(whole.named_parameters(), parted.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-6, msg=weight_name)


def test_a_locked_image_encoder_gets_no_gradient_and_stays_in_evaluation_mode():
    method = build("clip", locked_image=True).train()
    loss_of(method).backward()
    assert not method.encoder.training and method.text_projection.training
    assert all(weight.grad is None for weight in method.encoder.parameters())
    assert method.image_projection.weight.grad is not None


def test_pretrained_parts_are_those_that_began_so():
    method = build("clip")
    assert not list(method.pretrained_parts)
    method.starts_pretrained = True
    assert list(method.pretrained_parts) == [method.encoder]


@pytest.mark.parametrize("name", ["simclr", "clip"])
def test_the_value_of_chance_is_the_loss_of_rows_that_are_all_alike(name: str):
    method, batch = build(name, mask_neighbours=False), replace(joint_batch(), local_views=())
    rows = {key: torch.ones_like(value) for key, value in method.represent(batch).items()}
    loss = method.compare(rows, batch, ALONE).loss
    assert loss.item() == pytest.approx(method.chance_loss(8), rel=1e-5)


def test_settings_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ConfigError, match="frozen captions are read from the catalog"):
        CLIPConfig(text="minilm", text_frozen=True)
    with pytest.raises(ConfigError, match=r"method\.word_weight must be > 0; got 0"):
        SuperCLIPConfig(word_weight=0)
    with pytest.raises(ConfigError, match=r"method\.num_neighbours must be at least 1; got 0"):
        LGSimCLRConfig(num_neighbours=0)


def test_every_method_says_what_it_needs_and_represents_rows_of_its_own():
    for name in METHODS:
        method = build(name)
        whole = method.eval().represent(joint_batch())
        part = method.represent(joint_batch().part(slice(2, 5)))
        assert whole.keys() == part.keys() and "features" in whole
        for key, rows in part.items():
            torch.testing.assert_close(rows, whole[key][2:5], msg=f"{name} {key}")
        assert isinstance(method.encoder, nn.Module) and math.isfinite(loss_of(method).item())
