"""``groundschool convert``: a log from one format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundschool.cli.common import ColumnMap, Force, Format, Json, Log, emit, reporting
from groundschool.errors import InputError

SUMMARY = "A log from one format to another."
EXAMPLE = "groundschool convert ward.csv ward-log --columns ward.columns.toml"

SEVERAL = (".hdf5", ".h5")


@reporting
def verb(
    source: Log,
    target: Annotated[
        Path, typer.Argument(help="What to write; a name without an ending is our own format.", show_default=False)
    ],
    columns: ColumnMap = None,
    log_format: Format = "auto",
    to: Annotated[
        str | None, typer.Option(help="The format to write, where the name does not show it: dsrl, d3rlpy, minari ...")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Read a log whole episodes at a time and write it again, all of it or nothing."""
    if to is None and target.suffix.lower() in SEVERAL:
        raise InputError(
            f"{target}: {target.suffix} files are of several formats. Say which: --to dsrl or --to d3rlpy."
        )
    from groundschool.data.convert import convert

    done = convert(source, target, columns=columns, format=log_format, to=to, force=force)
    if as_json:
        emit({**done._asdict(), "target": str(done.target)})
        return
    from groundschool.cli import tables

    rows = {
        "log": f"{done.n_episodes:,} episodes, {done.n_steps:,} steps",
        "fingerprint": done.fingerprint or "",
        "done on the way": "\n".join(done.notes),
        "lost": "\n".join(done.losses) or "nothing",
    }
    shown = {name: text for name, text in rows.items() if text}
    tables.show(tables.facts(f"{source} → {target} ({done.format})", shown))
