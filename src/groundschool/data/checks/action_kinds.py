"""What kind of actions these are: measured ones that look counted, counted ones that look measured, unused ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.actions import declared_actions
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import few, made, percent, several
from groundschool.data.checks.scan import blocks, rows_where
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

_MANY, _RATHER_MANY = 200, 30  # distinct actions
_FEW = 20  # distinct whole values of a float column
_ENOUGH_ROWS = 50
_FROM_ONE = 64  # actions at most, where counting from 1 is suspected
_HARDLY, _HARDLY_SHARE = 10, 0.001
_EXPECTED = 100  # rows an action, below which one that is never taken may well be chance


def measured_as_counted(view: View) -> Iterator[Finding]:
    """Integers that look like a measured quantity, such as a dose.

    That is: 200 distinct ones or more; 30 or more, a quarter of which are seen once, where no number of actions is
    declared; or at least five that all are multiples of some g > 1, which m + 1 freely numbered actions are with
    probability about g^-m < 1e-4. Named actions are taken for what they are called.
    """
    raw = view.raw
    if not raw.is_discrete or raw.action_labels is not None or raw.n_rows == 0:
        return
    taken, counts = _taken(raw.actions)
    if len(taken) < 5:
        return
    once = int(np.count_nonzero(counts == 1))
    spacing = math.gcd(*taken.tolist())
    undeclared = declared_actions(raw) is None
    if len(taken) >= _MANY or (undeclared and len(taken) >= _RATHER_MANY and once >= len(taken) / 4):
        what = f"{len(taken):,} distinct integers from {taken[0]} to {taken[-1]} are taken, {once:,} of them once."
    elif spacing > 1 and (len(taken) - 1) * math.log(spacing) > math.log(1e4):
        what = f"All {len(taken)} actions that are taken are multiples of {spacing} (from {taken[0]} to {taken[-1]})."
    else:
        return
    yield Finding(
        check="continuous-as-discrete",
        severity="warning",
        where=raw.name("actions"),
        what=what,
        why="Counted actions have no order and no distances: what one dose teaches is not used for the next one.",
        do='If this is a quantity, say action_kind="continuous" (actions.reshape(-1, 1) as floats), or bin it.',
        rows=raw.n_rows,
        measured={"distinct": float(len(taken)), "once": float(once), "spacing": float(spacing)},
    )


def counted_as_measured(view: View) -> Iterator[Finding]:
    """Float columns of actions with 2 to 20 distinct values, all whole: a warning where all columns are so."""
    raw = view.raw
    if raw.is_discrete or raw.n_rows < _ENOUGH_ROWS:
        return
    columns = [(j, values) for j in range(raw.actions.shape[1]) if (values := _few_whole(view, j)) is not None]
    whole = len(columns) == raw.actions.shape[1]
    yield from few(
        made(
            Finding(
                check="discrete-as-continuous",
                severity="warning" if whole else "note",
                where=raw.name("actions") if raw.actions.shape[1] == 1 else f"{raw.name('actions')}[{j}]",
                what=f"{several(len(values), 'distinct value')}, all whole, from {values[0]:g} to {values[-1]:g}.",
                why="A density over a line never meets single points: what is learned is not what was done.",
                do='If these are choices, say action_kind="discrete" (actions.astype(int), counted from 0).',
                rows=raw.n_rows,
                measured={"distinct": float(len(values))},
            )
            for j, values in columns
        )
    )


def _few_whole(view: View, j: int) -> Array | None:
    """Return the distinct values of a column of actions if they are whole and few, else None."""
    seen = np.zeros(0)
    for block in blocks(view.raw.n_rows, view.raw.actions.shape[1]):
        values = view.raw.actions[block, j]
        values = values[np.isfinite(values)]
        if (values[:1000] != np.floor(values[:1000])).any() or (values != np.floor(values)).any():
            return None
        if len(values) and values.max() - values.min() < 1000:
            low = values.min()
            seen = np.union1d(seen, np.flatnonzero(np.bincount((values - low).astype(np.int64))) + low)
        else:
            seen = np.union1d(seen, values)
        if len(seen) > _FEW:
            return None
    return seen if len(seen) > 1 else None


def one_action(view: View) -> Iterator[Finding]:
    """Logs in which one and the same action is always taken."""
    raw = view.raw
    if raw.n_rows < _ENOUGH_ROWS or raw.actions.shape[1:] == (0,):
        return
    first = raw.actions[0]
    if (raw.actions[:1000] != first).any() or len(rows_where(lambda actions: actions != first, raw.actions)):
        return
    yield Finding(
        check="one-action",
        severity="warning",
        where=raw.name("actions"),
        what=f"Every row has the same action, {first}.",
        why="Without any other action there is nothing to compare it with: no other policy can be judged.",
        do="Check that the column is the action that was taken.",
        rows=raw.n_rows,
    )


def unused_actions(view: View) -> Iterator[Finding]:
    """Declared actions that are never taken: a warning with 100 rows an action or more."""
    raw = view.raw
    declared = declared_actions(raw)
    if not raw.is_discrete or raw.n_rows == 0:
        return
    taken, _ = _taken(raw.actions)
    if declared is None:
        yield from _counted_from_one(view, taken)
        return
    unused = np.setdiff1d(np.arange(declared), taken)
    if len(unused) and len(taken):
        yield Finding(
            check="action-never-taken",
            severity="warning" if raw.n_rows >= _EXPECTED * declared else "note",
            where=raw.name("actions"),
            what=f"{several(len(unused), 'action')} of {declared:,} never taken: {_listed(view, unused)}.",
            why="What nobody did cannot be learned, and no policy that does it can be evaluated on this log.",
            do="Forbid it with action_mask=, leave it out of the actions, or log some of it.",
            measured={"unused": float(len(unused)), "declared": float(declared)},
        )


def _counted_from_one(view: View, taken: Array) -> Iterator[Finding]:
    """Actions that begin at 1 where nobody said how many there are."""
    raw, most = view.raw, int(taken[-1]) if len(taken) else 0
    if most > _FROM_ONE or not np.array_equal(taken, np.arange(1, most + 1)) or most < 2:
        return
    yield Finding(
        check="action-never-taken",
        severity="warning",
        where=raw.name("actions"),
        what=f"Actions 1 to {most} are taken, and action 0 never: are they counted from 1?",
        why=f"Actions count from 0 here: {most + 1} would be learned and judged, the first of which nobody ever took.",
        do=f"Subtract 1 from the column, or say n_actions={most + 1} if action 0 is one that could have been taken.",
        measured={"unused": 1.0, "largest": float(most)},
    )


def rare_actions(view: View) -> Iterator[Finding]:
    """Actions taken fewer than ten times, or in fewer than one row of a thousand."""
    raw = view.raw
    if not raw.is_discrete or raw.n_rows == 0:
        return
    taken, counts = _taken(raw.actions)
    rare = (counts < _HARDLY) | (counts < _HARDLY_SHARE * raw.n_rows)
    if len(taken) < 2 or not rare.any():
        return
    least = int(counts[rare].min())
    yield Finding(
        check="action-hardly-taken",
        severity="note",
        where=raw.name("actions"),
        what=(
            f"{several(int(rare.sum()), 'action')} of {len(taken):,} hardly ever taken: {_listed(view, taken[rare])} "
            f"(the least, {several(least, 'time')}, {percent(least / raw.n_rows)} of the rows)."
        ),
        why="Its consequences are guessed from a handful of rows, and policies that do it weigh those rows heavily.",
        do="Merge it with another action, forbid it with action_mask=, or expect evaluations to be uncertain there.",
        rows=int(counts[rare].sum()),
        measured={"rare": float(rare.sum()), "least": float(least)},
    )


def _taken(actions: Array) -> tuple[Array, Array]:
    """Return the distinct actions that were taken, ascending, and how often each was."""
    actions = actions[actions >= 0]
    if len(actions) and actions.max() <= 4 * len(actions) + 1000:
        counts = np.bincount(actions)
        taken = np.flatnonzero(counts)
        return taken, counts[taken]
    taken, counts = np.unique(actions, return_counts=True)
    return taken, counts


def _listed(view: View, actions: Array) -> str:
    labels = view.raw.action_labels
    named = [str(a) if labels is None or a >= len(labels) else f"{a} ({labels[a]})" for a in actions[:10].tolist()]
    return ", ".join(named) + (", ..." if len(actions) > 10 else "")


CHECKS: tuple[Check, ...] = (
    Check("continuous-as-discrete", "integers that look like a measured quantity", measured_as_counted),
    Check("discrete-as-continuous", "float actions that look like choices", counted_as_measured),
    Check("one-action", "the same action in every row", one_action),
    Check("action-never-taken", "declared actions that are never taken", unused_actions),
    Check("action-hardly-taken", "actions that are hardly ever taken", rare_actions),
)
