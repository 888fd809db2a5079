"""Findings in sentences: counts, first rows, and no more than ten columns named one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from groundschool.data.checks.finding import Finding, Harms, Severity
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

NAMED_COLUMNS = 10


def at_rows(
    view: View,
    check: str,
    severity: Severity,
    where: str,
    rows: Array,
    what: str,
    *,
    why: str,
    do: str,
    unit: str = "row",
    harms: Harms = "both",
    measured: Mapping[str, float] | None = None,
) -> Finding:
    """Return the finding that some rows (at least one, ascending) have a fault.

    ``what`` continues the sentence ``12 of 20,424 rows are ...`` and precedes ``(first at row 317).``
    """
    first = int(rows[0])
    of_rows = np.searchsorted(view.raw.starts, rows, side="right")
    return Finding(
        check=check,
        severity=severity,
        where=where,
        what=f"{share(len(rows), view.raw.n_rows, unit)} {what} (first at row {view.raw.row(first)}).",
        why=why,
        do=do,
        harms=harms,
        rows=len(rows),
        episodes=int(np.count_nonzero(np.diff(of_rows))) + 1,
        first_row=view.raw.row(first),
        first_episode=view.episode_of(first),
        measured={"share": len(rows) / view.raw.n_rows} | dict(measured or {}),
    )


def at_episodes(
    view: View,
    check: str,
    severity: Severity,
    where: str,
    episodes: Array,
    what: str,
    *,
    why: str,
    do: str,
    at_last: bool = False,
    harms: Harms = "both",
    measured: Mapping[str, float] | None = None,
) -> Finding:
    """Return the finding that some episodes (at least one, ascending positions) have a fault.

    ``what`` continues ``3 of 500 episodes are ...``; the row named is the episode's first, or its last.
    """
    raw = view.raw
    first = int(episodes[0])
    row = raw.row(int(raw.starts[first + 1] - 1 if at_last else raw.starts[first]))
    label = raw.episode_label(first)
    return Finding(
        check=check,
        severity=severity,
        where=where,
        what=f"{share(len(episodes), raw.n_episodes, 'episode')} {what} (first: episode {label!r}, row {row}).",
        why=why,
        do=do,
        harms=harms,
        rows=int(raw.lengths[episodes].sum()),
        episodes=len(episodes),
        first_row=row,
        first_episode=label,
        measured={"share": len(episodes) / raw.n_episodes} | dict(measured or {}),
    )


def share(count: int, total: int, unit: str) -> str:
    """Return ``1 of 20 rows is`` or ``12 of 20,424 rows are``; what follows must fit both."""
    return f"{count:,} of {total:,} {unit}{'' if total == 1 else 's'} {'is' if count == 1 else 'are'}"


def several(count: int, noun: str) -> str:
    """Return ``1 row`` or ``12 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(part: float) -> str:
    """Return a share as ``12 %``, ``0.31 %`` or ``<0.01 %``."""
    if 0 < part < 1e-4:
        return "<0.01 %"
    return f"{100 * part:.3g} %"


def few(columns: Sequence[tuple[str, Callable[[], Finding]]], named: int = NAMED_COLUMNS) -> Iterator[Finding]:
    """Yield the findings of one check on the first columns, and one on the others that counts and names them.

    Parameters
    ----------
    columns : sequence of (name, callable)
        The finding is made where it is needed: what holds of a thousand columns is not looked up in each.
    named : int
        How many columns have a finding of their own; 0 for images.
    """
    for _, make in columns[:named]:
        yield make()
    rest = columns[named:]
    if len(rest) == 1:
        yield rest[0][1]()
    elif rest:
        first = rest[0][1]()
        names = ", ".join(name for name, _ in rest[:NAMED_COLUMNS])
        more = ", ..." if len(rest) > NAMED_COLUMNS else ""
        yield dataclasses.replace(
            first,
            where=f"{len(rest):,} {'more ' if named else ''}columns",
            what=f"The same holds of {names}{more}."
            if named
            else f"They are {names}{more}; of the first: {first.what}",
            rows=0,
            episodes=0,
            measured={"columns": float(len(rest))},
        )


def made(findings: Iterable[Finding | None]) -> list[tuple[str, Callable[[], Finding]]]:
    """Return findings that are there already as `few` takes them."""
    return [(finding.where, partial(_same, finding)) for finding in findings if finding is not None]


def _same(finding: Finding) -> Finding:
    return finding
