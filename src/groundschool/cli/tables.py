"""Tables for people; the same numbers as the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from groundschool.data.check import Findings
    from groundschool.data.checks import Finding

_SEVERITY = {"error": "bold red", "warning": "bold yellow", "note": "dim"}


def show(table: Table) -> None:
    """Print a table on stdout, at its natural width where nobody looks at a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def facts(title: str, rows: Mapping[str, str]) -> Table:
    """Return a two-column table."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))  # a name in brackets is no markup
    return table


def findings(title: str, found: Iterable[Finding]) -> Table:
    """Return one row a finding, worst first as they come."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("what", overflow="fold", ratio=3)
    table.add_column("do", overflow="fold", ratio=2)
    for one in found:
        word = Text(one.severity, style=_SEVERITY[one.severity])
        table.add_row(word, Text(one.where), Text(f"{one.what} {one.why}"), Text(one.do))
    return table


def counts(of: Mapping[str, int]) -> str:
    """Return ``2 errors, 1 warning, 0 notes``."""
    return ", ".join(f"{count:,} {word}{'' if count == 1 else 's'}" for word, count in of.items())


def checked(found: Findings) -> str:
    """Return in a few lines how much was checked, and how often that warns for nothing."""
    not_applicable = sum(bool(reason) for reason in found.ran.values())
    lines = [
        f"{found.n_episodes:,} episodes, {found.n_rows:,} rows: {counts(found.to_json()['counts'])}",
        f"{len(found.ran) - not_applicable} checks ran, {not_applicable} do not apply to this log (--json says why). "
        f"On a log without faults, the chance that a statistical one warns is at most {found.false_alarm:.1%}.",
    ]
    return "\n".join([*lines, *found.notes])


def policies(report: Mapping[str, Any]) -> Table:
    """Return one row a policy of a report's JSON: what rollouts showed, what is exactly true, how much it deviates."""
    rows = report["policies"]
    costs = list(
        dict.fromkeys(name for row in rows for name in (row["rollout"] or row["exact"] or {}).get("probabilities", {}))
    )
    exact = any(row["exact"] for row in rows)
    table = Table(title=report["title"], title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("policy", no_wrap=True)
    table.add_column("return", justify="right")
    if exact:
        table.add_column("exact", justify="right")
    for name in costs:
        table.add_column(f"P({name})", justify="right")
        if exact:
            table.add_column("exact", justify="right")
    table.add_column("mismatch", justify="right")
    for row in rows:
        rolled, true = row["rollout"], row["exact"]
        cells = [row["name"], interval(rolled["return"], "{:.1f}") if rolled else ""]
        cells += [f"{true['return']:.2f}" if true else ""] if exact else []
        for name in costs:
            cells.append(interval(rolled["probabilities"][name], "{:.1%}") if rolled else "")
            cells += [f"{true['probabilities'][name]:.2%}" if true else ""] if exact else []
        table.add_row(*cells, f"{row['mismatch']['value']:.3f}" if row["mismatch"] else "")
    floors = next((row["mismatch"] for row in rows if row["mismatch"]), None)
    if floors and floors["logger_floor"] is not None:
        best = floors["deterministic_floor"]
        table.caption = f"mismatch floors: the logger against itself {floors['logger_floor']:.3f}"
        table.caption += f", the best deterministic policy {best:.3f}" if best is not None else ""
        table.caption_justify = "left"
    return table


def rollout(summary: Mapping[str, Any]) -> Table:
    """Return what a rollout showed."""
    level = f"{summary['confidence']:.0%}"
    rows = {
        "episodes": f"{summary['episodes']:,}, seeds from {summary['seed']}",
        "return": f"{interval(summary['return'], '{:.2f}')}, standard deviation {number(summary['return_std'])}",
        "length": f"{summary['length_mean']:.1f} steps",
    }
    rows |= {f"P({name})": interval(one, "{:.1%}") for name, one in summary["probabilities"].items()}
    rows |= {f"ends in {name}": interval(one, "{:.1%}") for name, one in summary["end_rates"].items()}
    return facts(f"{summary['name']}  ({level} intervals)", rows)


def campaign(result: Mapping[str, Any]) -> Table:
    """Return what rollouts that stop by a limit showed."""
    plan = result["plan"]
    name, level = plan["constraint"]["name"], f"{result['confidence']:.0%}"
    cut = f", {result['censored']:,} cut before it was known" if result["censored"] else ""
    returned = result["return"]
    described = returned["lower"] is None and returned["upper"] is None
    rows = {
        "decision": result["decision"].upper(),
        "episodes": f"{result['episodes']:,} of at most {plan['max_episodes']:,}, seed {plan['seed']}",
        "design": plan["design"],
        f"with {name}": f"{result['events']:,}{cut}",
        f"P({name})": f"{interval(result['interval'], '{:.2%}')}, limit {plan['constraint']['limit']:.2%}",
        "return": f"{returned['value']:.2f}" if described else interval(returned, "{:.2f}"),
    }
    return facts(f"{plan['policy']['name']} in {plan['environment']['name']}  ({level} intervals)", rows)


def interval(value: Mapping[str, Any], form: str) -> str:
    """Return ``12.3 [10.1, 14.5]``."""
    lower, upper = (form.format(bound) if bound is not None else "∞" for bound in (value["lower"], value["upper"]))
    return f"{form.format(value['value'])} [{lower}, {upper}]"


def number(value: float | None) -> str:
    """Return a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"
