"""Distillation end to end: a student learns what its teacher sees, under the same names."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from models.named_models import add_clip, clip_file
from models.small_models import encoded, small_model
from synsight.cli import main
from synsight.data.batches import Batch
from synsight.data.catalog import Catalog, Commit
from synsight.distributed import World
from synsight.errors import ModelError, UsageError
from synsight.finetuning.distillation import distill
from synsight.finetuning.student_comparison import milliseconds
from synsight.methods import Distill, DistillConfig
from synsight.models import build_backbone, embedding_dim, load

TINY = {"batch_size": 24, "workers": 0, "precision": "fp32"}
STUDENT = "test_resnet.r160_in1k"
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}


def colour_picture(name: str, number: int):
    from PIL import Image

    rng = np.random.default_rng(number)
    pixels = np.array(COLOURS[name]) + rng.normal(0, 25, (24, 24, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """120 pictures of one of three colours, 24 of them for validation."""
    path = tmp_path_factory.mktemp("catalog") / "cat"
    names = [list(COLOURS)[number % 3] for number in range(120)]
    batch = pa.record_batch(
        {
            "id": [f"id{number}" for number in range(120)],
            "image": pa.array(
                [encoded(colour_picture(name, number)) for number, name in enumerate(names)], pa.binary()
            ),
            "group": pa.array([None] * 120, pa.string()),
            "colour": names,
            "split": ["val" if number % 5 == 0 else "train" for number in range(120)],
        }
    )
    made = Catalog.create(path, batch.schema, commit=Commit(verb="ingest"))
    made.append(made.write_fragment(batch), commit=Commit(verb="ingest"))
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A model whose labels are colours, with certainty, and that knows words beside them."""
    model = small_model("words", stem="cifar", size=24)
    pictures = [colour_picture(name, 1000 + number) for name in COLOURS for number in range(20)]
    features = torch.from_numpy(model.embed(pictures))
    centre = features.mean(dim=0)
    means = torch.stack([features[20 * n : 20 * n + 20].mean(dim=0) for n in range(3)]) - centre
    head = torch.nn.Linear(features.shape[1], 3)
    with torch.no_grad():
        scale = 8 / (means**2).sum(dim=1).mean()
        head.weight.copy_(scale * means)
        head.bias.copy_(-scale * (means @ centre) - scale * (means**2).sum(dim=1) / 2)
    model = model.adapted(head, list(COLOURS), method="test")
    assert [list(COLOURS)[row.argmax()] for row in model.predict(pictures[::20])] == list(COLOURS)
    return model.save_pretrained(tmp_path_factory.mktemp("teacher") / "teacher")


def test_a_student_learns_from_images_without_labels_what_its_teacher_sees(
    teacher, catalog, tmp_path, capsys
):
    words = ["distill", str(teacher), "--student", STUDENT, "--data", str(catalog)]
    size = ["--steps", "60", "--batch-size", "24", "--workers", "0", "--lr", "0.003"]
    out = tmp_path / "student"
    assert main([*words, "--out", str(out), "--label", "colour", *size, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    student, known = load(out), load(teacher)
    assert student.class_names == known.class_names == list(COLOURS)
    assert student.vocabulary is not None
    assert student.vocabulary.names == known.vocabulary.names
    assert told["agreement"] >= 0.9  # chance: a third
    assert told["student"]["head_acc1"] >= 0.9
    assert told["student"]["parameters"] < told["teacher"]["parameters"]
    assert told["student"]["size_bytes"] == sum(
        tensor.numel() * tensor.element_size() for tensor in student.image_state().values()
    )
    pictures = [colour_picture(name, 5000 + number) for name in COLOURS for number in range(8)]
    found, expected = student.word_probabilities(pictures), known.word_probabilities(pictures)
    assert np.abs(found - expected).mean() < 0.5 * np.abs(0.5 - expected).mean() + 0.05
    curve = [json.loads(line) for line in (tmp_path / "student-run/metrics.jsonl").read_text().splitlines()]
    losses = [row["label_distance"] for row in curve if row["kind"] == "train"]
    assert losses[-1] < 0.5 * losses[0]
    # A second call repeats nothing and says the same.
    again = distill(
        teacher,
        student=STUDENT,
        data=catalog,
        out=out,
        label="colour",
        steps=60,
        batch_size=24,
        workers=0,
        progress=False,
        **{"optim.lr": 0.003},
    )
    assert (again.steps, again.agreement) == (told["steps"], told["agreement"])
    assert load(out).digest == student.digest


def test_what_the_teacher_has_seen_its_student_has_seen_too(catalog, tmp_path):
    from synsight.data.trained_rows import trained_rows
    from synsight.models import Model

    opened = Catalog.open(catalog)
    seen = trained_rows(opened, opened.positions("split = 'val'"))
    plain = small_model(None, size=24)
    model = Model(plain.encoder, plain.config, trained_rows=seen)
    folder = model.save_pretrained(tmp_path / "teacher")
    distill(folder, student=STUDENT, data=catalog, out=tmp_path / "out", steps=2, progress=False, **TINY)
    assert load(tmp_path / "out").trained_rows.holds(seen.hashes).all()


def test_a_teacher_without_a_head_hands_down_its_neighbourhoods(catalog, tmp_path):
    folder = small_model(None, size=24).save_pretrained(tmp_path / "teacher")
    told = distill(
        folder, student=STUDENT, data=catalog, out=tmp_path / "out", steps=2, progress=False, **TINY
    )
    assert told.agreement is None
    assert 0 <= told.neighbours_kept <= 1
    assert load(tmp_path / "out").head is None


def test_a_students_text_space_is_its_teachers(tmp_path):
    name = add_clip(tmp_path / "configs", "tiny-vit")
    model = load(f"open-clip:{name}/{clip_file(tmp_path / 'weights', name)}")
    folder = model.save_pretrained(tmp_path / "teacher")
    method = distill_method(folder)
    bare = small_model(None, encoder="test_resnet", size=32, stem="standard")
    bare.encoder = method.encoder
    student = method.completed(bare)
    pictures = [colour_picture("red", 1), colour_picture("blue", 2)]
    features = torch.from_numpy(student.embed(pictures))
    expected = method.teacher.project(method.to_teacher(features))
    torch.testing.assert_close(student.project(features), expected)
    assert student.embed_texts(["a dog"]).shape[1] == expected.shape[1]
    assert student.zero_shot(pictures, ["dog", "car"]).sum(axis=1) == pytest.approx([1, 1])


def distill_method(folder, **settings) -> Distill:
    torch.manual_seed(0)
    encoder = build_backbone("test_resnet", image_size=32, stem="standard")
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    config = DistillConfig(teacher=str(folder), **settings)
    return Distill(encoder, embedding_dim=embedding_dim(encoder), config=config, mean=mean, std=std)


def test_the_teacher_sees_the_students_view_in_its_own_normalisation(teacher):
    known = load(teacher)
    method = distill_method(teacher).eval()
    pixels = known.pixels([colour_picture("green", 3)])
    from synsight.data.views import normalise

    view = normalise(pixels, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    seen = method.represent(Batch(views=(view,), positions=torch.zeros(1)))["teacher"]
    torch.testing.assert_close(seen, known.features(pixels), rtol=0, atol=1e-4)


def test_the_teacher_is_neither_trained_nor_kept_in_checkpoints(teacher):
    method = distill_method(teacher)
    before = load(teacher).digest
    names = {name.split(".")[0] for name, _ in method.named_parameters()}
    assert names == {"encoder", "to_teacher", "word_head", "label_head"}
    method.train()
    views = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    method.loss(Batch(views=(views,), positions=torch.arange(4)), World()).loss.backward()
    assert not method.teacher.encoder.training
    assert all(weight.grad is None for weight in method.teacher.encoder.parameters())
    assert method.teacher.digest == before
    assert all(weight.grad is not None for weight in method.parameters())


def test_a_student_begins_with_what_its_teacher_expects_of_any_image(tmp_path):
    known = small_model("words", size=24)
    with torch.no_grad():
        known.word_head.bias.copy_(torch.tensor([-7.0, -4.0, -9.0]))
    method = distill_method(known.save_pretrained(tmp_path / "teacher"))
    assert torch.equal(method.word_head.bias, known.word_head.bias)
    method.word_head.bias.data[0] += 1
    assert method.teacher.word_head.bias[0] == -7  # a copy, not the same tensor


def test_another_teacher_than_before_is_refused(teacher):
    with pytest.raises(ModelError, match=r"is another model .* than the one that was distilled before"):
        distill_method(teacher, teacher_digest="0" * 12)


def test_what_is_wrong_is_said_before_the_training(teacher, catalog, tmp_path):
    with pytest.raises(UsageError, match="there is no column 'color'; did you mean 'colour'"):
        distill(teacher, student=STUDENT, data=catalog, out=tmp_path / "out", label="color")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="expected a model folder or a new one"):
        distill(teacher, student=STUDENT, data=catalog, out=tmp_path)
    with pytest.raises(ModelError, match="did you mean 'mobilenetv3_small_100'"):
        distill(teacher, student="mobilenetv3_smal_100", data=catalog, out=tmp_path / "out")


def test_a_larger_network_takes_longer(teacher):
    large = small_model(None, encoder="resnet34", size=64, stem="small")
    small = small_model(None, encoder="test_resnet", size=32, stem="standard")
    slow, quick = milliseconds([large, small], repeats=7)
    assert slow > quick > 0
