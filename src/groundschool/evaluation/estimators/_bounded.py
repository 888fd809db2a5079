"""What estimators with finite-sample bounds share: outcomes in a known range, units in a random order, what is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.bounds.wagers import arrange
from groundschool.evaluation.estimate import Bounds, Estimation
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.weights import LARGEST, effective_sample_size, episode_log_weights, linear

BESIDE = 0.025  # the tail of bounds that a value is not outside of

Lower = Callable[[FloatArray, float, float], float]


class Weighted:
    """A problem's episodes as outcomes with weights, and what keeps bounds on them from being valid.

    Parameters
    ----------
    problem : Problem
    seed : int
        Of the order in which units are taken.

    Attributes
    ----------
    taken : (n, k) int64
        The episodes of each unit.
    weights : (E,) float64
        Of whole episodes.
    blocked : list of str
        Why no bound holds on either side.
    """

    def __init__(self, problem: Problem, seed: int = 0, *, single: bool = False) -> None:
        self.problem = problem
        self.log_weights = episode_log_weights(problem)
        self.weights = linear(self.log_weights)
        arranged = arrange(problem.units, seed)
        self.blocked = self._blocked(arranged, single)
        self.taken: IntArray = np.arange(problem.n_episodes)[:, None] if arranged is None else arranged

    def _blocked(self, arranged: IntArray | None, single: bool) -> list[str]:
        problem, found = self.problem, []
        grouped = arranged is None or (single and arranged.shape[1] > 1)
        if grouped:
            found.append(
                f"{problem.n_episodes} episodes come in {problem.n_units} groups"
                f"{'' if arranged is not None else ' of different sizes'}: this bound needs independent episodes"
                f"{'' if single else ', or groups of one size'}."
            )
        if problem.censored.any() and problem.question.kind != "cost":
            found.append(
                f"{int(problem.censored.sum())} of {problem.n_episodes} episodes were cut before the horizon, and what "
                "they would have come to is not bounded."
            )
        if not math.isfinite(problem.low):
            found.append(
                "No range of the return is declared (or none holds with a discount), and without one no bound holds at "
                "every number of episodes. Declare return_range."
            )
        return found

    def bounds(self, lower: Lower) -> Bounds:
        """Return bounds that a lower bound on the target's mean of outcomes makes.

        Parameters
        ----------
        lower : callable (outcomes, tail, ceiling) -> float
            Of outcomes (E,) that are not negative and at most the ceiling; each set is asked once a tail.
        """
        problem, known = self.problem, dict[float, tuple[float, float]]()

        def bounds(tail: float) -> tuple[float, float]:
            if tail not in known:
                known[tail] = self._bounds(lower, tail)
            return known[tail]

        return (lambda tail: (problem.low, problem.high)) if self.blocked else bounds

    def _bounds(self, lower: Lower, tail: float) -> tuple[float, float]:
        one, other = self.sides(lambda outcomes, ceiling: lower(outcomes, tail, ceiling))
        # Where they cross, one of them has missed; each still holds as the other's.
        return min(one, other), max(one, other)

    def sides(self, lower: Callable[[FloatArray, float], Any]) -> tuple[Any, Any]:
        """Return what a lower bound on means of outcomes, of (outcomes, ceiling), says from below and from above."""
        low, high = self.problem.low, self.problem.high
        sums = np.clip(self.problem.returns, low, high)  # they may pass a declared end by rounding
        if not math.isfinite(high):
            return low + lower(sums - low, math.inf), high
        span = high - low
        if span <= 0.0:
            return low, high
        return low + span * lower((sums - low) / span, 1.0), high - span * lower((high - sums) / span, 1.0)

    def answer(
        self,
        bounds: Bounds,
        interval: str,
        *,
        reasons: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
        facts: Mapping[str, Any] | None = None,
        value: float | None = None,
        error: float | None = None,
        valid: bool = True,
    ) -> Estimation:
        """Put an estimation together; without a value of its own it gets the self-normalized one.

        A value beside its bounds goes to the nearer one: these may know more than it does.
        """
        problem, found = self.problem, [*self.blocked, *reasons]
        if math.isfinite(problem.low) and not math.isfinite(problem.high):
            found.append("A cost has no upper end, so that no number of episodes bounds its mean from above.")
        total, top = float(self.weights.sum()), float(self.log_weights.max())
        lower, upper = bounds(BESIDE)
        if top == -np.inf:
            found.append(
                f"The target never takes some logged action in each of the {problem.n_episodes} episodes: all weights "
                "are zero, and the log says nothing about it this way."
            )
        if top > LARGEST:
            found.append(
                f"A weight reached 10^{top / math.log(10.0):.0f}: no such weight can be met in a log whose "
                "propensities are right."
            )
        center = float((self.weights * problem.returns).sum()) / total if total > 0.0 else math.nan
        values = self.weights * (problem.returns - center) + center
        own = value is None
        value = center if value is None else value
        value = min(max(value, lower), upper)
        return Estimation(
            value=value,
            standard_error=_error(values, problem, total) if own or error is None else error,
            bounds=bounds,
            interval=interval,
            assurance="finite-sample" if problem.known and valid else "heuristic",
            values=values + (value - center) if own and total > 0.0 else None,
            diagnostics={"ess": effective_sample_size(self.log_weights), **(facts or {})},
            reasons=tuple(found),
            notes=notes,
        )


def _error(values: FloatArray, problem: Problem, total: float) -> float:
    return standard_error(values, problem.units) if total > 0.0 else math.inf


UNKNOWN_ACTIONS = (
    "Only the logged actions' propensities are known, so that weights cannot be held below a known limit before they "
    "pass it; with all of the logger's probabilities (behavior=) or a declared ratio_cap the bound can be tighter."
)

OWN_ACTIONS = (
    "The policy says how far it is from the logger, from propensities logged in the episodes that it studied. All that "
    "are met here agree; it is assumed that the logger's probabilities depend on the observation alone."
)


def notes_on(stopping: Any, steady: Any) -> tuple[str, ...]:
    """Say what is known of the largest weights."""
    return () if stopping is not None else (UNKNOWN_ACTIONS,) if steady is None else (OWN_ACTIONS,)


def checked_learning_share(share: float) -> float:
    """Return a share of the units, between 0 and 1, or raise `InputError`."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
        raise InputError(f"learning_share is {share!r}, expected a number between 0 and 1.")
    return float(share)


def order_note(seed: int) -> str:
    """Say that the bound depends on an order that was drawn."""
    return (
        f"The bound takes the units in a random order (seed {seed}). Another seed gives another bound that holds as "
        "well, the best of several seeds none."
    )
