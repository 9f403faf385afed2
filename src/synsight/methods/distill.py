"""Distillation: a small encoder learns to see as a trained model sees, from images without labels."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synsight.data.batches import Batch
from synsight.data.trained_rows import TrainedRows
from synsight.distributed import World
from synsight.errors import ConfigError, ModelError
from synsight.methods.base import Method, Rows, StepLoss
from synsight.models import Model, linear_head, load
from synsight.objectives.distillation import cosine_distance, sigmoid_distance, softmax_distance


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Learn a teacher's features, words and labels, on the same views."""

    name: Literal["distill"] = "distill"
    teacher: str = ""
    """A MODEL folder or another name of a model."""
    teacher_digest: str = ""
    """Its digest, so that a run goes on with the same one; "": any."""
    feature_weight: float = 1.0
    """Of the cosine distance of features, the student's mapped into the teacher's space."""
    word_weight: float = 1.0
    """Of the divergence of the words' probabilities, where the teacher knows words."""
    label_weight: float = 1.0
    """Of the divergence of the labels' probabilities, where the teacher has a head of labels."""
    temperature: float = 2.0
    """Softens the labels' probabilities of both."""

    def __post_init__(self) -> None:
        for name in ("feature_weight", "word_weight", "label_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"method.{name} must be >= 0; got {getattr(self, name)!r}.")
        if not self.temperature > 0:
            raise ConfigError(f"method.temperature must be > 0; got {self.temperature!r}.")
        if not self.feature_weight + self.word_weight + self.label_weight > 0:
            raise ConfigError("one of method.feature_weight, word_weight and label_weight must be > 0.")


class Distill(Method):
    """The student's step: both look at one view of each image, and the student is drawn to the teacher.

    The student has a linear map into the teacher's features, a linear head of words and one of labels, as far
    as the teacher has what they learn; the saved model keeps them under the teacher's names.

    Args:
        mean: Of the pixels' normalisation that the student sees.
        std: As `mean`.

    Raises:
        ModelError: There is no such teacher, or it is another one than the run began with.

    Reference: Hinton et al. 2015, https://arxiv.org/abs/1503.02531, for the labels. That teacher and student
    look at the same augmented view is what counts most (Beyer et al. 2022, https://arxiv.org/abs/2106.05237).
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        embedding_dim: int,
        config: DistillConfig,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__(encoder, embedding_dim=embedding_dim)
        self.config = config
        teacher = load(config.teacher)
        if config.teacher_digest not in ("", teacher.digest):
            raise ModelError(
                f"{config.teacher}: is another model (digest {teacher.digest}) than the one that was "
                f"distilled before ({config.teacher_digest}); give that one, or another folder."
            )
        # In a tuple, so that its weights are neither trained nor kept in checkpoints.
        self._teacher = (teacher,)
        self._statistics = (mean, std)
        of = teacher.config
        self.to_teacher = nn.Linear(embedding_dim, of.embedding_dim, bias=False)
        self.word_head = None
        if teacher.word_head is not None:
            self.word_head = linear_head(embedding_dim, teacher.word_head.out_features)
            _begin_with_bias(self.word_head, teacher.word_head)
        self.label_head = None
        if of.head == "labels":
            self.label_head = linear_head(embedding_dim, of.classes)
            if of.label_scores == "sigmoid":
                _begin_with_bias(self.label_head, teacher.head)

    @property
    def teacher(self) -> Model:
        """What is learnt from; its weights stay as they are."""
        return self._teacher[0]

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Features of both, [B, D] of each."""
        view = batch.views[0]
        return {"features": self.encoder(view), "teacher": self._seen_by_teacher(view)}

    def compare(self, rows: Rows, batch: Batch, world: World) -> StepLoss:
        """The weighted sum of the distances of this process's rows."""
        config, features, seen = self.config, rows["features"], rows["teacher"]
        parts = {"feature_distance": cosine_distance(self.to_teacher(features), seen)}
        loss = config.feature_weight * parts["feature_distance"]
        if self.word_head is not None:
            wanted = self.teacher.word_logits(seen).clone()
            parts["word_distance"] = sigmoid_distance(self.word_head(features), wanted)
            loss = loss + config.word_weight * parts["word_distance"]
        if self.label_head is not None:
            scores, wanted = self.label_head(features), self.teacher.scores(seen).clone()
            if self.teacher.config.label_scores == "sigmoid":
                parts["label_distance"] = sigmoid_distance(scores, wanted)
            else:
                parts["label_distance"] = softmax_distance(scores, wanted, temperature=config.temperature)
            loss = loss + config.label_weight * parts["label_distance"]
        logs = {name: part.detach() for name, part in parts.items()}
        return StepLoss(loss, features=features.detach(), logs=logs)

    def completed(self, model: Model) -> Model:
        """The student with heads that answer under the teacher's names, and its text half if there is one."""
        return student_model(
            model, self.teacher, words=self.word_head, labels=self.label_head, space=self._space()
        )

    def _space(self) -> nn.Linear | None:
        """From the student's features to the space that the teacher shares with texts."""
        if not self.teacher.reads_text:
            return None
        with torch.no_grad():
            weight = self.teacher.project(self.to_teacher.weight.T.to(self.teacher.device)).T
            mapped = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            mapped.weight.copy_(weight)
        return mapped

    def _seen_by_teacher(self, view: Tensor) -> Tensor:
        """The teacher's features of views that were normalised for the student, float32 [B, D]."""
        teacher, (mean, std) = self.teacher.to(view.device), self._statistics
        of: Any = teacher.config
        with torch.no_grad(), torch.autocast(view.device.type, enabled=False):
            pixels = view.float() * _row(std, view) + _row(mean, view)
            if of.image_size != view.shape[-1]:
                size = (of.image_size, of.image_size)
                pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True).clamp(0, 1)
            features: Tensor = teacher.encoder((pixels - _row(of.mean, view)) / _row(of.std, view))
            return features.float()


def student_model(
    model: Model,
    teacher: Model,
    *,
    words: nn.Linear | None,
    labels: nn.Linear | None,
    space: nn.Linear | None,
) -> Model:
    """A bare encoder with heads that say what a teacher's say.

    Args:
        model: The student, without heads.
        teacher: Whose names are taken over.
        words: The student's head of the teacher's vocabulary.
        labels: Its head of the teacher's labels.
        space: From its features to the space that the teacher shares with texts.
    """
    kind: Literal["words", "labels"] | None = (
        "labels" if labels is not None else "words" if words is not None else None
    )
    head = labels if labels is not None else words
    config = replace(
        model.config,
        head=kind,
        classes=0 if head is None else head.out_features,
        label_scores=teacher.config.label_scores if kind == "labels" else "softmax",
        words=words.out_features if words is not None and kind == "labels" else 0,
        projection_dim=0 if space is None else space.out_features,
        text={} if space is None else teacher.text.settings,
        trained_on={
            **model.config.trained_on,
            "teacher": {"digest": teacher.digest, **teacher.config.trained_on},
        },
    )
    return Model(
        model.encoder,
        config,
        head=head,
        word_head=words if kind == "labels" else None,
        projection=space,
        vocabulary=teacher.vocabulary if words is not None else None,
        label_names=list(teacher.class_names) if kind == "labels" else None,
        text=None if space is None else teacher.text,
        trained_rows=_rows_of_both(model, teacher),
        name=model.name,
    )


def _begin_with_bias(head: nn.Linear, of: nn.Module | None) -> None:
    """Let a head of sigmoids begin with the teacher's bias, if the teacher's is linear.

    From zero it would expect every second of thousands of words: the divergence begins tens of times as high,
    and clipped gradients go into the bias before the features are heard (figures: docs/distill.md). A softmax
    begins even, which is no such error, and the bias alone may be a large one: it answers the mean feature.
    """
    if isinstance(of, nn.Linear):
        with torch.no_grad():
            head.bias.copy_(of.bias)


def _rows_of_both(student: Model, teacher: Model) -> TrainedRows | None:
    """What a teacher has seen its student knows, too: a test image among it proves nothing for either."""
    own = student.trained_rows
    return None if own is None else own.with_earlier(teacher.trained_rows)


def _row(values: tuple[float, ...], view: Tensor) -> Tensor:
    return torch.tensor(values, device=view.device).view(1, 3, 1, 1)
