"""How many steps a run of a sweep has: the recipe's own, or as many as bring equal data or equal time."""

from collections.abc import Mapping
from dataclasses import dataclass

from synsight.data.catalog import Catalog
from synsight.errors import ConfigError, UsageError
from synsight.recipes import pretrain
from synsight.training import RunConfig
from synsight.workflow.sweep_run import Outcome, Work, attempted

OWN_LENGTHS = ("steps", "epochs", "least_steps")


@dataclass(frozen=True)
class Rule:
    """What decides the length of the runs; at most one of them."""

    minutes_per_run: float | None = None
    seen_images: int | None = None

    def check(self, settings: Mapping[str, object]) -> None:
        """Refuse two rules at once.

        Raises:
            UsageError: The settings decide the length, too.
            ConfigError: A length that is not above zero.
        """
        given = [name for name, value in vars(self).items() if value is not None]
        for name in given:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0; got {getattr(self, name)!r}.")
        several = [*given, *(name for name in OWN_LENGTHS if name in settings)]
        if given and len(several) > 1:
            raise UsageError(f"{' and '.join(several)} each decide the length of the runs; give one of them.")


@dataclass(frozen=True)
class Length:
    """Steps chosen by the clock."""

    steps: int
    quoted_seconds: float
    """What they take, as measured before the run."""


def steps_of_images(config: RunConfig, images: int) -> int:
    """Steps in which a run sees so many images; a catalog smaller than the batch is one batch."""
    rows = Catalog.open(config.data).count_rows(config.where)
    return max(1, round(images / min(config.batch_size, max(rows, 1))))


def measured_length(work: Work, *, minutes: float) -> Length | Outcome:
    """Steps that take so many minutes where this is called, with the monitor's looks.

    Two dry runs: the first says about how many steps there will be, the second what the monitor takes of so
    many and, the machine being warm by then, what a step takes.

    Returns:
        The length, or the outcome of a run that cannot even begin.
    """
    return attempted(work, lambda: _measured(work, 60 * minutes))


def _measured(work: Work, seconds: float) -> Length:
    first = pretrain(work.recipe, data=work.data, dry_run=True, **work.changes)
    about = max(1, round(seconds * first.steps / first.total_seconds))
    second = pretrain(work.recipe, data=work.data, dry_run=True, **{**work.changes, "steps": about})
    steps = int((seconds - second.monitor_seconds) / second.seconds_per_step)
    if steps < 1:
        raise ConfigError(
            f"minutes_per_run: {seconds / 60:g} minutes are too few for {work.title}, where the monitor "
            f"takes {second.monitor_seconds:.1f} seconds here and a step {second.seconds_per_step:.2f}; give "
            "more, or look at fewer rows (--monitor.train-rows, --monitor.val-rows)."
        )
    return Length(steps, round(steps * second.seconds_per_step + second.monitor_seconds, 2))
