"""``groundschool join``: more episodes of one logger, put into one log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundschool.cli.common import ColumnMap, Force, Format, Json, emit, reporting
from groundschool.errors import InputError

SUMMARY = "More episodes of one logger, put into one log."
EXAMPLE = "groundschool join holdout further-episodes --out larger-holdout"


@reporting
def verb(
    logs: Annotated[list[Path], typer.Argument(help="Two logs or more, in any format.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The log to write (a directory), in our own format.", show_default=False)],
    columns: ColumnMap = None,
    log_format: Format = "auto",
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="The longest possible episode, where the logs do not agree.", show_default=False),
    ] = None,
    renumber: Annotated[
        bool, typer.Option("--renumber", help="Call the episodes 0, 1, ... anew: where each log counts its own.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Join logs that have the same columns and share no episode. The column map is that of all tables among them."""
    if len(logs) < 2:
        raise InputError(f"{logs[0]}: is one log alone, expected two or more, such as: {EXAMPLE}")
    if out.exists() and any(log.exists() and log.samefile(out) for log in logs):
        raise InputError(f"{out}: is one of the logs. Write to another path.")
    from groundschool.data.placing import require_free
    from groundschool.data.storage import is_ours

    require_free(out, force=force, replaceable=is_ours, what="a saved log")  # before the work rather than after it
    from groundschool.data.join import join
    from groundschool.data.read import is_saved, read

    saved = [is_saved(log, log_format) for log in logs]
    maps = [None if ours and not all(saved) else columns for ours in saved]
    parts = [read(log, log_format, own) for log, own in zip(logs, maps, strict=True)]
    joined = join(parts, horizon=horizon, renumber=renumber, names=[str(log) for log in logs])
    joined.save(out, force=force)
    if as_json:
        found = {"target": str(out), "logs": [str(log) for log in logs], "n_episodes": joined.n_episodes}
        emit({**found, "n_steps": joined.n_steps, "fingerprint": joined.fingerprint, "notes": list(joined.notes)})
        return
    from groundschool.cli import tables

    rows = {str(log): f"{part.n_episodes:,} episodes" for log, part in zip(logs, parts, strict=True)}
    rows |= {"joined": f"{joined.n_episodes:,} episodes, {joined.n_steps:,} steps", "fingerprint": joined.fingerprint}
    tables.show(tables.facts(str(out), rows))
