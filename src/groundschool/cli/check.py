"""``groundschool check``: every problem of a log at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundschool.cli.common import BAD_INPUT, ColumnMap, Force, Format, Json, Log, emit, reporting
from groundschool.errors import InputError

if TYPE_CHECKING:
    from groundschool.data.check import Findings
    from groundschool.data.raw import RawLog

SUMMARY = "Every problem of a log at once, and what to do about each."
EXAMPLE = "groundschool check ward.csv --columns ward.columns.toml"


@reporting
def verb(
    data: Log,
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
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Check a log before anything is learned from it. Exit code 2 where it has errors."""
    from groundschool.data.check import check
    from groundschool.data.read import read_raw

    for path, suffix in ((card, ".md"), (picture, ".png")):
        if path is not None:
            _require(path, suffix, force=force)  # before the work rather than after it
    raw = read_raw(data, log_format, columns, ask=False)
    found = check(raw, columns, against=against, against_columns=against_columns, seed=seed)
    if card is not None or picture is not None:
        _draw(raw, found, card=card, picture=picture, force=force)
    if as_json:
        emit(found.to_json())
    else:
        from groundschool.cli import tables

        if found.findings:
            tables.show(tables.findings(str(data), found.findings))
        typer.echo(tables.checked(found))
    if found.errors:
        raise typer.Exit(BAD_INPUT)


def _require(path: Path, suffix: str, *, force: bool) -> None:
    from groundschool.data.placing import require_free

    if path.suffix != suffix:
        raise InputError(f"{path}: expected a name that ends in {suffix}.")
    require_free(path, force=force, replaceable=Path.is_file, what="a file")


def _draw(raw: RawLog, found: Findings, *, card: Path | None, picture: Path | None, force: bool) -> None:
    """Write what was asked for beside the findings."""
    from groundschool.data.coverage import coverage
    from groundschool.data.placing import in_place

    try:
        counted = coverage(raw)
    except InputError:  # no row has a usable action: the findings say so
        if picture is not None:
            raise
        counted = None
    if card is not None:
        from groundschool.data.vouch import vouch
        from groundschool.report.data_card import data_card

        fingerprint = "" if found.errors else vouch(raw).fingerprint
        with in_place(card, force=force, replaceable=Path.is_file, what="a file") as unfinished:
            title = Path(raw.source or card.stem).name
            text = data_card(raw, found, counted, title=title, fingerprint=fingerprint)
            unfinished.write_text(text, encoding="utf-8")
    if picture is not None and counted is not None:
        from groundschool.report import plot
        from groundschool.report.style import style

        with in_place(picture, force=force, replaceable=Path.is_file, what="a file") as unfinished, style():
            plot.coverage(counted).savefig(unfinished, format="png", dpi=150)
