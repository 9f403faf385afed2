"""The model card: README.md of a model folder, for the person who finds it a year later."""

import json

from synsight.models.clip_tower import OPEN_CLIP
from synsight.models.config import ModelConfig


def model_card(config: ModelConfig, *, name: str, digest: str) -> str:
    """The card as Markdown."""
    reads = {
        "words": f"{config.classes:,} words (vocabulary.parquet), each with a probability of its own",
        "labels": f"{config.classes:,} labels (config.json), with probabilities that sum to 1",
        None: "nothing: it embeds",
    }[config.head]
    is_clip = config.encoder.startswith(OPEN_CLIP)
    facts = {
        "Architecture": f"{config.encoder}{'' if is_clip else ' (timm)'}, {config.stem} stem"
        + (f", {json.dumps(dict(config.arguments))}" if config.arguments else ""),
        "Input": f"RGB, {config.image_size} x {config.image_size} px: "
        f"{'both sides' if config.resize == 'squash' else 'shorter side'} to "
        f"{round(config.image_size / config.crop_fraction)} px ({config.interpolation}), centre crop; mean "
        f"{list(config.mean)}, "
        f"std {list(config.std)}",
        "Features": f"{config.embedding_dim} numbers",
        "Predicts": reads,
        "Reads text": "yes, into the space of its images" if config.text else "no",
        "Trained by": config.method,
        "Made with": f"synsight {config.package_version}",
        "Digest": digest,
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    data = json.dumps(dict(config.trained_on), indent=2, ensure_ascii=False, default=str)
    # Four spaces make a code block whatever the text holds: names of catalogs and columns are foreign text.
    data = "\n".join("    " + line for line in data.splitlines())
    return f"""# {name}

An image model made with [synsight](https://pypi.org/project/synsight/).

| | |
|---|---|
{table}

## Data

{data}

## Use

```python
import synsight

model = synsight.load({json.dumps(name)})
model.embed(images)  # PIL images, bytes, or uint8 [N, H, W, 3]
```

The weights in `model.safetensors` are those of a plain {"open_clip" if is_clip else "timm"} module (names
begin with `encoder.`, the head's with `head.`).

## Rights

The weights belong to whoever trained them; synsight claims nothing on them or on what they produce. What the
training images and timm's architectures ask for stays in force.

## Before you rely on it

It is good for images like those it was trained on. Measure it on your own test images (`synsight evaluate`),
by group where there are groups, before it decides anything about people.
"""
