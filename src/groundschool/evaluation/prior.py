"""What is expected of a pair of a state and an action before it was ever logged.

Between what the state does over all actions and what the action does over all states. A hazard belongs to a place, an
illegal move to an action: which of the two tells more is fitted, on pairs that were left out of their own forecast.
"""

from __future__ import annotations

import numpy as np

from groundschool.evaluation.problem import FloatArray

ROWS_OF_ITS_ACTION = (0.0, 1.0, 4.0, 16.0, 64.0, np.inf)


def prior(sums: FloatArray, rows: FloatArray) -> FloatArray:
    """Return what is expected of each pair: its state's mean, with its action's as some rows more.

    A state that was logged often speaks for itself. How many rows its action's mean counts for, out of
    `ROWS_OF_ITS_ACTION`, is what forecasts the mean of each logged pair from all others with the least absolute error:
    none where actions are alike, all where states are. A pair weighs n / (n + 1) with n rows, in that error and in its
    action's mean, so that pairs taken on purpose do not drown those that are not.

    Parameters
    ----------
    sums, rows : (K, S, A) float64
        Of some quantity, over the rows of each pair, and their number, in each of K parts of a log.

    Returns
    -------
    (K, S, A) float64
        0 in states without any row.
    """
    mean = _ratio(sums, rows)
    weight = rows / (rows + 1.0)
    of_action = (weight * mean).sum(axis=1)[:, None]
    weight_of_action = weight.sum(axis=1)[:, None]
    in_state, in_state_sum = rows.sum(axis=2)[..., None], sums.sum(axis=2)[..., None]
    others, elsewhere = in_state - rows, weight_of_action - weight
    action_without = _ratio(of_action - weight * mean, elsewhere)
    told = np.where((others > 0.0) & (elsewhere > 1e-9), weight, 0.0)
    errors = [
        (told * np.abs(mean - _mixed(in_state_sum - sums, others, action_without, more))).sum(axis=(1, 2))
        for more in ROWS_OF_ITS_ACTION
    ]
    more = np.take(ROWS_OF_ITS_ACTION, np.argmin(errors, axis=0))[:, None, None]
    return np.where(in_state > 0.0, _mixed(in_state_sum, in_state, _ratio(of_action, weight_of_action), more), 0.0)


def by_state(sums: FloatArray, rows: FloatArray) -> FloatArray:
    """Return what is expected of each pair where actions are taken to be alike: its state's mean; else as `prior`."""
    mean = _ratio(sums.sum(axis=2), rows.sum(axis=2))[..., None]
    return np.broadcast_to(mean, sums.shape)


def _mixed(sums: FloatArray, rows: FloatArray, action_mean: FloatArray, more: FloatArray | float) -> FloatArray:
    """Return the mean of a state's rows and `more` rows of its action's mean; infinitely many leave only these."""
    finite = np.where(np.isinf(more), 1.0, more)
    mixed = _ratio(sums + finite * action_mean, rows + finite)
    return np.where(np.isinf(more), action_mean, mixed)


def _ratio(of: FloatArray, to: FloatArray) -> FloatArray:
    return np.divide(of, to, out=np.zeros(np.broadcast_shapes(of.shape, to.shape)), where=to > 1e-9)
