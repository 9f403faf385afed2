"""Zero-shot: the test images are compared with sentences about the classes, and no label is learnt from."""

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from synsight.errors import UsageError
from synsight.evaluation.judged import Judged
from synsight.evaluation.naming import Names, class_names, score_by_name
from synsight.evaluation.scoring import Scored
from synsight.language.prompts import default_templates, read_templates
from synsight.metrics.arrays import Floats
from synsight.models import Model

TASK = "zeroshot"
_ROWS = 4096
"""Images compared at a time."""


def zeroshot(judged: Judged) -> Scored:
    """Ask a model that reads texts for the class of the test rows, by the names of the classes.

    Raises:
        UsageError: The model reads no text, only features are known, or there are no sentences in the
            options' language.
        DataError: A file of names or templates is not as expected.
        ModelError: The text tower is not on this machine, or damaged.
    """
    model, options = judged.network, judged.options
    if not model.reads_text:
        raise UsageError(
            f"{judged.name}: reads no text, so the task zeroshot does not apply to it; name a model trained "
            "with clip or siglip, or 'open-clip:NAME/WEIGHTS', or ask for evidence."
        )
    names = class_names(judged)
    if options.wording.templates is None:
        templates = default_templates(options.wording.locale)
    else:
        templates = read_templates(options.wording.templates, dataset=options.wording.dataset)
    features = judged.features.test
    began = time.perf_counter()
    probabilities = zero_shot_probabilities(model, features, names, templates=templates)
    return score_by_name(
        judged,
        TASK,
        probabilities,
        names=names,
        seconds=time.perf_counter() - began,
        details={"templates": list(templates), "logit_scale": round(float(model.text.logit_scale), 4)},
        settings={"templates": list(templates)},
    )


def zero_shot_probabilities(
    model: Model, features: Floats, names: Names, *, templates: Sequence[str]
) -> NDArray[np.float32]:
    """Softmax over the classes of logit_scale x cosine between image and class, [M, C].

    A class is the mean of the unit rows of all its sentences (`TextSide.classes`). The softmax is CLIP's; a
    model trained with a sigmoid (SigLIP) never saw one, so that its order is its own, its probabilities
    are not.

    Args:
        model: Reads texts.
        features: As the encoder gives them, [M, D].
        names: Of C classes.
        templates: "{}" stands for a name.

    Raises:
        ModelError: The model reads no text.
        ConfigError: A template without "{}".

    Reference: Radford et al. 2021 (CLIP), section 3.1, https://arxiv.org/abs/2103.00020
    """
    classes = model.text.classes(names, templates=templates)
    found = np.empty((len(features), len(names)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(features), _ROWS):
            rows = torch.from_numpy(np.asarray(features[start : start + _ROWS], np.float32))
            cosines = F.normalize(model.project(rows.to(model.device)), dim=1) @ classes.T
            found[start : start + _ROWS] = (model.text.logit_scale * cosines).softmax(dim=1).cpu().numpy()
    return found
