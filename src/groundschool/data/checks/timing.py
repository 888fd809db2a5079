"""Costs that were read off the observation of their own row, and so belong to the action before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks._sample import codes
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import percent, several
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

PURE = 0.999
LEAST_ROWS, LEAST_EPISODES = 20, 5

_ROWS = 20_000
_SEEN = 5


def cost_timing(view: View) -> Iterator[Finding]:
    """A cost is a function of the observation of its own row, and not of the one after.

    A cost that the action of its row caused shows, if at all, in the observation after it. The rule: rows with a cost
    and rows without are told apart in 99.9 % of either by whether one number of their own observation lies in an
    interval (so, by one threshold or two), or by the whole observation where observations repeat; the same is not true
    of the observation after; and the action alone does not tell them apart. At least 20 rows with the cost in 5
    episodes, and as many rows without, are asked for.
    """
    raw = view.raw
    for name, cost in raw.costs.items():
        rows = _rows(view, cost)
        if rows is None:
            continue
        positive = cost[rows] > 0
        own = raw.observations.reshape(raw.n_rows, -1)[rows].astype(np.float64)
        then = _next(raw, rows)
        if _told_by_action(raw, rows, positive):
            continue
        said = _interval(own, then, positive, raw.feature_names()) or _table(raw, rows, own, then, positive)
        if not said:
            continue
        first = int(rows[positive][0])
        yield Finding(
            check="cost-timing",
            severity="warning",
            where=raw.name(f"costs[{name}]"),
            what=f"The cost {name!r} is a function of the observation of its own row, made before the action: {said}. "
            "The observation after the action does not tell it.",
            why="The action of a row would be blamed for what the action before it caused.",
            do='Say cost_at="arrival", which books the cost on the action before.',
            rows=int(np.count_nonzero(cost > 0)),
            first_row=raw.row(first),
            first_episode=view.episode_of(first),
            measured={"positive_rows": float(positive.sum()), "separation_threshold": PURE},
        )


def _rows(view: View, cost: Array) -> Array | None:
    """Return rows with the cost and as many without, in order; None where there are too few."""
    known = np.isfinite(cost)
    positive, other = np.flatnonzero(known & (cost > 0)), np.flatnonzero(known & (cost == 0))
    episodes = np.unique(np.searchsorted(view.raw.starts, positive, side="right"))
    if min(len(positive), len(other)) < LEAST_ROWS or len(episodes) < LEAST_EPISODES:
        return None
    rng = np.random.default_rng(view.seed)
    chosen = [rng.permutation(rows)[:_ROWS] if len(rows) > _ROWS else rows for rows in (positive, other)]
    return np.asarray(np.sort(np.concatenate(chosen)))


def _next(raw: RawLog, rows: Array) -> Array:
    """Return the observation after each row, NaN where there is none."""
    after = np.minimum(rows + 1, raw.n_rows - 1)
    seen = raw.observations[after].reshape(len(rows), -1).astype(np.float64)
    episode = np.searchsorted(raw.starts, rows, side="right") - 1
    ends = rows == raw.starts[episode + 1] - 1
    seen[ends] = np.nan
    if raw.final_observations is not None:
        final = raw.final_observations[episode[ends]].reshape(int(ends.sum()), -1).astype(np.float64)
        seen[ends] = np.where(final < 0, np.nan, final) if raw.observations.ndim == 1 else final
    return np.asarray(seen)


def _told_by_action(raw: RawLog, rows: Array, positive: Array) -> bool:
    """Return whether the action alone says which rows have the cost, so that its timing is right as it is."""
    if not raw.is_discrete:
        return any(_separates(column, positive) for column in raw.actions[rows].T)
    return _purity(np.unique(raw.actions[rows], return_inverse=True)[1].reshape(-1), positive) >= PURE


def _interval(own: Array, then: Array, positive: Array, names: tuple[str, ...]) -> str:
    """Return which number tells the rows apart, or an empty string where none does or the next one does too."""
    for column in range(own.shape[1]):
        if _separates(own[:, column], positive) and not _separates(then[:, column], positive):
            with_cost = own[positive, column]
            return (
                f"{names[column]} is {np.nanmin(with_cost):.6g} to {np.nanmax(with_cost):.6g} in the rows with it, and "
                f"tells them from the others in at least {percent(PURE)}"
            )
    return ""


def _separates(values: Array, positive: Array) -> bool:
    """Return whether an interval holds 99.9 % of one kind of rows and at most 0.1 % of the other."""
    known = np.isfinite(values)
    one, other = values[known & positive], values[known & ~positive]
    if min(len(one), len(other)) < LEAST_ROWS:
        return False
    for inside, outside in ((one, other), (other, one)):
        margin = (1.0 - PURE) / 2.0
        low, high = np.quantile(inside, [margin, 1.0 - margin], method="nearest")
        if np.mean((outside >= low) & (outside <= high)) <= 1.0 - PURE:
            return True
    return False


def _table(raw: RawLog, rows: Array, own: Array, then: Array, positive: Array) -> str:
    """Return how repeated observations tell the rows apart; an empty string where they do not, or the next do too."""
    state = codes(own)
    count = np.bincount(state)
    repeated = count[state] >= _SEEN
    if repeated[positive].mean() < 0.9 or repeated.mean() < 0.9:
        return ""
    if raw.is_discrete:
        # Where one action only is ever taken, a cost of the action looks like one of the observation.
        actions = np.unique(np.column_stack([state, raw.actions[rows]]), axis=0)
        several_actions = np.bincount(actions[:, 0], minlength=len(count)) >= 2
        repeated &= several_actions[state]
    if repeated[positive].sum() < LEAST_ROWS or _purity(state[repeated], positive[repeated]) < PURE:
        return ""
    known = np.isfinite(then).all(axis=1)
    after = codes(then)
    seen = known & (np.bincount(after)[after] >= _SEEN)
    if seen[positive].sum() >= LEAST_ROWS and _purity(after[seen], positive[seen]) >= PURE:
        return ""
    with_cost = several(len(np.unique(state[repeated & positive])), "observation")
    return f"in the rows of {with_cost} it is always there, and in those of the others that are repeated it never is"


def _purity(code: Array, positive: Array) -> float:
    """Return the least share of either kind of rows that the code's more frequent kind gets right."""
    with_cost, total = np.bincount(code, weights=positive), np.bincount(code)
    said = (with_cost * 2 > total)[code]
    return (
        float(min(np.mean(said[positive]), np.mean(~said[~positive]))) if positive.any() and not positive.all() else 0.0
    )


def _needs(view: View) -> str:
    if not view.raw.costs:
        return "the log has no costs"
    if view.raw.n_episodes < LEAST_EPISODES or view.raw.n_rows < 2 * LEAST_ROWS:
        return f"it needs {LEAST_EPISODES} episodes and {2 * LEAST_ROWS} rows"
    return ""


CHECKS = (Check("cost-timing", "costs read off the observation of their own row", cost_timing, 0.001, _needs),)
