"""``groundschool init``: a column map drafted from a log."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from groundschool.cli.common import Force, Format, Json, Log, emit, reporting
from groundschool.errors import InputError

SUMMARY = "Draft a column map from a log of your own."
EXAMPLE = "groundschool init ward.csv"
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")


@reporting
def verb(
    log: Log,
    out: Annotated[Path | None, typer.Option(help="The file to write; NAME.columns.toml here unless said.")] = None,
    log_format: Format = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draft a column map: what the log shows is filled in, what only a person can say is left open as "?"."""
    from groundschool.data.draft import sketch
    from groundschool.data.placing import in_place, require_free
    from groundschool.data.read import is_saved, open_source

    where = Path(f"{_stem(log)}.columns.toml") if out is None else out
    if is_saved(log, log_format):
        raise InputError(f"{log}: is a log that groundschool wrote and knows its columns. It needs no column map.")
    require_free(where, force=force, replaceable=_is_toml, what="a TOML file")  # before the work
    drafted = sketch(open_source(log, log_format))
    with in_place(where, force=force, replaceable=_is_toml, what="a TOML file") as unfinished:
        unfinished.write_text(drafted.text, encoding="utf-8")
    if as_json:
        emit({"columns": str(where), "questions": dict(drafted.questions)})
        return
    count = len(drafted.questions)
    typer.echo(f"{where}: {count} question{'' if count == 1 else 's'} open")
    for key, question in drafted.questions.items():
        typer.echo(f"  {key}: {question}")
    first = "Answer them there" if count else "Read it"
    typer.echo(f"{first}, then: {shlex.join(['groundschool', 'check', str(log), '--columns', str(where)])}")


def _stem(log: Path) -> str:
    """Return a name without its endings: ``ward.csv.gz`` is ``ward``."""
    name = log.resolve().name
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return Path(name).stem or "log"


def _is_toml(path: Path) -> bool:
    return path.is_file() and path.suffix == ".toml"
