"""The verb `sweep`: many runs side by side, one table, in one resumable command."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from synsight.errors import ConfigError, Interrupted, UsageError
from synsight.records import Result, SweepRun
from synsight.training.run_folder import RunFolder
from synsight.workflow.state import PilotState
from synsight.workflow.sweep_grid import Grid, build_grid
from synsight.workflow.sweep_length import Rule
from synsight.workflow.sweep_plan import Plan, RunAll
from synsight.workflow.sweep_probes import Asked, check_asked, choose_probes
from synsight.workflow.sweep_records import gather, write_sweep
from synsight.workflow.sweep_run import Work, carry_out
from synsight.workflow.sweep_runners import check_ready, run_all

FILE = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """Where a sweep stands."""

    out: str
    report: str
    """The page."""
    runs: Sequence[SweepRun]
    """One for each cell of the grid and seed, and for each untrained encoder and seed."""
    results: Sequence[Result]
    """Means over the seeds, then paired differences; `details["probe"]` says of what: "emoji: category"."""
    notes: Sequence[str] = ()
    """What was left out of the grid."""


def sweep(
    recipe: Sequence[str] | str,
    *,
    data: str | Path,
    out: str | Path,
    label: str | None = None,
    tasks: Sequence[str] = ("knn", "linear", "fewshot"),
    eval_data: Sequence[str | Path] | str | Path = (),
    label_of: Mapping[str, str | Sequence[str]] | None = None,
    labels_per_class: Sequence[int] = (10,),
    draws: int = 3,
    minutes_per_run: float | None = None,
    seen_images: int | None = None,
    runner: str = "local",
    address: str | None = None,
    **settings: object,
) -> SweepSummary:
    """Train and judge every combination of recipes and settings.

    A setting with several values is an axis; the runs are the product of the axes. Each is pretrained in
    OUT/runs and asked in OUT/evaluations, beside the untrained encoder and chance. Stopped at any moment, the
    same call goes on where it was, and so does a call with more values on an axis; what is finished is not
    repeated. A run that fails is shown with its sentence, and the others go on.

    Args:
        recipe: Names of recipes; in one string with commas between.
        data: The catalog to pretrain on.
        out: Folder for everything: runs/, evaluations/, sweep.json, runs.json, results.json and .parquet,
            report.html.
        label: Column for the runs' monitor, and for judging them.
        tasks: As for `evaluate`.
        eval_data: Catalogs to judge the models on; none: `data`. Their catalogs are left as they are.
        label_of: Catalog (its path or its folder's name) -> label or labels to judge by there, in place of
            `label`.
        labels_per_class: Of the few-label task.
        draws: Of the few labels, for each training seed.
        minutes_per_run: Give each run as many steps as take so long here, by a dry run before it; kept for
            later calls.
        seen_images: Give each run as many steps as show it so many images.
        runner: `local`: one run after another; `ray`: each run is a task on a Ray cluster.
        address: Of the cluster.
        settings: Any setting of a run by its dotted path, with one value or several, as
            `encoder=["resnet18", "resnet34"]`, `seed=[0, 1, 2]` or `**{"method.projection_dim": "64,128"}`
            (for short `projection_dim`). A recipe that lacks one goes without it.

    Raises:
        UsageError: An unknown recipe, setting, column or task; nothing was run.
        ConfigError: The folder holds a sweep with other settings, or something else.
        DataError: A catalog cannot be used, or a label is missing in a split.
        StorageError: The disk refused a write.
        Interrupted: Stopped from outside; the same call goes on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("sweep starts its runs itself, one after another; start it without torchrun.")
    rule = Rule(minutes_per_run, seen_images)
    rule.check(settings)
    check_ready(runner)
    given = {"data": _place(data), **({"label": label} if label is not None else {})}
    grid = build_grid(recipe, settings, given=given)
    places = [eval_data] if isinstance(eval_data, str | Path) else list(eval_data)
    asked = Asked(
        probes=choose_probes([_place(place) for place in places or [data]], label, label_of or {}),
        tasks=tuple(tasks),
        labels_per_class=tuple(labels_per_class),
        draws=draws,
    )
    check_asked(asked)
    out = Path(out)
    _check_folder(out)
    try:
        with RunFolder(out).locked():
            state = _state(out, grid=grid, asked=asked, given=given, rule=rule)
            plan = Plan(out, grid, asked, given, rule, state)
            runs = partial(run_all, runner=runner, address=address)
            return _Sweep(plan, runs, _command(plan)).run()
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            f"the sweep in {out} was stopped; what is done is kept, so run the same command again to go on."
        ) from None


def _place(path: str | Path) -> str:
    """A path that means the same in another folder and on another machine that shares the disk."""
    return str(Path(path).absolute())


def _check_folder(out: Path) -> None:
    """Begin in a new folder, or go on in a sweep's."""
    present = sorted(one.name for one in out.iterdir() if one.name[0] != ".") if out.is_dir() else []
    if present and FILE not in present:
        raise ConfigError(
            f"{out}: expected a new folder or that of a sweep, found {len(present)} files such as "
            f"{present[0]!r}; choose another folder."
        )


def _state(out: Path, *, grid: Grid, asked: Asked, given: Mapping[str, object], rule: Rule) -> PilotState:
    """The sweep's file, with the settings that may not change while runs are added."""
    settings = {
        **given,
        "probes": {probe.name: probe.data for probe in asked.probes},
        "tasks": list(asked.tasks),
        "labels_per_class": list(asked.labels_per_class),
        "draws": asked.draws,
        **vars(rule),
        **grid.frame,
    }
    state = PilotState(out, settings, file=FILE, what="sweep")
    state.save()
    return state


def _command(plan: Plan) -> str:
    """What a user types to get here."""
    asked, words = plan.asked, ["synsight", "sweep", *plan.grid.flags]
    for name in ("data", "label"):
        words += [f"--{name}", str(plan.given[name])] if name in plan.given else []
    places = dict.fromkeys(probe.data for probe in asked.probes)
    labels = ",".join(f"{Path(probe.data).name}={probe.label}" for probe in asked.probes)
    words += ["--eval-data", ",".join(places), "--label-of", labels, "--tasks", ",".join(asked.tasks)]
    words += ["--labels-per-class", ",".join(map(str, asked.labels_per_class)), "--draws", str(asked.draws)]
    for name, value in vars(plan.rule).items():
        words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    return shlex.join([*words, "--out", str(plan.out)])


@dataclass
class _Sweep:
    """Train and ask, then gather."""

    plan: Plan
    run_all: RunAll
    command: str
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def run(self) -> SweepSummary:
        plan, notes = self.plan, self.plan.grid.notes
        for note in notes:
            self.tell(note)
        works = plan.works(self.run_all, self.tell)
        records = self.records(works)
        runs = [replace(SweepRun(**records[work.name]), model=work.title, axes=work.axes) for work in works]
        results = gather(works, runs)
        page = write_sweep(
            plan.out, runs, results, settings=plan.state.settings, notes=notes, command=self.command
        )
        return SweepSummary(out=str(plan.out), report=str(page), runs=runs, results=results, notes=notes)

    def records(self, works: Sequence[Work]) -> dict[str, dict[str, Any]]:
        """Every work's record; what is not done yet is done first."""
        state = self.plan.state
        done = {work.name: state.steps[work.name] for work in works if self.is_done(work)}
        left = [work for work in works if work.name not in done]
        numbers = count(len(done) + 1)

        def begin(work: Work) -> None:
            self.tell(f"run {next(numbers)} of {len(works)}: {work.title}, seed {work.seed}")

        for work, outcome in self.run_all(carry_out, left, begin=begin):
            done[work.name] = outcome.record
            if failure := outcome.record["failure"]:
                self.tell(f"{work.title}, seed {work.seed}: failed, {failure}")
            if not outcome.again:
                state.steps[work.name] = outcome.record
                state.save()
        return done

    def is_done(self, work: Work) -> bool:
        """Whether a run is over: finished with all its answers, or failed in training, as it would again.

        Who deletes its folder makes it begin anew.
        """
        record = self.plan.state.steps.get(work.name)
        if record is None:
            return False
        return work.run.exists() if record["failure"] else work.is_done

    def tell(self, sentence: str) -> None:
        """Say one thing."""
        self.console.print(Text(sentence), soft_wrap=True)
