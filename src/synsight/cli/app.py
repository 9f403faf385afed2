"""The program `synsight`: its verbs, and what happens when one of them fails."""

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError, Parameter

from synsight.cli import (
    adapt,
    audit,
    card,
    catalog,
    compare,
    distill,
    embed,
    evaluate,
    explain,
    export,
    ingest,
    monitor,
    pilot,
    pretrain,
    repair,
    sample,
    serve,
    slices,
    sweep,
    words,
)
from synsight.errors import Interrupted, SynsightError, UsageError

USAGE = UsageError.exit_code
INTERRUPTED = Interrupted.exit_code
STOPPED = "stopped; run the same command again to go on where it was."


def _version() -> str:
    try:
        return version("synsight")
    except PackageNotFoundError:
        return "unknown"


app = App(
    name="synsight",
    help=(
        "From images and the captions beside them to a vision model of your own, with the proof.\n\n"
        "Start with: synsight pilot emoji --label category --out demo"
    ),
    help_format="plaintext",
    version=_version,
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # `main` has a sentence for it
)
app.command(pilot.pilot, sort_key=1, usage=pilot.USAGE)
app.command(sample.sample, sort_key=2)
app.command(ingest.ingest, sort_key=3)
app.command(audit.audit, sort_key=3.2)
app.command(repair.repair, sort_key=3.4)
app.command(words.words, sort_key=4)
app.command(pretrain.pretrain, sort_key=5, usage=pretrain.USAGE)
app.command(embed.embed, sort_key=6)
app.command(evaluate.evaluate, sort_key=7)
app.command(sweep.sweep, sort_key=7, usage=sweep.USAGE)
app.command(compare.compare, sort_key=7.5)
app.command(adapt.adapt, sort_key=8)
app.command(explain.explain, sort_key=8.1)
app.command(slices.slices, sort_key=8.2)
app.command(card.card, sort_key=8.3)
app.command(export.export, sort_key=9)
app.command(distill.distill, sort_key=9.1)
app.command(serve.serve, sort_key=9.2)
app.command(monitor.monitor, sort_key=9.3)
app.command(catalog.app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `synsight`; None: this process's.

    Returns:
        Exit code: 0 done, 1 an error the user can mend, 2 wrong usage, 3 drift (`monitor`), 130
        interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        answer = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(f"{_one_line(error)} (see `synsight {_verb(arguments)}--help`)", USAGE)
    except SynsightError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail(STOPPED, INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter's own flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # Python 3.11 wraps what is raised while a class is made, also Ctrl-C in the middle of an import.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _fail(STOPPED, INTERRUPTED)
        traceback.print_exc()
        return _fail(
            f"a defect of synsight {_version()}; please report it with the lines above and the command.",
            SynsightError.exit_code,
        )
    return answer if isinstance(answer, int) else 0


def _fail(sentence: str, code: int) -> int:
    print(f"synsight: error: {sentence}", file=sys.stderr)
    return code


def _one_line(error: CycloptsError) -> str:
    return " ".join(str(error).split())


def _verb(arguments: list[str]) -> str:
    return f"{arguments[0]} " if arguments and arguments[0] in app else ""
