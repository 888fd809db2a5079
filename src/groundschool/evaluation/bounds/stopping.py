"""Trajectory weights that are stopped before they can pass a threshold."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.problem import BoolArray, FloatArray, Problem
from groundschool.evaluation.weights import linear, step_log_weights

_CONTRADICTION = 1e-6
_ROUNDING = 1e-9


def largest_ratios(problem: Problem, ratio_cap: float | None = None) -> FloatArray | None:
    """Return how large the ratio at each row could have been, whatever action had been taken, (N,).

    Parameters
    ----------
    problem : Problem
    ratio_cap : float, optional
        No ratio of target to behavior probability is larger: declared, where the log does not show it.

    Returns
    -------
    (N,) float64 or None
        From all probabilities of the behavior policy where these are known (inf where the target does what it never
        does), or where at most two actions are allowed; else the declared cap; else None.

    Raises
    ------
    InputError
        If a ratio in the log is above `ratio_cap`.
    """
    behavior = problem.behavior if problem.behavior is not None else _of_two(problem)
    if behavior is not None:
        ratios = np.full(problem.target.shape, np.inf)
        np.divide(problem.target, behavior, out=ratios, where=behavior > 0.0)
        largest = np.where(problem.target > 0.0, ratios, 0.0).max(axis=1)
        # Else the probabilities are not those that the actions were drawn with.
        if bool((problem.ratios <= largest * (1.0 + _CONTRADICTION)).all()):
            return np.asarray(largest)
    if ratio_cap is None:
        return None
    if isinstance(ratio_cap, bool) or not isinstance(ratio_cap, int | float) or not 1.0 <= ratio_cap < math.inf:
        raise InputError(f"ratio_cap is {ratio_cap!r}, expected a number of at least 1: the largest single ratio.")
    worst = int(problem.ratios.argmax())
    if problem.ratios[worst] > ratio_cap * (1.0 + _CONTRADICTION):
        raise InputError(
            f"ratio_cap is {ratio_cap:g}, but row {int(problem.rows[worst])} of the log has a ratio of "
            f"{problem.ratios[worst]:.4g} (target over behavior probability). Declare a cap that holds everywhere."
        )
    return np.full(problem.n_rows, float(ratio_cap))


class Stopping:
    """Episodes that end, with the weight they have, before an action that could take it above a threshold.

    Parameters
    ----------
    problem : Problem
    largest : (N,) float64
        The largest ratio possible at each row, known before its action.
    ratios : (N,) float64, optional
        Others than the problem's own, of mean 1.

    Notes
    -----
    Whether an episode is stopped at a row depends on its past alone, so that stopped weights have mean 1 and lie in
    [0, threshold], and the weighted mean is what the target does in a process that is stopped the same way.
    """

    def __init__(self, problem: Problem, largest: FloatArray, ratios: FloatArray | None = None) -> None:
        self._problem = problem
        self._running = step_log_weights(problem, ratios=ratios)
        before = np.zeros(problem.n_rows)
        before[1:] = self._running[:-1]
        before[problem.starts[:-1]] = 0.0
        self._before = before
        with np.errstate(divide="ignore"):
            reach = np.log(largest)
        self._reach = np.where(before == -np.inf, -np.inf, before + reach)

    @cached_property
    def weights(self) -> FloatArray:
        """Weights of whole episodes, (E,)."""
        return linear(self._running[self._problem.last])

    def at(self, threshold: float) -> tuple[FloatArray, BoolArray]:
        """Return the weight of each episode where it is stopped, else of all of it, and whether it is; (E,) each."""
        stops = np.flatnonzero(self._reach > math.log(threshold) + _ROUNDING)
        episode = self._problem.episode[stops]
        stopped = np.zeros(self._problem.n_episodes, np.bool_)
        stopped[episode] = True
        weights = self.weights.copy()
        weights[episode[::-1]] = np.exp(self._before[stops[::-1]])  # the first stop of an episode is written last
        return weights, stopped


def coarse_stopping(problem: Problem) -> Stopping | None:
    """Return the weights that the policy's coarse ratios make, where it has any."""
    return None if problem.coarse is None else Stopping(problem, problem.coarse[1], problem.coarse[0])


def _of_two(problem: Problem) -> FloatArray | None:
    """Complete the behavior policy's probabilities where no row allows more than two actions."""
    allowed = np.ones(problem.target.shape, np.bool_) if problem.masks is None else problem.masks
    if int(allowed.sum(axis=1).max()) > 2:
        return None
    rows = np.arange(problem.n_rows)
    table = np.where(allowed, 1.0 - problem.propensities[:, None], 0.0)
    table[rows, problem.actions] = problem.propensities
    return np.asarray(np.maximum(table, 0.0))
