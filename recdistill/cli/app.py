"""The command line itself: its verbs are added by the other modules; an error ends one with its kind's exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from recdistill.errors import DataError, EnvironmentFault, TrainingError, UsageError


class Verbs(TyperGroup):
    """The commands; an error ends one with a line and its kind as exit code: 2, 3, 4 or 5, and 130 when interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _fail(f"interrupted: {str(stop) or 'what is finished is kept, and the same command continues'}", 130)
        except (UsageError, DataError, EnvironmentFault, TrainingError) as error:
            _fail(f"error: {error}", error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read the output has gone; click ends quietly
                raise
            name, reason = error.filename or "a file", error.strerror or error
            _fail(f"error: {name} cannot be read or written: {reason}", EnvironmentFault.exit_code)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Distil a large recommender into a compact ranker on another domain, and report honestly what it gained.\n\n"
    "A run is a folder. `run` fills it: rows, teachers, soft labels, students, report. The verbs from `prepare` to "
    "`evaluate` make one stage each, in the order they are listed, from what the folder holds.",
    epilog="Begin with:  recdistill demo   (a synthetic world, offline, about a minute), "
    "then  recdistill init FILE...  on your own tables.",
)


def _fail(text: str, code: int) -> NoReturn:
    from rich.markup import escape

    from recdistill.terminal import console

    rank = os.environ.get("RANK", "0")  # of several processes that torchrun started
    console(stderr=True).print(f"[bold red]{escape(text if rank == '0' else f'rank {rank}: {text}')}[/]")
    sys.exit(code)
