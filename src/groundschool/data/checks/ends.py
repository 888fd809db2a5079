"""Episode ends: flags inside an episode, episodes without one, and what is declared of length and return."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes, at_rows, several
from groundschool.data.checks.view import View
from groundschool.data.cutting import UNREAD, UNREAD_COST


def empty_log(view: View) -> Iterator[Finding]:
    """A log without rows."""
    if view.raw.n_rows == 0:
        yield Finding(
            check="empty-log",
            severity="error",
            where="log",
            what="It holds no rows.",
            why="There is nothing to learn from or to evaluate on.",
            do="Expected at least one row, which ends an episode.",
        )


def ends_inside(view: View) -> Iterator[Finding]:
    """End flags set before the last row of an episode."""
    raw = view.raw
    for role, flags in (("terminated", raw.terminated), ("truncated", raw.truncated)):
        inside = flags.copy()
        inside[view.last] = False
        rows = np.flatnonzero(inside)
        if not len(rows):
            continue
        episodes = np.unique(np.searchsorted(raw.starts, rows, side="right") - 1)
        throughout = int(raw.lengths[episodes].sum()) == len(rows) + int(flags[view.last[episodes]].sum())
        do = "Correct the flags, or leave episode= out, so that an episode ends wherever one is set."
        if throughout:
            do = f"The flag is set in every row of those episodes: keep it on the last one, or say {role}= otherwise."
        yield at_rows(
            view,
            "end-inside-episode",
            "error",
            raw.name(role),
            rows,
            "set before the last row of an episode",
            unit="flag",
            why="What follows an end is another episode, and learning cuts there whatever the rows after it show.",
            do=do,
        )


def missing_ends(view: View) -> Iterator[Finding]:
    """Episodes whose last row has neither flag."""
    raw = view.raw
    open_ends = np.flatnonzero(~(raw.terminated[view.last] | raw.truncated[view.last]))
    if not len(open_ends):
        return
    why = "Whether the process ended or we stopped looking decides whether anything was still to come."
    do = (
        'Say what the last row is: last_row="truncated" | "terminated", or name terminated= or truncated=, a column or '
        "an expression."
    )
    if raw.episode_ids is not None:
        what = "without an end flag on the last row"
        yield at_episodes(
            view,
            "missing-end",
            "error",
            raw.name("episode_ids"),
            open_ends,
            what,
            why=why,
            do=do,
            at_last=True,
        )
        return
    first = int(raw.starts[open_ends[0]])
    rows = np.arange(first, int(raw.starts[open_ends[0] + 1]))
    follows = "follows" if len(rows) == 1 else "follow"
    yield Finding(
        check="missing-end",
        severity="error",
        where=" and ".join(dict.fromkeys((raw.name("terminated"), raw.name("truncated")))),
        what=f"{several(len(rows), 'row')} {follows} the last end flag (first at row {raw.row(first)}).",
        why=why,
        do="Set truncated on the last row if the log simply stops there, or leave those rows out.",
        rows=len(rows),
        episodes=1,
        first_row=raw.row(first),
        first_episode=raw.episode_label(int(open_ends[0])),
    )


def over_horizon(view: View) -> Iterator[Finding]:
    """Episodes longer than the declared horizon."""
    raw = view.raw
    if raw.horizon is None:
        return
    longer = np.flatnonzero(raw.lengths > raw.horizon)
    if len(longer):
        yield at_episodes(
            view,
            "episode-over-horizon",
            "error",
            raw.name("horizon"),
            longer,
            f"longer than horizon={raw.horizon} (the longest has {several(int(raw.lengths.max()), 'step')})",
            why="Claims are about episodes of at most that many steps, and these are not.",
            do="Declare a longer horizon=, or leave it out.",
            harms="evaluation",
            measured={"longest": float(raw.lengths.max())},
        )


def outside_return_range(view: View) -> Iterator[Finding]:
    """A declared return range that is none, or that logged returns leave."""
    raw = view.raw
    if raw.return_range is None:
        return
    low, high = raw.return_range
    where = raw.name("return_range")
    why = "Finite-sample intervals stand on that range: where it does not hold, neither do they."
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        what = f"({low:g}, {high:g}) is not a range."
        do = "Expected return_range=(low, high), finite numbers with low < high."
        yield Finding("return-outside-range", "error", where, what, why, do, harms="evaluation")
        return
    if raw.n_episodes == 0:
        return
    with np.errstate(invalid="ignore", over="ignore"):
        returns = np.add.reduceat(raw.rewards, raw.starts[:-1])
    slack = 1e-9 * max(1.0, abs(low), abs(high))  # sums of rewards carry rounding
    outside = np.flatnonzero(np.isfinite(returns) & ((returns < low - slack) | (returns > high + slack)))
    if len(outside):
        found = returns[outside]
        yield at_episodes(
            view,
            "return-outside-range",
            "error",
            where,
            outside,
            f"outside the declared return range ({low:g}, {high:g}), from {found.min():g} to {found.max():g}",
            why=why,
            do="Declare what is possible as return_range=, not what is usual.",
            harms="evaluation",
        )


def unread_outcomes(view: View) -> Iterator[Finding]:
    """Rewards and costs of final rows, left unread because a map says that they are no decisions."""
    unread = {what: count for what, count in view.raw.tally.items() if what.startswith((UNREAD, UNREAD_COST)) and count}
    if unread:
        listed = "; ".join(f"{what}: {count:,}" for what, count in unread.items())
        yield Finding(
            check="unread-outcomes",
            severity="warning",
            where=view.raw.name("rewards"),
            what=f"Outcomes are not read: {listed}.",
            why="With final_rows=True last rows are no decisions: what happened on them leaves the log, deaths too.",
            do="Leave final_rows out if the last row is a decision; else move what is on it to the row before.",
            rows=max(unread.values()),
        )


CHECKS: tuple[Check, ...] = (
    Check("empty-log", "a log without rows", empty_log),
    Check("end-inside-episode", "end flags before the last row of an episode", ends_inside),
    Check("missing-end", "episodes without an end flag", missing_ends),
    Check("unread-outcomes", "outcomes on last rows said to be no decisions", unread_outcomes),
    Check("episode-over-horizon", "episodes longer than the declared horizon", over_horizon),
    Check("return-outside-range", "returns outside the declared range", outside_return_range),
)
