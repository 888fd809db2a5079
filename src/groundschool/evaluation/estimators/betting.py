"""Finite-sample bounds by betting, on whichever weighting of the outcomes promises most as the units come in."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from groundschool.evaluation.bounds.betting import Wager, betting_lower, forecast_lowers
from groundschool.evaluation.bounds.stopping import Stopping, coarse_stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import all_wagers, limited_wagers
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators import marginal_dr
from groundschool.evaluation.estimators._bounded import Weighted, notes_on, order_note
from groundschool.evaluation.forecast import Forecast, imagined
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

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
        Its value is the self-normalized one, ``sum(W G) / sum(W)``, or the bound that this is beside.
    """
    offered = Offered(problem, ratio_cap, seed)

    def lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
        return betting_lower(offered.wagers(outcomes, ceiling), tail, ceiling=ceiling)

    notes = (order_note(seed), *notes_on(offered.stopping, offered.steady))
    found = offered.answer(offered.bounds(lower), "betting", notes=notes)
    return dataclasses.replace(found, forecast=lambda: _forecast(problem, ratio_cap, seed))


class Offered(Weighted):
    """Weighted outcomes, and every bet on them that is offered; parameters as for `estimate`."""

    def __init__(self, problem: Problem, ratio_cap: float | None, seed: int) -> None:
        super().__init__(problem, seed)
        largest = largest_ratios(problem, ratio_cap)
        self.stopping = None if largest is None else Stopping(problem, largest)
        self.steady = None if self.stopping is not None else coarse_stopping(problem)

    def wagers(self, outcomes: FloatArray, ceiling: float = 1.0) -> list[Wager]:
        """Return the bets on the target's mean of outcomes (E,), at most the ceiling each."""
        if not math.isfinite(ceiling):
            return limited_wagers(self.weights, outcomes, self.taken, ())
        return all_wagers(self.weights, outcomes, self.taken, self.stopping, self.steady, self.problem.usual_weight)


def _forecast(problem: Problem, ratio_cap: float | None, seed: int) -> Forecast | None:
    """Forecast bounds from episodes that are put together of steps, about the doubly robust value."""
    others = imagined(problem, seed)
    if others is None:
        return None
    offered = Offered(others, ratio_cap, seed)
    total = float(offered.weights.sum())
    if not total:
        return None
    center = float(offered.weights @ others.returns) / total

    def widths(tail: float, episodes: IntArray) -> tuple[FloatArray, FloatArray]:
        low, high = offered.sides(lambda outcomes, c: forecast_lowers(offered.wagers(outcomes, c), tail, episodes))
        return np.maximum(center - low, 0.0), np.maximum(high - center + np.zeros(len(episodes)), 0.0)

    known = marginal_dr.estimate(problem, seed=seed)
    return Forecast(known.value, known.standard_error, widths, others.n_episodes)
