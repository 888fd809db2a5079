"""Fitted Q evaluation (Le, Voloshin & Yue 2019, arXiv:1903.08738): exact over counts, or an ensemble of networks."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from scipy import stats

from groundschool.errors import InputError
from groundschool.evaluation.bounds.units import unseen_share
from groundschool.evaluation.estimate import Bounds, Estimation
from groundschool.evaluation.estimators import fqe_counts
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "fqe"

_REPLICATES = 200
_FALSE = 0.01  # how often chance alone may make the model look unable to reproduce the logger
_MATERIAL = 0.5  # standard errors of the answer that such a failure must amount to
_MOST = 0.01  # of steps never logged, of episodes lost: above this it is a reason


def estimate(
    problem: Problem,
    *,
    model: Literal["auto", "counts", "network"] = "auto",
    members: int | None = None,
    seed: int = 0,
) -> Estimation:
    """Evaluate the target in a model of the process that is fitted to the log.

    Parameters
    ----------
    problem : Problem
    model : "auto", "counts" or "network"
        Counts, where states are counted, give the recursion over the horizon without any error of a fit. An ensemble
        of networks serves all else.
    members : int, optional
        Fits to bootstrap samples of the independent units.
    seed : int

    Returns
    -------
    Estimation
        Always heuristic. The spread of the members is the variance that the log's size leaves; the bias of the model
        itself is not in it.

    Raises
    ------
    InputError
        If an option is out of range, or counts are asked for where there are none.
    """
    fit = fqe_counts.fit(problem, _members(members, _REPLICATES), seed)
    return _answer(problem, fit.value, fit.replicates, fit.facts, *_of_counts(problem, fit))


def _members(given: int | None, default: int) -> int:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 2:
        raise InputError(f"members is {given!r}, expected a whole number of at least 2: their spread is the error.")
    return int(given)


def _of_counts(problem: Problem, fit: fqe_counts.Fit) -> tuple[list[str], list[str]]:
    facts = fit.facts
    reasons, notes = [], ["Transitions are taken to be the same at every step of an episode."]
    if facts["untried"] > _MOST:
        reasons.append(
            f"{facts['untried']:.1%} of the target's steps are actions that the log never shows in that state (limit "
            f"{_MOST:.0%}): the model takes what the logger met there in their place."
        )
    if facts["lost"] > _MOST:
        reasons.append(
            f"{facts['lost']:.1%} of the target's episodes come to a state in which the log shows no action (limit "
            f"{_MOST:.0%}): what follows is counted as nothing."
        )
    if "logger_off" in facts and problem.n_units > 1:
        off, chance = abs(facts["logger_off"]), float(stats.norm.isf(_FALSE / 2)) * facts["logger_off_error"]
        if off > max(chance, _MATERIAL * float(np.std(fit.replicates, ddof=1))):
            reasons.append(
                f"Asked about the logger itself, the model is off its {problem.returns.mean():.4g} by "
                f"{facts['logger_off']:+.3g}, where chance explains {chance:.2g}: a model that does not reproduce what "
                "was seen is no guide to what was not."
            )
    return reasons, notes


def _answer(
    problem: Problem,
    value: float,
    spread: FloatArray,
    facts: dict[str, Any],
    reasons: list[str],
    notes: list[str],
) -> Estimation:
    low, high = problem.low, problem.high
    error = float(np.std(spread, ddof=1)) if problem.n_units > 1 else math.inf
    if problem.n_units < 2:
        reasons = [*reasons, "The log holds one independent unit, which says nothing about the spread."]
    n_censored = int(problem.censored.sum())
    if n_censored:
        notes = [
            *notes,
            f"{n_censored} of {problem.n_episodes} episodes were cut before the horizon: that is taken to say nothing "
            "beyond the observation at which it happened, and the model goes on from there.",
        ]
    facts = {**facts, "members": len(spread), "members_mean": float(np.mean(spread))}
    return Estimation(
        value=min(max(value, low), high),
        standard_error=error,
        bounds=_bounds(problem, value, error, len(spread) - 1),
        interval="bootstrap of units, Student t",
        assurance="heuristic",
        values=None,  # values at the starts of one fixed model would hide its error
        diagnostics=facts,
        reasons=tuple(reasons),
        notes=(
            "The interval shows how the model's answer varies with the log. The model's own error is not in it.",
            *notes,
        ),
    )


def _bounds(problem: Problem, value: float, error: float, freedom: int) -> Bounds:
    low, high = problem.low, problem.high

    def bounds(tail: float) -> tuple[float, float]:
        if not math.isfinite(error):
            return low, high
        half = float(stats.t.isf(tail, freedom)) * error
        # No bound is tighter than what as many units, all alike, would give: never [0, 0].
        unseen = unseen_share(problem.n_units, tail)
        down = unseen * (value - low) if math.isfinite(low) or error == 0.0 else 0.0
        up = unseen * (high - value) if math.isfinite(high) or error == 0.0 else 0.0
        return max(value - max(half, down), low), min(value + max(half, up), high)

    return bounds
