"""What the runs of a sweep are asked: a label of a catalog, and the tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synsight.data.catalog import Catalog
from synsight.errors import DataError, UsageError, near_names
from synsight.evaluation import ESTIMATORS
from synsight.evaluation.questions import CURVE_DRAWS, questions
from synsight.evaluation.rows import read_splits


@dataclass(frozen=True)
class Probe:
    """One label of one catalog."""

    name: str
    """As "emoji: category"."""
    data: str
    label: str

    @property
    def folder(self) -> str:
        """Name of the folder for its answers."""
        return self.name.replace(": ", "-").replace("/", "_")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The protocol that all models of a sweep go through."""

    probes: tuple[Probe, ...]
    tasks: tuple[str, ...]
    labels_per_class: tuple[int, ...]
    draws: int

    def first_draw(self, seed: int) -> int:
        """Seed of a training seed's first draw of few labels; no two training seeds share a draw."""
        return seed * self.stride

    @property
    def stride(self) -> int:
        """Draws that belong to one training seed."""
        return max(self.draws, CURVE_DRAWS) if "curve" in self.tasks else self.draws


def choose_probes(
    eval_data: Sequence[str | Path], label: str | None, label_of: Mapping[str, str | Sequence[str]]
) -> tuple[Probe, ...]:
    """The labels to ask for, of each catalog.

    Args:
        eval_data: Catalogs' folders.
        label: Asked of every catalog that `label_of` does not name.
        label_of: A catalog, by its path or its folder's name -> its label or labels.

    Raises:
        UsageError: A catalog without a label, two of one name, or a name in `label_of` that is no catalog's.
    """
    folders = {Path(one).resolve().name: str(one) for one in eval_data}
    if len(folders) < len(eval_data):
        raise UsageError("two catalogs to evaluate on have the same folder name; rename one of them.")
    labels: dict[str, list[str]] = {}
    for key, value in label_of.items():
        name = Path(key).resolve().name if key not in folders else key
        if name not in folders:
            raise UsageError(f"label_of names {key!r}, no catalog to evaluate on; {near_names(key, folders)}")
        labels.setdefault(name, []).extend([value] if isinstance(value, str) else value)
    probes = []
    for name, data in folders.items():
        chosen = labels.get(name, [label] if label is not None else [])
        if not chosen:
            raise UsageError(
                f"{data}: sweep needs a label to judge the models by; give --label COLUMN (label=...) or "
                f"--label-of {name}=COLUMN."
            )
        probes += [Probe(f"{name}: {one}", data, one) for one in dict.fromkeys(chosen)]
    return tuple(probes)


def check_asked(asked: Asked) -> None:
    """Read the labelled rows once, so that what cannot be asked is said before anything is trained.

    Raises:
        UsageError: An unknown column or task.
        DataError: A split without labelled rows, or one class only.
        ConfigError: No draws, or fewer than one label a class.
    """
    for probe in asked.probes:
        splits = read_splits(Catalog.open(probe.data), probe.label)
        questions(
            asked.tasks,
            splits,
            labels_per_class=asked.labels_per_class,
            draws=asked.draws,
            seed=0,
            estimators=ESTIMATORS,
        )
        if "linear" in asked.tasks and not len(splits.val):
            raise DataError(
                f"{probe.data}: the linear probe chooses its regularisation on val rows, and no val row has "
                f"a value in {probe.label!r}; leave the task 'linear' out, or ingest with a split column."
            )
