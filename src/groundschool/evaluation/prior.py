"""What is expected of a pair of a state and an action before it was ever logged.

Between what the state does over all actions and what the action does over all states. A hazard belongs to a place, an
illegal move to an action: which of the two tells more is fitted, on pairs that were left out of their own forecast.
"""

from __future__ import annotations

import numpy as np

from groundschool.evaluation.problem import FloatArray


def prior(sums: FloatArray, rows: FloatArray) -> FloatArray:
    """Return what is expected of each pair, a mix of its state's mean and its action's mean.

    The mix is that share of the action's mean, from 0 to 1, with which the least squared error forecasts the mean of
    each logged pair from all others. A pair weighs n / (n + 1) with n rows, in the fit and in its action's mean, so
    that pairs taken on purpose do not drown those that are not.

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
    by_state = _ratio(sums.sum(axis=2), rows.sum(axis=2))[..., None]
    by_action = _ratio((weight * mean).sum(axis=1), weight.sum(axis=1))[:, None]
    others = rows.sum(axis=2)[..., None] - rows
    elsewhere = weight.sum(axis=1)[:, None] - weight
    state_without = _ratio(sums.sum(axis=2)[..., None] - sums, others)
    action_without = _ratio((weight * mean).sum(axis=1)[:, None] - weight * mean, elsewhere)
    told = np.where((others > 0) & (elsewhere > 0), weight, 0.0)
    between = action_without - state_without
    gained = (told * (mean - state_without) * between).sum(axis=(1, 2))
    share = np.clip(_ratio(gained, (told * np.square(between)).sum(axis=(1, 2))), 0.0, 1.0)[:, None, None]
    return np.where(rows.sum(axis=2)[..., None] > 0, (1.0 - share) * by_state + share * by_action, 0.0)


def _ratio(of: FloatArray, to: FloatArray) -> FloatArray:
    return np.divide(of, to, out=np.zeros(np.broadcast_shapes(of.shape, to.shape)), where=to > 1e-9)
