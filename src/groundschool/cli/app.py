"""The verbs, put together. What a verb needs is imported when it runs, so that help costs nothing."""

from __future__ import annotations

import typer

from groundschool import __version__
from groundschool.cli import check, convert, demo, doctor, evaluate, gate, init, join, rollout, run, train

app = typer.Typer(
    name="groundschool",
    help="Learn decision policies from fixed logs, and judge them before anybody lets them act.",
    epilog="Start with: groundschool demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"groundschool {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it.")) -> None:
    pass


for module in (demo, init, check, convert, join, run, train, evaluate, gate, rollout, doctor):
    name = module.__name__.rpartition(".")[2]
    app.command(name, short_help=module.SUMMARY, epilog=f"Example: {module.EXAMPLE}")(module.verb)
