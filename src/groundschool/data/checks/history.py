"""How much the history predicts beyond the observation: of what comes next, or of the action."""

from __future__ import annotations

import numpy as np

from groundschool.data.checks._gain import ALPHA, HistoryGain, Rows, Target
from groundschool.data.checks._gain_regression import by_regression
from groundschool.data.checks._gain_table import by_table
from groundschool.data.validation import Array

_HUGE = 1e100

__all__ = ["ALPHA", "HistoryGain", "history_gain"]


def history_gain(
    observations: Array,
    actions: Array,
    episode: Array,
    *,
    target: Target = "observation",
    next_observations: Array | None = None,
    outcome: Array | None = None,
    step: Array | None = None,
    follows: Array | None = None,
    unit: Array | None = None,
    seed: int = 0,
) -> HistoryGain | None:
    """Return how much the step before, or the time in the episode, adds to the prediction of the target.

    Where observations and actions repeat, P(target | observation, action) is counted, and compared in held-out
    log-likelihood with P(target | observation, action, history). Elsewhere the change of the observation (or the
    action) is regressed on a flexible basis of the observation and the action, and of the step before besides. Both are
    cross-fitted by unit.

    Parameters
    ----------
    observations : (n, d) float, or (n,) int state ids
        Rows of whole episodes, or of stretches of them, in order.
    actions : (n,) int from 0, or (n, k) float
    episode : (n,) int
        Equal in the rows of an episode.
    target : "observation" or "action"
        The action is predicted from the observation alone, so without the action.
    next_observations : like `observations`, optional
        NaN (ids: -1) where unknown; by default those of the row after.
    outcome : (n,) int from 0, optional
        What else a step leads to, such as an end; predicted with the next observation, in tables.
    step : (n,) int, optional
        Position of each row in its episode; counted from the first row here by default.
    follows : (n,) bool, optional
        Whether the row before is the step before; by default, whether it has the same episode.
    unit : (n,) int from 0, optional
        What is independent; the episodes by default.
    seed : int

    Returns
    -------
    HistoryGain or None
        None where there are too few rows, or ids that hardly repeat.
    """
    unit = np.unique(episode, return_inverse=True)[1].reshape(-1) if unit is None else unit
    same = np.r_[False, episode[1:] == episode[:-1]]
    follows = same if follows is None else follows & same
    if next_observations is None:
        next_observations = np.roll(observations, -1, axis=0).astype(np.float64)
        next_observations[~np.r_[follows[1:], False]] = np.nan
    seen, then = _flat(observations), _flat(next_observations)
    if observations.ndim == 1:
        then = np.where(then < 0, np.nan, then)
    if step is None:
        position = np.arange(len(episode))
        step = position - np.maximum.accumulate(np.where(same, 0, position))
    discrete = actions.ndim == 1
    known: Array = np.asarray(actions >= 0 if discrete else np.isfinite(actions).all(axis=1))
    usable = follows & known & np.r_[False, known[:-1]]
    rows = Rows(seen, then, actions, np.zeros(len(unit), np.int64) if outcome is None else outcome, step, unit, target)
    if discrete:
        found = by_table(rows, np.flatnonzero(usable), observations.ndim == 1, seed)
        if found is not None or observations.ndim == 1:
            return found
    return by_regression(rows, np.flatnonzero(usable), seed)


def _flat(values: Array) -> Array:
    """Return values as (n, d) float64, NaN where they are infinite, or too large to square."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    return np.where(np.abs(flat) < _HUGE, flat, np.nan)
