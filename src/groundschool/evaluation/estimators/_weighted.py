"""What estimators that weight whole logged episodes share: how their values become an answer with bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from groundschool.evaluation.bounds.influence import influence_bounds, standard_error
from groundschool.evaluation.bounds.units import is_constant
from groundschool.evaluation.estimate import Bounds, Estimation
from groundschool.evaluation.problem import FloatArray, Problem
from groundschool.evaluation.weights import LARGEST, clipping, effective_sample_size, effective_units

_REMOVED = 0.01  # share of the weight that clipping may take before it is a reason
_FAR = 0.025  # tail at which bounds beside the possible range are a reason


def answer(
    problem: Problem,
    value: float,
    values: FloatArray,
    log_weights: FloatArray,
    *,
    clip: float | None,
    open_ended: bool = True,
    reasons: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    facts: Mapping[str, Any] | None = None,
) -> Estimation:
    """Turn one value an episode into an answer.

    Parameters
    ----------
    problem : Problem
    value : float
    values : (E,) float64
        Their mean is the value.
    log_weights : (E,) float64
        Of whole episodes, unclipped.
    clip : float or None
    open_ended : bool
        Whether a censored episode is one of which the rest is unknown.
    reasons, notes, facts
        The estimator's own.
    """
    found, told, extra = list(reasons), list(notes), dict(facts or {})
    undefined = not math.isfinite(value)
    extra["ess"] = effective_sample_size(log_weights)
    if float(log_weights.max()) == -np.inf:
        found.append(
            f"The target never takes some logged action in each of the {problem.n_episodes} episodes: all weights are "
            "zero, and the log says nothing about it this way."
        )
    if float(log_weights.max()) > LARGEST:
        found.append(
            f"A weight reached 10^{float(log_weights.max()) / math.log(10.0):.0f}: no such weight can be met in a log "
            "whose propensities are right."
        )
    if clip is not None:
        cut = clipping(problem, clip)
        extra.update(cut)
        if cut["clipped_rows"] > 0.0:
            sentence = (
                f"Weights above {clip:g} were clipped in {cut['clipped_episodes']:.1%} of episodes, which removed "
                f"{cut['removed_weight']:.1%} of their weight: the estimate is biased by what those episodes bring."
            )
            (found if cut["removed_weight"] > _REMOVED else told).append(sentence)
    n_censored = int(problem.censored.sum())
    if n_censored and open_ended:
        found.append(
            f"{n_censored} of {problem.n_episodes} episodes were cut before the horizon, and what they would have "
            "come to is not bounded."
        )
    bounds = _nothing(problem) if undefined else _bounds(problem, values, log_weights)
    if not undefined and _impossible(problem, value, values):
        found.append(
            f"The estimate, {value:.4g}, lies outside of what is possible, [{problem.low:g}, {problem.high:g}], by "
            "more than its error."
        )
    if n_censored and open_ended:
        bounds = _open(problem, bounds)
    flat = is_constant(values)
    clipped = clip is not None and extra["clipped_rows"] > 0.0
    heuristic = flat or undefined or clipped or n_censored > 0 or not problem.known
    return Estimation(
        value=value,
        standard_error=math.inf if undefined else standard_error(values, problem.units),
        bounds=bounds,
        interval="equal values: spread unknown" if flat else "influence t",
        assurance="heuristic" if heuristic else "asymptotic",
        values=None if undefined else values,
        diagnostics=extra,
        reasons=tuple(found),
        notes=tuple(told),
    )


def _impossible(problem: Problem, value: float, values: FloatArray) -> bool:
    """Whether an estimate lies outside of what is possible by more than its error."""
    if problem.low <= value <= problem.high:
        return False
    lower, upper = (value, value) if is_constant(values) else influence_bounds(values, problem.units, _FAR)
    return upper < problem.low or lower > problem.high


def _bounds(problem: Problem, values: FloatArray, log_weights: FloatArray) -> Bounds:
    low, high, units = problem.low, problem.high, problem.units
    worth = effective_units(log_weights, problem)

    def bounds(tail: float) -> tuple[float, float]:
        unseen = -math.expm1(math.log(tail) / worth) if worth > 0.0 else 1.0
        if problem.n_units < 2:
            return low, high
        if is_constant(values):
            mean = float(values.mean())
            lower = mean - (unseen * (mean - low) if mean > low else 0.0)
            upper = mean + (unseen * (high - mean) if mean < high else 0.0)
        else:
            lower, upper = influence_bounds(values, units, tail)
        if problem.question.kind == "probability":
            upper = max(upper, unseen)  # no fewer events can be excluded than by as many episodes without one
        # A bound beyond the other end of the possible range bounds nothing.
        return (low if lower >= high else max(lower, low)), (high if upper <= low else min(upper, high))

    return bounds


def _nothing(problem: Problem) -> Bounds:
    return lambda tail: (problem.low, problem.high)


def _open(problem: Problem, bounds: Bounds) -> Bounds:
    """Give up what censored episodes leave open: both bounds of a return, the upper of what is never negative."""
    if problem.question.kind == "return":
        return _nothing(problem)
    return lambda tail: (bounds(tail)[0], problem.high)
