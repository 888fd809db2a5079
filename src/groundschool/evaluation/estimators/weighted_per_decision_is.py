"""Weighted per-decision importance sampling."""

from __future__ import annotations

import math

import numpy as np

from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._weighted import answer
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.weights import episode_log_weights, step_log_weights

NAME = "pdwis"

_STEEPEST = 600.0  # fall of the total weight, as a log, that is told apart


def estimate(problem: Problem, *, clip: float | None = None) -> Estimation:
    """Average each step's signal by that step's running weights, which are made to add up to 1 (Precup et al. 2000).

    All episodes are in the normalization of every step: one that has ended keeps its last weight, as if it went on in
    an end state with signal 0. Running weights then average 1 at every step, and the step's mean is that of all
    episodes. (Normalizing by the episodes still running would estimate the signal among those, which is another
    number.) Influence values are those of a sum of ratios of means, by the delta method.

    Parameters
    ----------
    problem : Problem
    clip : float, optional
        The largest weight that counts at any step; see `weights.step_log_weights`.

    Returns
    -------
    Estimation
        The value is NaN, and nothing is bounded, where from some step on every weight is zero.
    """
    logs = step_log_weights(problem, clip)
    whole = episode_log_weights(problem)
    step, steps = problem.step, int(problem.lengths.max())
    total = log_totals(problem, logs)  # (T,)
    if total.min() == -np.inf:
        first = int(np.argmax(total == -np.inf))
        reason = (
            f"From step {first + 1} on all weights are zero: nothing logged shows what the target would meet there."
        )
        return answer(problem, math.nan, np.zeros(problem.n_episodes), whole, clip=clip, reasons=(reason,))
    shares = np.exp(logs - total[step])
    means = np.bincount(step, weights=shares * problem.signal, minlength=steps)
    discounts = problem.discount ** np.arange(steps, dtype=np.float64)
    value = float(discounts @ means)
    pull = problem.episode_sums(problem.discounts * shares * (problem.signal - means[step]))
    values = value + problem.n_episodes * (pull - _after_the_end(problem, logs, total, discounts * means))
    return answer(problem, value, values, whole, clip=clip)


def log_totals(problem: Problem, logs: FloatArray) -> FloatArray:
    """Return the log of the sum of running weights over all episodes at each step, ended ones with their last, (T,)."""
    steps = int(problem.lengths.max())
    running = _log_sums(problem.step, logs, steps)
    ended = _log_sums(problem.lengths, logs[problem.last], steps + 1)[:steps]
    return np.asarray(np.logaddexp(running, np.logaddexp.accumulate(ended)))


def _log_sums(index: IntArray, logs: FloatArray, size: int) -> FloatArray:
    """Sum weights by index, from logs to logs: (size,), -inf where there is none."""
    top = np.full(size, -np.inf)
    np.maximum.at(top, index, logs)
    top = np.where(top == -np.inf, 0.0, top)
    sums = np.bincount(index, weights=np.exp(logs - top[index]), minlength=size)
    found = np.full(size, -np.inf)
    found[sums > 0.0] = np.log(sums[sums > 0.0]) + top[sums > 0.0]
    return found


def _after_the_end(problem: Problem, logs: FloatArray, total: FloatArray, means: FloatArray) -> FloatArray:
    """Sum, over the steps after an episode's end, its share of the weight times the step's mean, (E,)."""
    top = float(total.max())
    later = np.concatenate([np.cumsum((means * np.exp(np.minimum(top - total, _STEEPEST)))[::-1])[::-1], [0.0]])
    return np.asarray(np.exp(logs[problem.last] - top) * later[problem.lengths])
