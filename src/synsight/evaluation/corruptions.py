"""The task `corruptions`: how much of what an encoder knows outlives noise, blur, fog, compression.

The protocol of ImageNet-C (Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261) for a label of
the user's own: the classifier learns from clean images, and test images alone are corrupted, after the
model's resizing and cropping. The mean over corruptions is of accuracy; the paper's mCE divides errors by
AlexNet's, which are known for ImageNet's classes alone.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product

import numpy as np
import torch
from PIL import Image

from synsight.data.corrupting import CORRUPTIONS, check_corruption, corrupt
from synsight.errors import ConfigError
from synsight.evaluation.altered import CLEAN, ask_altered, ask_clean, joined, score_altered
from synsight.evaluation.judged import Judged
from synsight.evaluation.scoring import Scored
from synsight.models import Model
from synsight.seeding import generator

TASK = "corruptions"


def corruptions(judged: Judged) -> Scored:
    """Accuracy on corrupted test images, beside that on the same images as they are.

    Records have the task `corruptions` (mean over corruptions), `corruptions:clean` (the same rows, not
    corrupted) and `corruptions:NAME` (one of them, mean over severities). Their predictions hold a test row
    once for each severity.

    Raises:
        UsageError: Only features are known.
        ConfigError: An unknown corruption or severity.
        DataError: There is no labelled validation row.
    """
    options = judged.options
    names, severities = options.robustness.corruptions or tuple(CORRUPTIONS), options.robustness.severities
    kinds = [*product(names, severities)]
    if not kinds:
        raise ConfigError("corruptions needs a severity, such as 1, 3 and 5; got none.")
    for name, severity in kinds:
        check_corruption(name, severity)
    asked = ask_clean(judged)
    altered = partial(corrupted_pixels, kinds=kinds, seed=options.seed)
    found = ask_altered(judged, asked, altered, count=len(kinds), title=TASK)
    every, each = found.probabilities, len(severities)
    details = {"severities": list(severities)}
    scored = [
        score_altered(
            judged,
            asked,
            every,
            task=TASK,
            seconds=asked.seconds + found.seconds * len(every),
            details={**details, "corruptions": list(names)},
        ),
        score_altered(
            judged, asked, [asked.clean], task=f"{TASK}:{CLEAN}", seconds=asked.seconds, details={}
        ),
    ]
    for number, name in enumerate(names):
        scored.append(
            score_altered(
                judged,
                asked,
                every[number * each : (number + 1) * each],
                task=f"{TASK}:{name}",
                seconds=asked.seconds + found.seconds * each,
                details={**details, "corruption": name},
            )
        )
    return joined(scored)


def corrupted_pixels(
    model: Model,
    images: Sequence[Image.Image],
    ids: Sequence[str],
    *,
    kinds: Sequence[tuple[str, int]],
    seed: int,
) -> Iterator[torch.Tensor]:
    """What the encoder is shown of corrupted images, uint8 [B, 3, S, S] for each kind (name, severity).

    Chance depends on the seed, the corruption and the row's id, so a row looks the same to every model of one
    image size, and its noise at two severities differs in strength alone.
    """
    pixels = model.pixels(images).permute(0, 2, 3, 1).numpy()
    for name, severity in kinds:
        changed = [
            corrupt(one, name, severity=severity, rng=generator(seed, "corruption", name, identity))
            for one, identity in zip(pixels, ids, strict=True)
        ]
        yield torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)
