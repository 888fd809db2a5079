"""A verdict for people who read a terminal; the same numbers as the JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from groundschool.safety.verdict import Verdict

_STYLE = {"GO": "bold green", "NO-GO": "bold red", "INSUFFICIENT EVIDENCE": "bold yellow"}
_STATUS = {"shown": "green", "violated": "bold red", "undecided": "yellow"}


def table(verdict: Verdict, how: str = "") -> Table:
    """Return one row a criterion under the decision."""
    title = Text.assemble((verdict.decision, _STYLE[verdict.decision]), f"  {verdict.policy}, ")
    looks = f", look {verdict.look} of {verdict.criteria.looks}" if verdict.criteria.looks > 1 else ""
    title.append(f"{how or 'held out'}: {verdict.episodes:,} episodes{looks}")
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    shown.add_column("criterion", overflow="fold")
    shown.add_column("estimate", justify="right")
    shown.add_column("bound that would show it", justify="right")
    shown.add_column("bound against it", justify="right")
    shown.add_column("assurance", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for one in verdict.findings:
        shown.add_row(
            Text(one.criterion),
            _number(one.value),
            _number(one.bound),
            _number(one.against),
            one.estimate.assurance if one.estimate.trusted else "not trusted",
            Text(one.status, style=_STATUS[one.status]),
        )
    return shown


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "none"
