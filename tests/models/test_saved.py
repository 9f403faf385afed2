import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from small_models import ENCODER, SIZE, encoded, picture, small_model

from synsight.errors import ImageError, ModelError, ShapeError
from synsight.models import Model, load

PICTURES = [picture(n) for n in range(5)]


@pytest.mark.parametrize("head", [None, "words", "labels"])
def test_a_saved_model_comes_back_bit_for_bit(tmp_path, head):
    model = small_model(head)
    back = load(model.save_pretrained(tmp_path / "model"))
    assert (back.embed(PICTURES) == model.embed(PICTURES)).all()
    assert (back.config, back.digest, back.label_names) == (model.config, model.digest, model.label_names)
    if head is not None:
        assert (back.predict(PICTURES) == model.predict(PICTURES)).all()
        assert back.words(PICTURES) == model.words(PICTURES)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        small_model().save_pretrained(tmp_path / name / "model")
    for file in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a/model" / file).read_bytes() == (tmp_path / "b/model" / file).read_bytes()


def test_weights_load_in_timm_without_synsight(tmp_path):
    model = small_model(None, stem="standard", size=64)
    model.save_pretrained(tmp_path / "model")
    weights = load_file(tmp_path / "model/model.safetensors")
    encoder = timm.create_model(ENCODER, num_classes=0).eval()
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in weights.items()})
    views = torch.randn(2, 3, 64, 64)
    assert torch.equal(encoder(views), model.encoder.eval()(views))


def test_all_ways_to_give_an_image_agree():
    model = small_model()
    expected = model.embed(PICTURES)
    assert (model.embed([encoded(one) for one in PICTURES]) == expected).all()
    assert (model.embed(np.stack([np.asarray(one) for one in PICTURES])) == expected).all()


def test_modes_other_than_rgb_are_converted():
    grey = picture(0).convert("L")
    model = small_model()
    assert (model.embed([grey]) == model.embed([grey.convert("RGB")])).all()


def test_probabilities_of_words_stand_alone_and_those_of_labels_sum_to_one():
    words, labels = (small_model(head).predict(PICTURES) for head in ("words", "labels"))
    assert ((words > 0) & (words < 1)).all()
    assert words.dtype == np.float32
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


def test_words_are_named_likeliest_first():
    model = small_model()
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 5.0, 2.0]))
    ((first, second),) = model.words(PICTURES[:1], top=2)
    assert (first[0], second[0]) == ("cat", "car")
    assert first[1] > second[1]
    assert first[1] == pytest.approx(model.predict(PICTURES[:1])[0, 1])


def test_embedding_leaves_a_model_in_training_as_it_was():
    model = small_model()
    model.encoder.train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    model.embed(PICTURES)
    assert model.encoder.training
    assert all(torch.equal(before[name], value) for name, value in model.encoder.state_dict().items())


def test_batches_do_not_change_features_beyond_rounding():
    model = small_model()
    np.testing.assert_allclose(
        model.embed(PICTURES, batch_size=2), model.embed(PICTURES), rtol=1e-4, atol=1e-5
    )


def test_nothing_in_gives_nothing_out():
    model = small_model()
    assert model.embed([]).shape == (0, model.config.embedding_dim)
    assert model.words([]) == []


def test_digest_changes_with_weights_and_preprocessing():
    digests = {small_model().digest, small_model("labels").digest, small_model(size=48).digest}
    changed = small_model()
    with torch.no_grad():
        next(changed.encoder.parameters())[0] += 1e-3
    assert len(digests | {changed.digest}) == 3  # the head's kind is no weight
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in digests)


def test_the_card_says_what_the_model_is_and_whose_the_weights_are(tmp_path):
    card = (small_model().save_pretrained(tmp_path / "model") / "README.md").read_text()
    for fact in (
        ENCODER,
        f"{SIZE} x {SIZE} px",
        "3 words",
        "catlip",
        '"catalog": "emoji"',
        "belong to whoever trained",
    ):
        assert fact in card


def test_saving_again_replaces_a_model_and_nothing_else(tmp_path):
    small_model().save_pretrained(tmp_path / "model")
    small_model("labels").save_pretrained(tmp_path / "model")
    assert load(tmp_path / "model").config.head == "labels"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/me.jpg").write_bytes(b"precious")
    with pytest.raises(ModelError, match="expected a model folder or a new one, found other files"):
        small_model().save_pretrained(tmp_path / "photos")
    assert (tmp_path / "photos/me.jpg").read_bytes() == b"precious"


def test_without_a_head_it_says_so():
    with pytest.raises(ModelError, match="has no head, so it embeds but names nothing"):
        small_model(None).words(PICTURES)


def test_says_what_is_no_image():
    with pytest.raises(ImageError):
        small_model().embed([b"<html>"])
    with pytest.raises(
        ShapeError, match=r"expected images as uint8 \[N, H, W, 3\]; got float32 \[2, 8, 8, 3\]"
    ):
        small_model().embed(np.zeros((2, 8, 8, 3), np.float32))


def test_head_names_and_config_must_agree():
    model = small_model("labels")
    with pytest.raises(ModelError, match=r"speaks of 3 classes .* the head has 3 and there are 2 names"):
        Model(model.encoder, model.config, head=model.head, label_names=["red", "green"])


def test_a_random_model_depends_on_its_seed_alone():
    torch.manual_seed(5)
    first = load("random:resnet10t", image_size=32, seed=1)
    state = torch.get_rng_state()
    second = load("random:resnet10t", image_size=32, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.digest == second.digest != load("random:resnet10t", image_size=32, seed=2).digest
    assert (first.name, first.config.method) == ("random:resnet10t", "untrained")


def test_a_random_model_takes_the_size_asked_for():
    assert load("random:resnet10t", image_size=64).config.image_size == 64
    assert load("random:resnet10t").config.image_size == 176


def test_unknown_names_say_what_was_expected(tmp_path):
    with pytest.raises(
        ModelError, match="a timm name or 'random:NAME', found 'resnet81'; did you mean 'resnet18'"
    ):
        load("resnet81")
    with pytest.raises(ModelError, match="expected a model folder, found nothing; check the path"):
        load(tmp_path / "none")
    Image.new("RGB", (2, 2)).save(tmp_path / "file.png")
    with pytest.raises(ModelError, match="expected a model folder, found a file"):
        load(str(tmp_path / "file.png"))


def test_a_folder_keeps_its_image_size(tmp_path):
    folder = small_model().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="is a model for 32 px; leave out image_size 64"):
        load(folder, image_size=64)
