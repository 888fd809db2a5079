"""The logger's own mean: what was seen, whatever the target."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.bounds.units import is_constant
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.intervals import clopper_pearson, mean_t
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "logged"


def estimate(problem: Problem) -> Estimation:
    """Average the logged sums of the signal: the baseline that a target is held against, which itself plays no part.

    A probability gets Clopper-Pearson bounds (Clopper & Pearson 1934); where episodes come in groups, at the effective
    number of episodes that their variance shows (Korn & Graubard 1998, Survey Methodology 24, p. 193). A return or a
    cost gets Student's t over units. A censored episode counts as its worst case: for the lower bound with the least
    sum that it can have come to, for the upper with the largest, unbounded where no range is declared.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Estimation
        The value is the mean of what was logged, censored episodes as they are.
    """
    values = problem.returns
    least, most = _worst(problem, values)
    probability = problem.question.kind == "probability"
    single = problem.n_units == problem.n_episodes
    one_sided = _clopper_pearson if probability else _student
    n_censored = int(problem.censored.sum())
    reasons, notes = [], []
    if n_censored:
        told = f"{n_censored} of {problem.n_episodes} episodes were cut before the horizon"
        if np.isfinite(least).all() and np.isfinite(most).all():
            notes.append(f"{told}: each bound takes the worst case for them.")
        else:
            reasons.append(f"{told}, and what they would have come to is not bounded.")
    return Estimation(
        value=float(values.mean()),
        standard_error=standard_error(values, problem.units),
        bounds=lambda tail: (one_sided(problem, least, tail)[0], one_sided(problem, most, tail)[1]),
        interval="Clopper-Pearson" if probability else "Student t",
        assurance=("exact" if single else "asymptotic") if probability else "asymptotic",
        values=values,
        diagnostics={"ess": float(problem.n_episodes), "censored_episodes": n_censored},
        reasons=tuple(reasons),
        notes=tuple(notes),
    )


def _worst(problem: Problem, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Close censored episodes with the least and with the largest sum: (E,) each."""
    # Costs are never negative: what was seen of one is the least that it can come to.
    least = values if problem.question.kind != "return" else np.where(problem.censored, problem.low, values)
    return least, np.where(problem.censored, problem.high, values)


def _clopper_pearson(problem: Problem, events: FloatArray, tail: float) -> tuple[float, float]:
    confidence = max(1.0 - 2.0 * tail, 1e-12)
    if problem.n_units == problem.n_episodes:
        found = clopper_pearson(round(float(events.sum())), problem.n_episodes, confidence)
        return found.lower, found.upper
    share, n = float(events.mean()), float(problem.n_units)
    error = standard_error(events, problem.units)
    if 0.0 < share < 1.0 and 0.0 < error < math.inf:
        # No more than the episodes there are, and less where few units tell the variance.
        n = min(share * (1.0 - share) / error**2, float(problem.n_episodes))
        if tail < 0.5:
            n *= float(stats.norm.isf(tail) / stats.t.isf(tail, problem.n_units - 1)) ** 2
    k = share * n
    lower = 0.0 if k <= 0.0 else float(stats.beta.ppf(tail, k, n - k + 1.0))
    upper = 1.0 if k >= n else float(stats.beta.isf(tail, k + 1.0, n - k))
    return lower, upper


def _student(problem: Problem, values: FloatArray, tail: float) -> tuple[float, float]:
    low, high = problem.low, problem.high
    if not np.isfinite(values).all():
        return low, high
    values = np.clip(values, low, high)  # sums may pass a declared end by rounding
    confidence = max(1.0 - 2.0 * tail, 1e-12)
    if problem.n_units == problem.n_episodes:
        found = mean_t(values, confidence, bounds=(low, high))
        return found.lower, found.upper
    if problem.n_units == 1 or is_constant(values):
        found = mean_t(np.full(problem.n_units, values.mean()), confidence, bounds=(low, high))
        return found.lower, found.upper
    half = float(stats.t.isf(tail, problem.n_units - 1)) * standard_error(values, problem.units)
    mean = float(values.mean())
    return max(mean - half, low), min(mean + half, high)
