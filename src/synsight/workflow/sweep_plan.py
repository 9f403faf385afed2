"""The runs of a sweep: every cell of its grid with every seed, and the untrained encoders beside them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from synsight.workflow.state import PilotState
from synsight.workflow.sweep_grid import Cell, Grid
from synsight.workflow.sweep_length import Length, Rule, measured_length, steps_of_images
from synsight.workflow.sweep_probes import Asked
from synsight.workflow.sweep_run import UNTRAINED, Work

RunAll = Callable[..., Iterator[tuple[Work, Any]]]
"""`run_all` with its runner."""


@dataclass
class Plan:
    """All works of a sweep, with their lengths.

    Args:
        out: The sweep's folder.
        grid: What varies.
        asked: What the models are asked.
        given: Settings that every run gets besides, with `data`.
        rule: What decides the length.
        state: Keeps measured lengths, so that a later call trains as long.
    """

    out: Path
    grid: Grid
    asked: Asked
    given: Mapping[str, Any]
    rule: Rule
    state: PilotState

    def works(self, run_all: RunAll, tell: Callable[[str], None]) -> list[Work]:
        """The untrained encoders, then all cells with one seed after the other, so that a sweep that is not
        finished has seen all recipes.
        """
        works = [self._work(cell, seed) for seed in self.grid.seeds for cell in self.grid.cells]
        if self.rule.minutes_per_run is not None:
            works = self._measured(works, self.rule.minutes_per_run, run_all, tell)
        return [*self._untrained(), *works]

    def _work(self, cell: Cell, seed: int) -> Work:
        changes = {name: value for name, value in self.given.items() if name != "data"}
        changes |= {"seed": seed, **cell.settings}
        if cell.config is not None and self.rule.seen_images is not None:
            changes["steps"] = steps_of_images(cell.config, self.rule.seen_images)
        return Work(
            name=f"{cell.name}-seed_{seed}",
            cell=cell.name,
            title=cell.title,
            recipe=cell.recipe,
            encoder=cell.encoder,
            image_size=cell.config.image_size if cell.config is not None else 0,
            seed=seed,
            data=self.given["data"],
            changes=changes,
            axes=cell.axes,
            out=str(self.out.absolute()),
            asked=self.asked,
            refused=cell.refused,
        )

    def _measured(
        self, works: list[Work], minutes: float, run_all: RunAll, tell: Callable[[str], None]
    ) -> list[Work]:
        """The works with as many steps as the clock allows, measured once for each cell."""
        cells = {work.cell: work for work in reversed(works) if not work.refused}  # with its first seed
        refused: dict[str, str] = {}
        for work, found in run_all(
            partial(measured_length, minutes=minutes),
            [work for cell, work in reversed(cells.items()) if not self.state.done(_length(cell))],
            begin=lambda work: tell(f"measure {work.title}"),
        ):
            if isinstance(found, Length):
                self.state.once(_length(work.cell), partial(vars, found))
            else:
                refused[work.cell] = found.record["failure"]
        return [
            replace(work, changes={**work.changes, "steps": self.state.steps[_length(work.cell)]["steps"]})
            if self.state.done(_length(work.cell))
            else replace(work, refused=work.refused or refused[work.cell])
            for work in works
        ]

    def _untrained(self) -> Iterator[Work]:
        """One for each kind of encoder and seed; what is no timm architecture cannot be had untrained."""
        cells = [cell for cell in self.grid.cells if cell.config is not None and ":" not in cell.encoder]
        kinds = {(cell.encoder, cell.config.image_size): cell for cell in cells if cell.config is not None}
        several_sizes = len({size for _, size in kinds}) > 1
        for seed in self.grid.seeds:
            for (encoder, size), cell in kinds.items():
                title = "random encoder" if len(kinds) == 1 else f"random {encoder}"
                yield replace(
                    self._work(cell, seed),
                    name=f"{UNTRAINED}-{encoder}-{size}-seed_{seed}",
                    cell=f"{UNTRAINED}-{encoder}-{size}",
                    title=f"{title}, {size} px" if several_sizes else title,
                    recipe=UNTRAINED,
                    changes={},
                    axes={path: value for path, value in cell.axes.items() if path == "encoder"},
                )


def _length(cell: str) -> str:
    return f"length of {cell}"
