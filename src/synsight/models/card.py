"""The model card: README.md of a model folder, for the person who finds it a year later."""

import json
import re
from collections.abc import Mapping
from typing import Any

from synsight.models.clip_tower import OPEN_CLIP
from synsight.models.config import ModelConfig


def model_card(config: ModelConfig, *, name: str, digest: str) -> str:
    """The card as Markdown."""
    each = "a probability of its own" if config.label_scores == "sigmoid" else "probabilities that sum to 1"
    reads = {
        "words": f"{config.classes:,} words (vocabulary.parquet), each with a probability of its own",
        "labels": f"{config.classes:,} labels (config.json), with {each}",
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
        **({"Names": f"{config.words:,} words beside its labels"} if config.words else {}),
        "Reads text": "yes, into the space of its images" if config.text else "no",
        "Trained by": config.method,
        "Made with": f"synsight {config.package_version}",
        "Digest": digest,
        **_lineage(config.trained_on),
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


def _lineage(told: Mapping[str, Any]) -> dict[str, str]:
    """What repeats a run, as far as the config knows it: the data, then the run."""
    code = told.get("code")
    shown = {
        **told,
        "code": " ".join(str(one) for one in code.values() if one) if isinstance(code, Mapping) else code,
    }
    norms = told.get("norms")
    shown["norms"] = ", ".join(map(str, norms)) if isinstance(norms, list | tuple) else norms
    parts = {
        "Trained on": {
            "catalog": "",
            "version": "version ",
            "rows": "images: ",
            "ids": "ids ",
            "images": "list ",
        },
        "Run": {
            "seed": "seed ",
            "processes": "processes: ",
            "norms": "norms ",
            "step": "step ",
            "code": "code ",
        },
    }
    lines = {
        name: ", ".join(
            f"{before}{_plain(shown[key])}"
            for key, before in wanted.items()
            if shown.get(key) not in (None, "")
        )
        for name, wanted in parts.items()
    }
    return {name: line for name, line in lines.items() if line}


def _plain(value: Any) -> str:
    """A foreign text in a table's cell: it marks up nothing."""
    line = " ".join(str(value).split())
    return re.sub(r"[&<>|~*`\\\[\]]", lambda found: f"&#{ord(found[0])};", line)
