"""Finite-sample bounds where an episode counts as lost once its weight passes a threshold."""

from __future__ import annotations

import math

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.bounds.betting import Wager, betting_lower
from groundschool.evaluation.bounds.stopping import Stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import BASELINES, THRESHOLDS, limited_wagers, stopped_wagers
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._bounded import UNKNOWN_ACTIONS, Weighted, order_note
from groundschool.evaluation.problem import BoolArray, FloatArray, Problem
from groundschool.evaluation.weights import step_log_weights

NAME = "censored_weight"


def estimate(
    problem: Problem, *, threshold: float | None = None, ratio_cap: float | None = None, seed: int = 0
) -> Estimation:
    """Bound each side by betting on outcomes of episodes whose weight stayed at or below a threshold M.

    Where all of the logger's probabilities are known (or `ratio_cap` is declared), an episode is stopped before an
    action that could take its weight above M, and counts as an event (for a return: as the worst end of its range)
    with the weight it then has. The mean of ``Y = W`` where stopped or with an event, else 0, is at least the
    probability of an event, and Y lies in [0, M]. Where they are not known, ``W 1[no event and max_t W_t <= M]`` is
    bet on: one less its mean is the same limit, without any cap on single ratios, but its variance is that of W.

    Parameters
    ----------
    problem : Problem
    threshold : float, optional
        M, at least 1, fixed before the log was looked at. By default the bets choose it as the units come in, each
        choice from earlier units alone.
    ratio_cap : float, optional
        As in `betting`.
    seed : int
        Of the order in which units are taken.

    Returns
    -------
    Estimation
        Its value is the self-normalized one of all episodes.

    Raises
    ------
    InputError
        If `threshold` is below 1, or a ratio in the log is above `ratio_cap`.
    """
    thresholds = THRESHOLDS if threshold is None else (checked_threshold(threshold),)
    weighted = Weighted(problem, seed)
    largest = largest_ratios(problem, ratio_cap)
    stopping = None if largest is None else Stopping(problem, largest)

    def lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
        if not math.isfinite(ceiling):
            kept = _below(problem, max(thresholds)) if threshold is not None else np.ones(len(outcomes), np.bool_)
            return betting_lower(limited_wagers(weighted.weights, outcomes * kept, weighted.taken, ()), tail)
        if stopping is None:
            wagers = [_kept_wager(weighted, outcomes, _below(problem, limit)) for limit in reversed(thresholds)]
        else:
            # The first is bet on until the units speak for another: the one that loses least, without a baseline.
            wagers = stopped_wagers(stopping, outcomes, weighted.taken, thresholds[-1:], (0.0,))
            wagers += stopped_wagers(stopping, outcomes, weighted.taken, thresholds, (0.0, *BASELINES))
        return betting_lower(wagers, tail, ceiling=ceiling)

    told = "limited as the units come in" if threshold is None else f"up to {threshold:g}"
    facts = {"threshold": threshold, "lost_episodes": _lost(problem, stopping, threshold)}
    notes = (order_note(seed),) if stopping is not None else (order_note(seed), UNKNOWN_ACTIONS)
    return weighted.answer(weighted.bounds(lower), f"betting, weights {told}", notes=notes, facts=facts)


def checked_threshold(threshold: float) -> float:
    """Return a threshold of weights as a float, or raise `InputError`."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 1.0 <= threshold < math.inf:
        raise InputError(
            f"threshold is {threshold!r}, expected a number of at least 1: the largest weight that counts."
        )
    return float(threshold)


def _below(problem: Problem, threshold: float) -> BoolArray:
    """Whether no running weight of an episode is above a threshold, (E,)."""
    return np.maximum.reduceat(step_log_weights(problem), problem.starts[:-1]) <= math.log(threshold)


def _kept_wager(weighted: Weighted, outcomes: FloatArray, kept: BoolArray) -> Wager:
    weights = np.where(kept, weighted.weights, 0.0)
    lost = np.where(kept, 0.0, weighted.weights * outcomes)
    return Wager(weights[weighted.taken], outcomes[weighted.taken], shortfall=lost[weighted.taken])


def _lost(problem: Problem, stopping: Stopping | None, threshold: float | None) -> int | None:
    if threshold is None:
        return None
    lost = ~_below(problem, threshold) if stopping is None else stopping.at(threshold)[1]
    return int(lost.sum())
