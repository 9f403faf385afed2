"""Puts questions and tasks to one model after the other, and notes which do not apply to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from synsight.errors import UsageError
from synsight.evaluation.estimators import TEMPERATURE, Estimator
from synsight.evaluation.judged import Judged, LabelFreeTask, Subject, Task
from synsight.evaluation.questions import Question, ask
from synsight.evaluation.scoring import Scored, score
from synsight.records import config_hash


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """Tasks by name, beyond the estimators on frozen features."""

    of_label: Mapping[str, Task] = field(default_factory=dict)
    label_free: Mapping[str, LabelFreeTask] = field(default_factory=dict)
    needs_network: Mapping[str, str] = field(default_factory=dict)
    """Task -> what it does with the network, for tasks that cannot do with features alone."""

    def __contains__(self, task: str) -> bool:
        return task in self.of_label or task in self.label_free


class Asking:
    """What is asked of every model."""

    def __init__(
        self,
        asked: Sequence[Question],
        tasks: Sequence[str],
        estimators: Mapping[str, Estimator],
        table: TaskTable,
    ) -> None:
        self.asked, self.tasks, self.estimators, self.table = asked, tasks, estimators, table
        self.left_out: list[dict[str, str]] = []
        """Tasks that do not apply to a model, with the reason."""
        self._refusals: dict[str, list[UsageError]] = {}

    @property
    def count(self) -> int:
        """Questions and tasks for each model."""
        return len(self.asked) + len(self.tasks)

    def all_of(self, subject: Subject, advance: Callable[[], None]) -> Iterator[Scored]:
        """One model's answers, scored."""
        if isinstance(subject, Judged) and self.asked:
            for answer in ask(self.asked, subject.features, subject.splits, estimators=self.estimators):
                hashed = question_hash(answer.question, subject.splits.label)
                yield score(answer, origin=subject.origin, config_hash=hashed)
                advance()
        for task in self.tasks:
            try:
                yield self._of_task(task, subject)
            except UsageError as error:
                self._refusals.setdefault(task, []).append(error)
                self.left_out.append({"model": subject.name, "task": task, "reason": str(error)})
            advance()

    def check_asked(self, models: int) -> None:
        """Raise what a task said when it applied to no model."""
        for refusals in self._refusals.values():
            if len(refusals) == models:
                raise refusals[0]

    def _of_task(self, task: str, subject: Subject) -> Scored:
        if subject.model is None and (use := self.table.needs_network.get(task)) is not None:
            raise UsageError(
                f"{subject.name}: the task {task} {use}, and only features were given; name the MODEL "
                "instead of --features, or leave the task out."
            )
        if task in self.table.label_free:
            return self.table.label_free[task](subject)
        assert isinstance(subject, Judged)  # `_splits` has seen to it
        return self.table.of_label[task](subject)


def question_hash(question: Question, label: str) -> str:
    """Equal for two records that answer the same question in the same way."""
    return config_hash(
        {
            "task": question.task,
            "label": label,
            "n_labels": question.n_labels,
            "seed": question.seed,
            "temperature": TEMPERATURE,
        }
    )
