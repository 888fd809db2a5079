"""Rows out of order: episodes in pieces, steps that fall, repeat or leave gaps, next observations that are not next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes, at_rows
from groundschool.data.checks.scan import codes, rows_where
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

_NOT_A_SEQUENCE = (
    "Values are learned from what comes next: rows in the wrong order teach transitions that never happened."
)
_SAMPLED_STEPS = 1_000_000


def split_episodes(view: View) -> Iterator[Finding]:
    """An episode id that comes back after other episodes."""
    raw = view.raw
    if raw.episode_ids is None:
        return
    again = _again(view)
    if not len(again):
        return
    yield at_episodes(
        view,
        "split-episodes",
        "error",
        raw.name("episode_ids"),
        again,
        "under an id that an earlier one has",
        why=f"Either an episode is in pieces, or two share an id. {_NOT_A_SEQUENCE}",
        do="Put the rows of an episode together with sort=True (and step=...), or give each episode an id of its own.",
    )


def _again(view: View) -> Array:
    """Return the positions of the episodes whose id an earlier one has."""
    if view.raw.episode_ids is None or view.raw.n_episodes == 0:
        return np.zeros(0, np.int64)
    coded = codes(view.raw.episode_ids)
    order = np.argsort(coded, kind="stable")
    again: Array = np.sort(order[1:][coded[order[1:]] == coded[order[:-1]]])
    return again


def blank_steps(view: View) -> Iterator[Finding]:
    """Steps that are no numbers."""
    steps = view.raw.steps
    rows = rows_where(lambda values: ~np.isfinite(values), steps) if steps is not None else ()
    if len(rows):
        yield at_rows(
            view,
            "blank-steps",
            "error",
            view.raw.name("steps"),
            np.asarray(rows),
            "blank or infinite",
            unit="value",
            why="Without its step nobody can say where in the episode a row belongs.",
            do="Fill the steps in, or leave step= out where the rows are in order anyway.",
        )


def falling_steps(view: View) -> Iterator[Finding]:
    """Steps that go down within an episode."""
    raw = view.raw
    if raw.steps is None or raw.n_rows < 2:
        return
    falls = _within(view, lambda before, after: after < before)
    if not len(falls):
        return
    episodes = np.searchsorted(raw.starts, falls, side="right") - 1
    restarts = bool((raw.steps[falls] == raw.steps[raw.starts[episodes]]).all())
    do = "Put the rows in order with sort=True."
    if restarts:
        do = "The steps begin anew there: give each episode an id of its own, or put the rows in order with sort=True."
    yield at_rows(
        view,
        "step-order",
        "error",
        raw.name("steps"),
        falls,
        "at a lower step than the row before, in the same episode",
        why=_NOT_A_SEQUENCE,
        do=do,
    )


def duplicated_steps(view: View) -> Iterator[Finding]:
    """The same step twice in an episode, whether the two rows are neighbors or not."""
    raw = view.raw
    if raw.steps is None or raw.n_rows < 2:
        return
    suspects = _within(view, lambda before, after: after <= before)
    episodes = np.unique(np.searchsorted(raw.starts, suspects, side="right") - 1)
    again = _again(view)
    coded = np.arange(raw.n_episodes) if raw.episode_ids is None or not len(again) else codes(raw.episode_ids)
    if len(again):
        episodes = np.union1d(episodes, np.flatnonzero(np.isin(coded, coded[again])))
    if not len(episodes):
        return
    lengths = raw.lengths[episodes]
    offsets = np.cumsum(lengths) - lengths
    rows = np.arange(int(lengths.sum())) + np.repeat(raw.starts[:-1][episodes] - offsets, lengths)
    episode, step = np.repeat(coded[episodes], lengths), raw.steps[rows]
    order = np.lexsort((rows, step, episode))
    episode, step = episode[order], step[order]
    same = (episode[1:] == episode[:-1]) & (step[1:] == step[:-1])
    repeated = np.sort(rows[order[1:][same]])
    if not len(repeated):
        return
    equal = int(np.count_nonzero(view.row_hashes[rows[order[1:][same]]] == view.row_hashes[rows[order[:-1][same]]]))
    do = "Two different rows claim one step: look up which is right, or name the step they really have."
    if equal == len(repeated):
        do = "The rows hold the same: remove the copies."
    yield at_rows(
        view,
        "duplicated-steps",
        "error",
        raw.name("steps"),
        repeated,
        "at a step already taken in the same episode",
        why="A decision that is counted twice is learned twice, and every return and cost sum holds it twice.",
        do=do,
        measured={"equal": float(equal)},
    )


def gaps_in_steps(view: View) -> Iterator[Finding]:
    """Steps that rise by more than one and a half times what they usually rise by."""
    raw = view.raw
    unit = _unit(view)
    if raw.steps is None or unit is None:
        return
    gaps = _within(view, lambda before, after: _rise(before, after) > 1.5 * unit)
    if len(gaps):
        largest = float(_rise(raw.steps[gaps - 1], raw.steps[gaps]).max())
        yield at_rows(
            view,
            "step-gaps",
            "warning",
            raw.name("steps"),
            gaps,
            f"more than {unit:g} after the row before, up to {largest:g}",
            why="Rows are missing there: what happened in between, its rewards and its costs, is credited to nobody.",
            do="Restore the missing rows, cut the episode there, or leave it out.",
            measured={"unit": unit, "largest": largest},
        )


def _rise(before: Array, after: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        rise: Array = after - before
    return rise


def unit_of_steps(view: View) -> Iterator[Finding]:
    """Steps that do not rise by one."""
    unit = _unit(view)
    if unit not in (None, 1.0):
        yield Finding(
            check="step-unit",
            severity="note",
            where=view.raw.name("steps"),
            what=f"Steps usually rise by {unit:g} and not by 1.",
            why="A horizon counts rows, and a discount is applied once a row, whatever the step says.",
            do="Say horizon= in rows.",
            measured={"unit": unit},
        )


def _unit(view: View) -> float | None:
    """Return the usual rise of the step: the median of those above 0, of the first million rows."""
    raw = view.raw
    if raw.steps is None or raw.n_rows < 2:
        return None
    steps = raw.steps[:_SAMPLED_STEPS]
    rises = _rise(steps[:-1], steps[1:])
    ends = raw.starts[1:-1][raw.starts[1:-1] < len(rises) + 1] - 1
    rises[ends] = np.nan
    rises = rises[rises > 0]
    return float(np.quantile(rises, 0.5, method="lower")) if len(rises) else None


def first_steps(view: View) -> Iterator[Finding]:
    """Episodes whose first step is not the usual one."""
    raw = view.raw
    if raw.steps is None or raw.n_episodes < 2:
        return
    firsts = raw.steps[raw.starts[:-1]]
    values, counts = np.unique(firsts[np.isfinite(firsts)], return_counts=True)
    if len(values) < 2:
        return
    usual = float(values[np.argmax(counts)])
    yield at_episodes(
        view,
        "step-start",
        "note",
        raw.name("steps"),
        np.flatnonzero((firsts != usual) & np.isfinite(firsts)),
        f"begun at another step than {usual:g}, the usual one",
        why="An episode without its first rows starts where nobody started: its state is no initial one.",
        do="Restore the rows before, or leave those episodes out; if the step counts on through the log, all is well.",
        harms="evaluation",
        measured={"usual": usual},
    )


def next_observations(view: View) -> Iterator[Finding]:
    """Next observations that are not the observation of the next row of the episode."""
    raw = view.raw
    following = raw.next_observations
    if following is None or raw.n_rows < 2:
        return
    flat = following.reshape(len(following), int(np.prod(following.shape[1:])))
    columns, carried = _comparable(view)
    if len(columns) != flat.shape[1]:
        return
    own = None if len(columns) == view.flat.shape[1] else columns

    def bad(after: Array, seen: Array) -> Array:
        return _differ(after, seen if own is None else seen[:, own], carried)

    differing = rows_where(bad, flat[:-1], view.flat[1:])
    differing = differing[~np.isin(differing, view.last, assume_unique=True)]
    if not len(differing):
        return
    stuck = int(np.count_nonzero(~bad(flat[differing], view.flat[differing])))
    do = "An episode that ends there is not flagged, or the columns are shifted by a row: compare a few rows by eye."
    if stuck == len(differing):
        do = "They equal the observation of the same row: name the column that holds what was seen after the action."
    yield at_rows(
        view,
        "next-observations",
        "warning",
        raw.name("next_observations"),
        differing,
        "not followed by the observation that is named as the next one",
        why="One of the two is wrong, and whatever learns from the wrong one learns transitions that never happened.",
        do=do,
        measured={"same_as_own_row": float(stuck)},
    )


def _comparable(view: View) -> tuple[Array, Array]:
    """Return the columns of observations that next ones have too, and which of these were filled forward."""
    features = view.raw.features
    if features is None:
        width = view.flat.shape[1]
        return np.arange(width), np.zeros(width, np.bool_)
    columns = np.array([j for j, feature in enumerate(features) if feature.indicator_of is None], np.int64)
    return columns, np.array([features[j].forward_fill for j in columns], np.bool_)


def _differ(after: Array, seen: Array, carried: Array) -> Array:
    """Return the rows at which observations (n, d) differ by more than rounding; a blank equals a blank, (n,) bool."""
    differ: Array = (after != seen).any(axis=1)
    if after.dtype.kind == "f":
        rows = np.flatnonzero(differ)
        one, other = after[rows], seen[rows]
        with np.errstate(invalid="ignore", over="ignore"):
            apart = (one != other) & ~(np.abs(one - other) <= 1e-5 * (np.abs(one) + np.abs(other)))
        differ[rows] = (apart & ~(np.isnan(one) & (np.isnan(other) | carried))).any(axis=1)
    return differ


def _within(view: View, bad: Callable[[Array, Array], Array]) -> Array:
    """Return the rows, not the first of an episode, at which `bad` of the step before and their own holds."""
    steps = view.raw.steps
    assert steps is not None
    rows = rows_where(bad, steps[:-1], steps[1:]) + 1
    return rows[~np.isin(rows, view.raw.starts[:-1], assume_unique=True)]


CHECKS: tuple[Check, ...] = (
    Check("split-episodes", "episodes in pieces, or ids used twice", split_episodes),
    Check("blank-steps", "steps that are no numbers", blank_steps),
    Check("step-order", "steps that go down within an episode", falling_steps),
    Check("duplicated-steps", "a step that an episode has twice", duplicated_steps),
    Check("step-gaps", "gaps between steps", gaps_in_steps),
    Check("step-unit", "steps that do not rise by one", unit_of_steps),
    Check("step-start", "episodes that begin at another step than the others", first_steps),
    Check("next-observations", "next observations that the next row does not bear out", next_observations),
)
