"""Transitions: rows of a log joined to what came next, with the rules for episode ends in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from groundschool.data.validation import Array, are_known

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset


class Transitions(NamedTuple):
    """M usable transitions, one per kept row.

    A learner bootstraps on ``next_observations`` unless ``terminated``. The last row of a truncated episode whose
    final observation (or, where actions are masked, final mask) is unknown has no target: it is left out and counted
    in ``dropped``. What follows a terminated row is a placeholder that keeps arithmetic finite: the final observation
    where the log has one, else the row's own; likewise the mask.
    """

    observations: Array
    actions: Array
    rewards: Array
    costs: Mapping[str, Array]
    next_observations: Array
    terminated: Array
    action_masks: Array | None
    next_action_masks: Array | None
    propensities: Array | None
    rows: Array
    dropped: int


def transitions(log: Dataset) -> Transitions:
    """Return the transitions of `log` in row order; ``rows`` (M,) are their positions in it."""
    last = log.starts[1:] - 1
    following = _shifted(log.observations, last, _placeable(log, last))
    next_masks = None
    if log.action_masks is not None:
        finals = log.final_action_masks
        if finals is not None:
            # A terminal state may allow nothing; a learner's masked maximum over nothing is -inf, and 0 * -inf is NaN.
            finals = np.where(finals.any(axis=1, keepdims=True), finals, log.action_masks[last])
        next_masks = _shifted(log.action_masks, last, finals)
    lost = last[~log.terminated[last] & ~known_finals(log)]
    if len(lost) == 0:
        return Transitions(
            log.observations,
            log.actions,
            log.rewards,
            dict(log.costs),
            following,
            log.terminated,
            log.action_masks,
            next_masks,
            log.propensities,
            np.arange(log.n_steps),
            0,
        )
    keep = np.ones(log.n_steps, np.bool_)
    keep[lost] = False
    rows = np.flatnonzero(keep)
    return Transitions(
        log.observations[rows],
        log.actions[rows],
        log.rewards[rows],
        {name: cost[rows] for name, cost in log.costs.items()},
        following[rows],
        log.terminated[rows],
        None if log.action_masks is None else log.action_masks[rows],
        None if next_masks is None else next_masks[rows],
        None if log.propensities is None else log.propensities[rows],
        rows,
        len(lost),
    )


def known_finals(log: Dataset) -> Array:
    """Return whether the log holds what followed each episode, (E,) bool: the observation, and what was allowed."""
    if log.final_observations is None or (log.action_masks is not None and log.final_action_masks is None):
        return np.zeros(log.n_episodes, np.bool_)
    known = are_known(log.final_observations)
    return known if log.final_action_masks is None else known & log.final_action_masks.any(axis=1)


def _placeable(log: Dataset, last: Array) -> Array | None:
    """Return final observations; of state ids, none of which means "unknown" to a table, the row's own for those."""
    finals = log.final_observations
    if finals is None or finals.dtype.kind == "f":
        return finals
    return np.where(finals < 0, log.observations[last], finals)


def _shifted(column: Array, last: Array, finals: Array | None) -> Array:
    """Return the next row's value of `column`, and at `last` rows the final one (the row's own without finals)."""
    following = np.empty_like(column)
    following[:-1] = column[1:]
    following[last] = column[last] if finals is None else finals
    return following
