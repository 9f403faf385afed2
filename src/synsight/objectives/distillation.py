"""Losses by which a student learns what a teacher answers; each is 0 where both answer alike.

Letters: B batch, D dimensions of the features, C classes or words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from synsight.errors import ShapeError


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 - cosine of the features of each image, in [0, 2], a scalar.

    Args:
        student: Mapped into the teacher's space, [B, D].
        teacher: [B, D].

    Raises:
        ShapeError: They differ in shape.
    """
    _check_alike(student, teacher)
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=1)).mean()


def softmax_distance(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean divergence KL(teacher | student) of the softened class probabilities in nats, times T^2, a scalar.

    Args:
        student: Scores of one of C classes, [B, C].
        teacher: [B, C].
        temperature: T, divides both; > 0. The factor keeps the gradient's size as T grows.

    Raises:
        ShapeError: They differ in shape.

    Reference: Hinton et al. 2015, section 2, https://arxiv.org/abs/1503.02531. Departure: the divergence in
    place of the cross-entropy, which differs by the teacher's entropy, a constant.
    """
    _check_alike(student, teacher)
    wanted = (teacher.float() / temperature).log_softmax(dim=1)
    given = (student.float() / temperature).log_softmax(dim=1)
    return F.kl_div(given, wanted, reduction="batchmean", log_target=True) * temperature**2


def sigmoid_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence KL(teacher | student) of yes and no, summed over words, in nats a word that the teacher
    expects in the batch, a scalar.

    Of thousands of words an image shows a few: a mean over all would drown them.

    Args:
        student: Log-odds of each of C words, [B, C].
        teacher: [B, C].

    Raises:
        ShapeError: They differ in shape.
    """
    _check_alike(student, teacher)
    student, teacher = student.float(), teacher.float()
    shares = teacher.sigmoid()
    yes = shares * (F.logsigmoid(teacher) - F.logsigmoid(student))
    no = (1 - shares) * (F.logsigmoid(-teacher) - F.logsigmoid(-student))
    return (yes + no).sum() / shares.sum().clamp_min(torch.finfo(torch.float32).tiny)


def _check_alike(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape or student.ndim != 2:
        raise ShapeError(
            "expected the student's and the teacher's rows as [B, D] of one shape; got "
            f"{list(student.shape)} and {list(teacher.shape)}."
        )
