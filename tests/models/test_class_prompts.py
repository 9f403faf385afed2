"""Classes from names and sentences, as open_clip makes them."""

import open_clip
import torch
from named_models import add_clip, clip_file

from synsight.models import load

NAMES = ["dog", "red car", "a very long name of a class that does not fit into the context", "{}"]
TEMPLATES = ["a photo of a {}.", "itap of the {}.", "{}"]


def test_classes_are_those_of_open_clips_zero_shot_classifier(tmp_path):
    add_clip(tmp_path / "configs", "tiny-vit")
    path = clip_file(tmp_path / "weights", "tiny-vit")
    theirs = open_clip.create_model("tiny-vit", pretrained=str(path)).eval()
    # Their names go through str.format, which a name may not break: "{}" is put in by hand.
    functions = [lambda name, one=one: one.replace("{}", name) for one in TEMPLATES]
    expected = open_clip.build_zero_shot_classifier(
        theirs, open_clip.get_tokenizer("tiny-vit"), NAMES, functions, num_classes_per_batch=3
    )
    found = load(f"open-clip:tiny-vit/{path}").text.classes(NAMES, templates=TEMPLATES)
    torch.testing.assert_close(found, expected.T, rtol=1e-4, atol=1e-5)
