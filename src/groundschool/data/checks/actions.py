"""Actions that are none, that nobody declared or that were not allowed, and probabilities that are none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes, at_rows
from groundschool.data.checks.scan import rows_where
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

_NO_DECISION = "A row without its action teaches nothing, and no estimator can weigh it."
_MEANING = "A propensity is the behavior policy's probability of the action it logged"


def blank_actions(view: View) -> Iterator[Finding]:
    """Blank actions: -1 among discrete ones, NaN among continuous ones."""
    actions = view.raw.actions
    rows = rows_where((lambda a: a == -1) if view.raw.is_discrete else np.isnan, actions)
    if len(rows):
        yield at_rows(
            view,
            "blank-actions",
            "error",
            view.raw.name("actions"),
            rows,
            "blank",
            unit="action",
            why=_NO_DECISION,
            do="Say which action it was (doing nothing is an action too), or leave those episodes out.",
        )


def infinite_actions(view: View) -> Iterator[Finding]:
    """Infinite continuous actions."""
    rows = () if view.raw.is_discrete else rows_where(np.isinf, view.raw.actions)
    if len(rows):
        yield at_rows(
            view,
            "infinite-actions",
            "error",
            view.raw.name("actions"),
            np.asarray(rows),
            "infinite",
            unit="action",
            why="Nobody acted like that, and whatever learns from it becomes infinite too.",
            do="Continuous actions must be finite: correct those rows, or leave their episodes out.",
        )


def action_count(view: View) -> Iterator[Finding]:
    """Declared numbers of actions that contradict each other, or the kind of action."""
    raw = view.raw
    said = _counts(raw)
    if raw.is_discrete and len(set(said.values())) <= 1:
        return
    if not raw.is_discrete and not said:
        return
    told = ", ".join(f"{name}: {count}" for name, count in said.items())
    yield Finding(
        check="action-count",
        severity="error",
        where=raw.name("actions"),
        what=(
            f"The number of actions is said in different ways ({told})."
            if raw.is_discrete
            else f"Actions are floats of {raw.actions.shape[1]} numbers, and yet they are counted ({told})."
        ),
        why="Who acts must know what there is to choose from.",
        do=(
            "Give n_actions=, action_labels= and the columns of action_mask= the same number."
            if raw.is_discrete
            else 'Only discrete actions are counted, named and masked: leave those out, or say action_kind="discrete".'
        ),
    )


def _counts(raw: RawLog) -> dict[str, int]:
    """Return how many actions there are, by where that is said."""
    said = {}
    if raw.n_actions is not None:
        said["n_actions"] = raw.n_actions
    if raw.action_labels is not None:
        said["action_labels"] = len(raw.action_labels)
    if raw.action_masks is not None:
        said["action_mask"] = raw.action_masks.shape[1]
    if raw.final_action_masks is not None:
        said["final masks"] = raw.final_action_masks.shape[1]
    return said


def declared_actions(raw: RawLog) -> int | None:
    """Return the declared number of discrete actions, the smallest where it is said more than once."""
    said = _counts(raw) if raw.is_discrete else {}
    return min(said.values()) if said else None


def actions_out_of_range(view: View) -> Iterator[Finding]:
    """Discrete actions below 0 (blanks aside), or not among the declared ones."""
    raw = view.raw
    if not raw.is_discrete or raw.n_rows == 0:
        return
    count = declared_actions(raw)
    top = np.iinfo(np.int64).max if count is None else count - 1
    rows = rows_where(lambda a: (a < -1) | (a > top), raw.actions)
    if not len(rows):
        return
    found = raw.actions[rows]
    yield at_rows(
        view,
        "action-range",
        "error",
        raw.name("actions"),
        rows,
        f"outside 0..{'' if count is None else top} (from {found.min()} to {found.max()})",
        unit="action",
        why="An action that is not among the actions can be neither learned nor weighed.",
        do="Actions count from 0: raise n_actions= (or add to action_labels=), or correct those rows.",
    )


def forbidden_actions(view: View) -> Iterator[Finding]:
    """Logged actions that the mask of their own row forbids."""
    raw = view.raw
    masks = raw.action_masks
    if masks is None or not raw.is_discrete or raw.n_rows == 0:
        return
    width = masks.shape[1]

    def forbidden(allowed: Array, actions: Array) -> Array:
        inside = (actions >= 0) & (actions < width)  # others are reported as such
        own = np.take_along_axis(allowed, np.where(inside, actions, 0)[:, None], axis=1)[:, 0]
        refused: Array = inside & ~own & allowed.any(axis=1)
        return refused

    rows = rows_where(forbidden, masks, raw.actions)
    if len(rows):
        yield at_rows(
            view,
            "forbidden-action",
            "error",
            raw.name("action_masks"),
            rows,
            "forbidding the logged action",
            unit="mask",
            why="What was done was allowed: masks that say otherwise belong to other rows or to another numbering.",
            do="Check that masks and actions use the same order, and that masks are of before the action.",
        )


def empty_masks(view: View) -> Iterator[Finding]:
    """Masks that allow nothing where somebody must act."""
    raw = view.raw
    why = "Where nothing is allowed there is nothing to choose, and a maximum over nothing is minus infinity."
    do = "Allow at least one action, or leave out rows in which nobody decides."
    if raw.action_masks is not None and raw.n_rows:
        rows = rows_where(lambda allowed: ~allowed.any(axis=1), raw.action_masks)
        if len(rows):
            where = raw.name("action_masks")
            yield at_rows(
                view, "empty-mask", "error", where, rows, "without any allowed action", unit="mask", why=why, do=do
            )
    if raw.final_action_masks is None:
        return
    if raw.action_masks is None:
        what, do = "Final masks are given without masks.", "Pass action_masks and final_action_masks, or neither."
        yield Finding("empty-mask", "error", raw.name("final_action_masks"), what, why, do)
        return
    empty = np.flatnonzero(~raw.final_action_masks.any(axis=1) & ~raw.terminated[view.last])
    if len(empty):
        yield at_episodes(
            view,
            "empty-mask",
            "error",
            raw.name("final_action_masks"),
            empty,
            "cut off in a state that allows no action",
            at_last=True,
            why=why,
            do=do,
        )


def blank_propensities(view: View) -> Iterator[Finding]:
    """Propensities that are NaN."""
    propensities = view.raw.propensities
    rows = rows_where(np.isnan, propensities) if propensities is not None else ()
    if len(rows):
        yield at_rows(
            view,
            "blank-propensities",
            "error",
            view.raw.name("propensities"),
            np.asarray(rows),
            "blank",
            unit="value",
            harms="evaluation",
            why="One unknown probability makes the weight of its whole episode unknown.",
            do=f"{_MEANING}: leave those episodes out, or leave propensity= out and have it estimated.",
        )


def propensities_out_of_range(view: View) -> Iterator[Finding]:
    """Probabilities outside (0, 1]; densities that are not above 0 or infinite."""
    raw = view.raw
    if raw.propensities is None:
        return
    top = 1.0 if raw.is_discrete else np.finfo(np.float64).max
    rows = rows_where(lambda p: (p <= 0) | (p > top), raw.propensities)
    if not len(rows):
        return
    found = raw.propensities[rows]
    do = f"{_MEANING}: correct the column."
    if raw.is_discrete and found.max() <= 0 and len(rows) >= 0.9 * raw.n_rows:
        do = f'{_MEANING}: if the column holds logarithms, say propensity_is="log_probability".'
    elif raw.is_discrete and found.min() >= 0 and found.max() <= 1:
        do = f'{_MEANING}: if the column is the probability of action 1, say propensity_is="probability_of_1".'
    elif raw.is_discrete and found.min() > 1 and found.max() <= 100:
        do = f"{_MEANING}: if the column is in percent, divide it by 100."
    yield at_rows(
        view,
        "propensity-range",
        "error",
        raw.name("propensities"),
        rows,
        f"{'outside (0, 1]' if raw.is_discrete else 'not above 0'} (from {found.min():g} to {found.max():g})",
        unit="value",
        harms="evaluation",
        why="What was done had a probability above 0, and dividing by any other number weighs episodes wrongly.",
        do=do,
    )


CHECKS: tuple[Check, ...] = (
    Check("blank-actions", "rows without an action", blank_actions),
    Check("infinite-actions", "infinite actions", infinite_actions),
    Check("action-count", "contradictions in how many actions there are", action_count),
    Check("action-range", "actions that are not among the declared ones", actions_out_of_range),
    Check("forbidden-action", "logged actions that their mask forbids", forbidden_actions),
    Check("empty-mask", "masks that allow nothing", empty_masks),
    Check("blank-propensities", "rows without a propensity", blank_propensities),
    Check("propensity-range", "propensities that are no probabilities", propensities_out_of_range),
)
