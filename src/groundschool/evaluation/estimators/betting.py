"""Finite-sample bounds by betting, on whichever weighting of the outcomes promises most as the units come in."""

from __future__ import annotations

import math

from groundschool.evaluation.bounds.betting import betting_lower
from groundschool.evaluation.bounds.stopping import Stopping, coarse_stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import all_wagers, limited_wagers
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._bounded import Weighted, notes_on, order_note
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "betting"


def estimate(problem: Problem, *, ratio_cap: float | None = None, seed: int = 0) -> Estimation:
    """Bound each side by betting, and choose what to bet on from the units that were seen before.

    To choose from: the weighted outcomes of `complement`, and, where the logger's probabilities of all actions are
    known, outcomes of episodes that are stopped before their weight passes a threshold, with the weight as a control
    variate (see `bounds.wagers`). A policy that is made from the logger may know other weights that have a limit, for
    the same use.

    Parameters
    ----------
    problem : Problem
    ratio_cap : float, optional
        A limit, known beforehand, of the ratio of target to behavior probability of any action anywhere; for logs that
        hold the propensities of logged actions alone.
    seed : int
        Of the order in which units are taken.

    Returns
    -------
    Estimation
        Its value is the self-normalized one, ``sum(W G) / sum(W)``.
    """
    weighted = Weighted(problem, seed)
    largest = largest_ratios(problem, ratio_cap)
    stopping = None if largest is None else Stopping(problem, largest)
    steady = None if stopping is not None else coarse_stopping(problem)

    def lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
        if not math.isfinite(ceiling):
            return betting_lower(limited_wagers(weighted.weights, outcomes, weighted.taken, ()), tail)
        wagers = all_wagers(weighted.weights, outcomes, weighted.taken, stopping, steady, problem.usual_weight)
        return betting_lower(wagers, tail, ceiling=ceiling)

    notes = (order_note(seed), *notes_on(stopping, steady))
    return weighted.answer(weighted.bounds(lower), "betting", notes=notes)
