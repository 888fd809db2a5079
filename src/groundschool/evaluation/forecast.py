"""What bounds would be with more episodes: where the truth seems to be, and how far from it they are to be expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.resampling import resampled

_EPISODES, _ROWS = 40_000, 2_000_000

Widths = Callable[[float, IntArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class Forecast:
    """How an estimate is expected to go on.

    Attributes
    ----------
    value, standard_error : float
        The truth, as far as these episodes show it by any means, and the error of that.
    widths : callable from tail and numbers of episodes (m,) to ((m,), (m,)) float64
        How far below the truth a lower bound with that tail is to be expected, and how far above it an upper one.
    reach : int
        The largest number of episodes of which this says anything: what is rarer than one in so many was not seen.
    """

    value: float
    standard_error: float
    widths: Widths
    reach: int


def imagined(problem: Problem, seed: int) -> Problem | None:
    """Return many more episodes than a problem has, of the same process; None where its rows do not show that."""
    if problem.states is None or not 1 < problem.n_episodes == problem.n_units or problem.censored.any():
        return None
    fit = int(_ROWS / float(problem.lengths.mean()))
    return resampled(problem, max(min(_EPISODES, fit), problem.n_episodes), seed)
