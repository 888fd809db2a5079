"""Bounds from influence values, with room for events that nobody has met yet."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from groundschool.evaluation.bounds.influence import influence_bounds, standard_error
from groundschool.evaluation.estimate import Bounds
from groundschool.evaluation.problem import FloatArray, Problem


def certified_bounds(
    problem: Problem, values: FloatArray, ratios: FloatArray, inflation: float, room: tuple[float, float] = (0.0, 0.0)
) -> Bounds:
    """Return bounds on the mean of influence values.

    A rare event that a ratio of 30 would count thirty times, and that the log happens not to hold, leaves no trace in
    the variance of the values. An upper bound on a cost is therefore at least a gamma quantile with room for one more
    event (Fay & Feuer 1997, Statistics in Medicine 16:791), of the ratio w that the target meets on average: mean
    ``value + w * size / n`` and variance ``error ** 2 + (w * size / n) ** 2``. With no event in n episodes that is the
    rule of three, for the n / w episodes that the log is worth.

    Parameters
    ----------
    problem : Problem
    values : (E,) float64
    ratios : (N,) float64
        What an event in each row would count.
    inflation : float
        Added to the standard error.
    room : (float, float)
        How far the bounds move besides, down and up: see `room_for_the_worst`.
    """
    mean = float(np.mean(values))
    error = standard_error(values, problem.units) + inflation
    size = _size_of_event(problem)

    def bounds(tail: float) -> tuple[float, float]:
        lower, upper = influence_bounds(
            values, problem.units, tail, inflation=inflation, low=problem.low, high=problem.high
        )
        if problem.question.kind != "return":
            upper = max(upper, _with_room(mean, error, size, ratios, problem.n_units, tail))
        return max(lower - room[0], problem.low), min(upper + room[1], problem.high)

    return bounds


def room_for_the_worst(problem: Problem, mean: float, left: float) -> tuple[float, float]:
    """Return how far bounds move, down and up, for a share of episodes of which the log does not know what comes."""
    if left <= 0.0:
        return 0.0, 0.0  # not 0 * inf, where a side has no end
    worst, best = worst_and_best(problem)
    return left * max(mean - worst, 0.0), left * max(best - mean, 0.0)


def worst_and_best(problem: Problem) -> tuple[float, float]:
    """Return the least and the largest that an episode can come to, as far as what was logged goes.

    The worst is every step up to the horizon as bad as the worst step that did not end an episode, and then the worst
    end: who is stuck, and pays for it at every step, is in no logged return. Within the range of the question.
    """
    if problem.question.kind == "probability":
        return problem.low, problem.high
    steps = float(np.sum(problem.discount ** np.arange(problem.horizon)))
    ends, goes = problem.signal[problem.ended], problem.signal[~problem.ended]

    def sum_of(pick: Callable[[FloatArray], float], sign: float) -> float:
        stuck, end = (float(pick(each)) if len(each) else 0.0 for each in (goes, ends))
        return (steps if sign * stuck > 0.0 else 1.0) * stuck + end

    return max(sum_of(np.min, -1.0), problem.low), min(sum_of(np.max, 1.0), problem.high)


def _with_room(mean: float, error: float, size: float, ratios: FloatArray, n: int, tail: float) -> float:
    if not math.isfinite(size) or not math.isfinite(error):
        return math.inf
    total = float(ratios.sum())
    met = max(float(np.square(ratios).sum()) / total, 1.0) if total > 0 else 1.0
    one_more = met * size / n
    center = max(mean, 0.0) + one_more
    variance = error**2 + one_more**2
    return float(stats.gamma.isf(tail, center**2 / variance, scale=variance / center))


def _size_of_event(problem: Problem) -> float:
    """Return what one event adds: 1 for a probability, the mean of the costs that were met otherwise."""
    if problem.question.kind == "probability":
        return 1.0
    met = problem.signal[problem.signal > 0]
    return float(met.mean()) if len(met) else math.inf
