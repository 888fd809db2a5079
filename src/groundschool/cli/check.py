"""``groundschool check``: every problem of a log at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundschool.cli.common import BAD_INPUT, ColumnMap, Format, Json, emit, reporting

SUMMARY = "Every problem of a log at once, and what to do about each."
EXAMPLE = "groundschool check ward.csv --columns ward.columns.toml"


@reporting
def verb(
    data: Annotated[Path, typer.Argument(help="A log in any format.", show_default=False)],
    columns: ColumnMap = None,
    log_format: Format = "auto",
    against: Annotated[
        Path | None, typer.Option(help="Another log, such as the holdout: no episode may be in both.")
    ] = None,
    against_columns: Annotated[
        Path | None, typer.Option(help="The column map of the other log; that of this one unless said.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Write a card of the log there (Markdown).")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw there which actions were tried where (PNG).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples that statistical checks draw.")] = 0,
    as_json: Json = False,
) -> None:
    """Check a log before anything is learned from it. Exit code 2 where it has errors."""
    from groundschool.data.check import check
    from groundschool.data.read import read_raw

    raw = read_raw(data, log_format, columns, ask=False)
    found = check(
        raw, against=against, against_columns=columns if against_columns is None else against_columns, seed=seed
    )
    if as_json:
        emit(found.to_json())
    else:
        from groundschool.cli import tables

        if found.findings:
            tables.show(tables.findings(str(data), found.findings))
        typer.echo(tables.checked(found))
    if found.errors:
        raise typer.Exit(BAD_INPUT)
