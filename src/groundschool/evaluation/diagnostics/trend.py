"""Whether what a step leads to rises or falls over an episode where observation and action are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALARM = 0.002  # how often chance alone is taken for a trend, over all that is looked at
LEAST_EVENTS = 10  # rows with another outcome than most; with fewer, a normal tail is no guide

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Trend:
    """The strongest trend among some outcomes.

    Attributes
    ----------
    outcome : str
    score : float
        Standard normal without any trend; above 0 where the outcome is larger later.
    p_value : float
        Two-sided, times the number of outcomes.
    """

    outcome: str
    score: float
    p_value: float

    @property
    def found(self) -> bool:
        """Whether chance would hardly do that."""
        return self.p_value < ALARM


def trend(alike: IntArray, step: IntArray, outcomes: Mapping[str, FloatArray]) -> Trend | None:
    """Look for a trend over the steps of an episode among rows that are alike.

    Among rows of one observation and action it is all the same to a Markov process when they happened, so that their
    outcomes might as well be permuted. ``sum (step - mean) * outcome`` within such rows, over its standard deviation
    under permutation, then tends to a standard normal.

    Parameters
    ----------
    alike : (n,) int64 from 0
        Equal for rows with the same observation and action.
    step : (n,) int64
    outcomes : mapping of str to (n,) float64

    Returns
    -------
    Trend or None
        None where no rows are alike at different steps, or too few have another outcome than most.
    """
    number = np.bincount(alike)
    several = np.maximum(number, 1)
    later = step - (np.bincount(alike, weights=step) / several)[alike]
    spread = np.bincount(alike, weights=np.square(later))
    found = []
    for name, outcome in outcomes.items():
        deviation = outcome - (np.bincount(alike, weights=outcome) / several)[alike]
        scatter = np.bincount(alike, weights=np.square(deviation))
        variance = float((spread * scatter / np.maximum(number - 1, 1)).sum())
        if variance > 1e-12 * max(float(np.square(outcome).sum()), 1e-300) and _events(outcome) >= LEAST_EVENTS:
            found.append((name, float(later @ deviation) / math.sqrt(variance)))
    if not found:
        return None
    name, score = max(found, key=lambda one: abs(one[1]))
    return Trend(name, score, min(2.0 * float(stats.norm.sf(abs(score))) * len(found), 1.0))


def _events(outcome: FloatArray) -> int:
    """Count rows whose outcome is not the most common one."""
    return len(outcome) - int(np.unique(outcome, return_counts=True)[1].max(initial=0))
