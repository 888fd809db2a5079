"""Off-policy estimates for people who read a terminal; the same numbers as the JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from groundschool.report.evaluation_reading import bound, interval, reliable, value
from groundschool.report.evaluation_section import estimate, grouped
from groundschool.report.words import number, percent

if TYPE_CHECKING:
    from groundschool.evaluation.answers import Answers


def table(title: str, found: Answers) -> Table:
    """Return one row an estimate, by question, what the logger did first."""
    level = percent(found.estimates[0].confidence, 0)
    shown = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("of an episode", overflow="fold")
    shown.add_column("method", no_wrap=True)
    shown.add_column(f"value [{level} interval]", justify="right")
    shown.add_column(f"bound, {level}", justify="right")
    shown.add_column("assurance", no_wrap=True)
    shown.add_column("ESS", justify="right")
    shown.add_column("trusted")
    for of in dict.fromkeys(one.of for one in found.estimates):
        rows = [estimate(one) for one in (*found.logged, *found.estimates) if one.of == of]
        for at, row in enumerate(rows):
            shown.add_row(Text("" if at else row["quantity"]), *_cells(row), end_section=row is rows[-1])
    return shown


def said(found: Answers) -> Iterator[str]:
    """Yield why estimates are not trusted, what they rest on, and what could not be estimated: a line each."""
    everything = [estimate(one) for one in found.estimates]
    for heading, key in (("not trusted", "reasons"), ("note", "notes")):
        for one in grouped(everything, key):
            about = "" if one["about_all"] else f"{', '.join(one['about'])}; "
            yield f"{heading} ({about}{', '.join(one['by'])}): {one['text']}"
    for problem in found.problems:
        yield f"not estimated: {problem}"


def _cells(row: Mapping[str, Any]) -> list[str | Text]:
    name = "the log itself" if row["method"] == "logged" else row["method"]
    if row["trusted"]:
        return [name, interval(row), bound(row), row["assurance"], number(row["ess"], 0), "yes"]
    doubted = "" if row["value"] is None else f"({value(row)}) "
    told = Text(f"{doubted}rely on {reliable(row)}", style="dim")
    return [name, told, "no bound", row["assurance"], number(row["ess"], 0), Text("no", style="bold red")]
