"""What every verb does alike: options, errors as sentences with exit codes, JSON alone on stdout."""

from __future__ import annotations

import functools
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from groundschool.errors import GroundschoolError, InputError

P = ParamSpec("P")
R = TypeVar("R")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, gpu, or one of several: gpu:1.")]

Bundle = Annotated[Path, typer.Argument(help="A saved policy (a directory).", show_default=False)]
Greedy = Annotated[bool, typer.Option("--greedy", help="Take the most probable action instead of sampling.")]
Behavior = Annotated[
    Path | None, typer.Option(help="The saved policy that wrote the log; its propensities unless said.")
]

Log = Annotated[Path, typer.Argument(help="A log in any format.", show_default=False)]
Format = Annotated[str, typer.Option("--format", help="The format of the log, where its name does not show it.")]
ColumnMap = Annotated[
    Path | None, typer.Option("--columns", help="What each column means (TOML); groundschool init drafts one.")
]

CRASH, BAD_INPUT, STOPPED = 1, 2, 130


def reporting(verb: Callable[P, R]) -> Callable[P, R]:
    """Turn deliberate errors into ``error: ...`` on stderr and their exit code; anything else is a bug, and shows."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except InputError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from None
        except GroundschoolError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(CRASH) from None
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise typer.Exit(STOPPED) from None

    return wrapped


def stopped(directory: Path) -> typer.Exit:
    """Say how to go on after Ctrl-C; raise what this returns."""
    from groundschool.run_directory import interrupted

    if interrupted(directory):
        again = ["groundschool", *(word for word in sys.argv[1:] if word != "--force")]
        typer.echo(f"\nstopped; {directory} keeps what is done. To go on: {shlex.join(again)}", err=True)
    else:
        typer.echo("\nstopped; nothing was begun", err=True)
    return typer.Exit(STOPPED)


def emit(value: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
