"""Finite-sample bounds in closed form, from limited weighted outcomes."""

from __future__ import annotations

import math

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.bounds.bernstein import bernstein_width, empirical_bernstein_bounds
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._bounded import Weighted, checked_learning_share, order_note
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "empirical_bernstein"

_LIMITS = 24  # tried, from the largest weighted outcome that was met down to a thousandth of it


def estimate(problem: Problem, *, limit: float | None = None, learning_share: float = 0.1, seed: int = 0) -> Estimation:
    """Bound each side by Maurer and Pontil's empirical Bernstein bound (arXiv:0907.3740) on limited weighted outcomes.

    A lower bound on the mean of ``min(W U, q)`` is one on that of W U, for outcomes U that are not negative: of
    ``1 - h`` for the upper bound on a probability, of h for the lower; of a return's distance from the ends of its
    declared range.

    Parameters
    ----------
    problem : Problem
    limit : float, optional
        q, fixed before the log was looked at, for outcomes as shares of their range. By default the one that promises
        most on a learning part of the units, which the bound then leaves out.
    learning_share : float
        In (0, 1): what part that is.
    seed : int
        Of the units in the learning part.

    Returns
    -------
    Estimation
        Its value is the self-normalized one, ``sum(W G) / sum(W)``.

    Raises
    ------
    InputError
        If `limit` is not a positive number or `learning_share` not between 0 and 1.
    """
    if limit is not None and not (isinstance(limit, int | float) and 0.0 < limit < math.inf):
        raise InputError(f"limit is {limit!r}, expected a positive number: the largest weighted outcome that counts.")
    learning_share = checked_learning_share(learning_share)
    weighted = Weighted(problem, seed)

    def lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
        values = (weighted.weights * outcomes)[weighted.taken].mean(axis=1)
        cap, rest = limit, values
        if cap is None:
            learned = max(1, round(learning_share * len(values)))
            rest = values[learned:]
            cap = _chosen(values[:learned], len(rest), tail)
        if len(rest) < 2 or cap <= 0.0:
            return 0.0
        found = empirical_bernstein_bounds(np.minimum(rest, cap), tail, low=0.0, high=cap)[0]
        return min(found, ceiling)

    notes = (order_note(seed),) if limit is None else ()
    return weighted.answer(weighted.bounds(lower), "empirical Bernstein", notes=notes, facts={"limit": limit})


def _chosen(values: FloatArray, rounds: int, tail: float) -> float:
    """Return the limit with the highest bound to be expected of `rounds` more values like these."""
    top = float(values.max())
    if rounds < 2 or top <= 0.0:
        return top
    tried = top * np.geomspace(1e-3, 1.0, _LIMITS)
    limited = np.minimum(values[None, :], tried[:, None])
    variance = limited.var(axis=1)
    bounds = [
        m - bernstein_width(v, rounds, tail, q) for m, v, q in zip(limited.mean(axis=1), variance, tried, strict=True)
    ]
    return float(tried[int(np.argmax(bounds))])
