"""Records arranged for reading: the table of models, and the verdict in one sentence.

Nothing is computed here that a record does not hold; records are only put in rows, columns and words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from synsight.records import Result

DIFFERENCE = "_difference"
"""A metric with this ending is a paired difference; `details["against"]` names the other model."""

CHANCE = "chance / most frequent"

TASK_TITLES = {"knn": "kNN"}

FEW_LABELS, EPISODES = "fewshot", "episodes"
SCRATCH = "supervised"
"""A network trained from scratch answers the question of the probe with as many labels."""


@dataclass(frozen=True)
class Column:
    """One question asked of every model."""

    task: str
    metric: str
    n_labels: int | None

    @property
    def title(self) -> str:
        """As "kNN acc1", "10 labels/class" or "finetune, 10 labels/class"."""
        name = TASK_TITLES.get(self.task, self.task)
        if not self.n_labels or self.task == EPISODES:
            return f"{name} {self.metric}"
        labels = f"{self.n_labels} label{'s' * (self.n_labels != 1)}/class"
        return labels if self.task == FEW_LABELS else f"{name}, {labels}"


@dataclass(frozen=True)
class Row:
    """One model's answers; None where the question was not asked."""

    model: str
    cells: tuple[Result | None, ...]


@dataclass(frozen=True)
class ResultTable:
    """Models by questions, with chance as the first line."""

    columns: tuple[Column, ...]
    chance: tuple[float | None, ...]
    rows: tuple[Row, ...]

    def best(self, column: int) -> float | None:
        """Highest value of a column."""
        values = [cell.value for row in self.rows if (cell := row.cells[column])]
        return max(values, default=None)

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the numbers: test rows and seeds."""
        cells = [cell for row in self.rows for cell in row.cells if cell]
        sizes = sorted({cell.n_test for cell in cells})
        seeds = sorted({cell.seed for cell in cells})
        few = [cell for cell in cells if cell.n_labels and cell.task != EPISODES]
        draws = sorted({int(cell.details["draws"]) for cell in few if "draws" in cell.details})
        trained = [cell.details["training_seeds"] for cell in cells if "training_seeds" in cell.details]
        said = [
            f"n = {' or '.join(f'{size:,}' for size in sizes)} test images; small figures: 95% intervals."
        ]
        if draws:
            said.append(
                f"Few-label columns are the mean of {' or '.join(map(str, draws))} draws of the labels."
            )
        if trained:
            said.append(self._training_seeds(trained))
        elif len(seeds) == 1:
            said.append(f"One seed ({seeds[0]}): another run may differ by more than the interval says.")
        else:
            said.append(f"Seeds {', '.join(map(str, seeds))}.")
        return said

    @staticmethod
    def _training_seeds(trained: Sequence[Sequence[int]]) -> str:
        most = max(trained, key=len)
        if len(most) == 1:
            return f"One training seed ({most[0]}): another may differ by more than the interval says."
        fewer = sum(len(one) < len(most) for one in trained)
        lacking = " Some models have fewer: their other runs failed." if fewer else ""
        return (
            f"Mean of {len(most)} training seeds ({', '.join(map(str, most))}); the intervals draw test "
            f"images again and say nothing about other seeds.{lacking}"
        )


@dataclass(frozen=True)
class Verdict:
    """The page's first sentence."""

    kind: Literal["good", "bad", "open"]
    title: str
    sentence: str


def result_table(results: Sequence[Result], *, metric: str = "acc1") -> ResultTable:
    """Arrange the results of one metric as models by questions, both in the order of first appearance.

    A network trained from scratch stands in the column of the probe with as many labels: few, or all of them
    (the linear probe's). Where several records answer one question, the mean over draws is taken if a record
    holds it, else the lowest seed.
    """
    chosen = [one for one in results if one.metric == metric]
    columns = list(dict.fromkeys(_column(one) for one in chosen))
    columns.sort(key=lambda column: (column.n_labels is not None, column.n_labels or 0))
    models = list(dict.fromkeys(one.model for one in chosen))
    cells = {(model, column): _answer(chosen, model, column) for model in models for column in columns}
    chance = tuple(
        next((one.baseline for one in chosen if _column(one) == column and one.baseline is not None), None)
        for column in columns
    )
    rows = tuple(Row(model, tuple(cells[model, column] for column in columns)) for model in models)
    return ResultTable(tuple(columns), chance, rows)


def differences(results: Sequence[Result]) -> list[Result]:
    """The paired differences among the results, in their order."""
    return [one for one in results if one.metric.endswith(DIFFERENCE)]


def difference_table(results: Sequence[Result], *, metric: str = "acc1") -> ResultTable | None:
    """The judged model minus each of the others: rivals by questions; None where nothing was compared.

    The judged model is that of the first difference.
    """
    found = [one for one in differences(results) if one.metric == metric + DIFFERENCE]
    if not found:
        return None
    return result_table(
        [replace(one, model=_rival(one), metric=metric) for one in found if one.model == found[0].model]
    )


def verdict(results: Sequence[Result], *, subject: str) -> Verdict | None:
    """The answer in one sentence; None where no paired difference was taken.

    The first difference says which model, metric and number of labels decide; every rival that was asked the
    same counts. Helped: ahead of all of them. Did not help: behind one of them.

    Args:
        results: All records of a page.
        subject: What is being judged, as "Captions".
    """
    first = next(iter(differences(results)), None)
    if first is None or first.ci_low is None or first.ci_high is None:
        return None
    same = (first.model, first.metric, first.task, first.n_labels)
    rivals = [one for one in differences(results) if (one.model, one.metric, one.task, one.n_labels) == same]
    said = _capital(
        f"{_question(first)}, {_reached(results, first)}{_difference(first)}.{_others(rivals[1:])}"
    )
    if all(_is_ahead(one) for one in rivals):
        return Verdict("good", f"{subject} helped.", said)
    if any(_is_behind(one) for one in rivals):
        return Verdict("bad", f"{subject} did not help.", said)
    return Verdict("open", f"Not decided: {subject.lower()} may or may not help.", said)


def _reached(results: Sequence[Result], difference: Result) -> str:
    rival = _rival(difference)
    ours, theirs = (_level(results, model, difference) for model in (difference.model, rival))
    if ours is None or theirs is None:
        return f"{difference.model} against {rival}: "
    return (
        f"{difference.model} names {ours.value:.0%} of {difference.n_test:,} unseen test images rightly, "
        f"{rival} {theirs.value:.0%}; "
    )


def _difference(one: Result) -> str:
    return f"the paired difference is {100 * one.value:+.1f} points (95% interval {_points(one)})"


def _others(rivals: Sequence[Result]) -> str:
    ahead = [_rival(one) for one in rivals if _is_ahead(one)]
    said = f" It is also ahead of {' and '.join(ahead)}." if ahead else ""
    for one in rivals:
        if not _is_ahead(one):
            where = "behind" if _is_behind(one) else "not ahead of"
            said += f" It is {where} {_rival(one)} ({100 * one.value:+.1f} points, {_points(one)})."
    return said


def _points(one: Result) -> str:
    if one.ci_low is None or one.ci_high is None:
        return "no interval"
    return f"{100 * one.ci_low:+.1f} to {100 * one.ci_high:+.1f}"


def _is_ahead(one: Result) -> bool:
    return one.ci_low is not None and one.ci_low > 0


def _is_behind(one: Result) -> bool:
    return one.ci_high is not None and one.ci_high < 0


def _rival(difference: Result) -> str:
    return str(difference.details.get("against", "the other model"))


def _column(result: Result) -> Column:
    task = result.task
    if task == SCRATCH:
        task = "linear" if result.n_labels is None else FEW_LABELS
    return Column(task, result.metric, result.n_labels)


def _answer(results: Sequence[Result], model: str, column: Column) -> Result | None:
    answers = [one for one in results if one.model == model and _column(one) == column]
    return min(answers, key=lambda one: ("draws" not in one.details, one.seed), default=None)


def _level(results: Sequence[Result], model: str, difference: Result) -> Result | None:
    metric = difference.metric.removesuffix(DIFFERENCE)
    return _answer(results, model, replace(_column(difference), metric=metric))


def _question(result: Result) -> str:
    if result.n_labels is not None:
        return f"with {result.n_labels} label{'s' * (result.n_labels != 1)} a class"
    return f"with all labels ({TASK_TITLES.get(result.task, result.task)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
