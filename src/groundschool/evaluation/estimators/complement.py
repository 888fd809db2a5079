"""Finite-sample bounds from weighted outcomes alone, without any limit of the weights."""

from __future__ import annotations

import math

from groundschool.evaluation.bounds.betting import betting_lower
from groundschool.evaluation.bounds.wagers import LIMITS, limited_wagers
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._bounded import Weighted, order_note
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "complement"


def estimate(problem: Problem, *, seed: int = 0) -> Estimation:
    """Bound each side by a betting lower bound on weighted outcomes that are not negative.

    The probability of an event is at most ``1 - LCB[W (1 - h)]`` and at least ``LCB[W h]``; a return G in a declared
    range lies between ``low + LCB[W (G - low)]`` and ``high - LCB[W (high - G)]``. Weighted outcomes that are not
    negative can be bounded from below whatever weights may come, and where the target does what the logger never did,
    their mean is too small, never too large.

    Parameters
    ----------
    problem : Problem
    seed : int
        Of the order in which units are taken.

    Returns
    -------
    Estimation
        Its value is the self-normalized one, ``sum(W G) / sum(W)``.
    """
    weighted = Weighted(problem, seed)

    def lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
        limits = LIMITS if math.isfinite(ceiling) else ()
        wagers = limited_wagers(weighted.weights, outcomes, weighted.taken, limits)
        return betting_lower(wagers, tail, ceiling=ceiling)

    return weighted.answer(weighted.bounds(lower), "betting, weights without a limit", notes=(order_note(seed),))
