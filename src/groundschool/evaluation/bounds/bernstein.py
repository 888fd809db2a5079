"""Closed-form bounds on the mean of values in a known range: Hoeffding's, and Maurer and Pontil's."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def hoeffding_bounds(values: FloatArray, tail: float, *, low: float, high: float) -> tuple[float, float]:
    """Bound a mean from n independent values in [low, high] (Hoeffding 1963, doi:10.2307/2282952, theorem 2).

    Returns
    -------
    (float, float)
        The sample mean less and plus ``(high - low) sqrt(log(1 / tail) / (2 n))``, cut to the range. Each side misses
        with probability `tail` at most.
    """
    half = (high - low) * math.sqrt(-math.log(tail) / (2.0 * len(values)))
    return _cut(float(np.mean(values)), half, low, high)


def empirical_bernstein_bounds(values: FloatArray, tail: float, *, low: float, high: float) -> tuple[float, float]:
    """Bound a mean from n independent values in [low, high] (Maurer & Pontil 2009, arXiv:0907.3740, theorem 4).

    Returns
    -------
    (float, float)
        The sample mean less and plus ``sqrt(2 V L / n) + 7 (high - low) L / (3 (n - 1))`` with the sample variance V
        and ``L = log(2 / tail)``, cut to the range. Each side misses with probability `tail` at most; one value alone
        bounds nothing.
    """
    n = len(values)
    if n < 2:
        return low, high
    return _cut(float(np.mean(values)), bernstein_width(float(np.var(values, ddof=1)), n, tail, high - low), low, high)


def bernstein_width(variance: float, n: int, tail: float, span: float) -> float:
    """Return how far the bounds of `empirical_bernstein_bounds` are from the mean."""
    level = math.log(2.0 / tail)
    return math.sqrt(2.0 * variance * level / n) + 7.0 * span * level / (3.0 * (n - 1))


def _cut(mean: float, half: float, low: float, high: float) -> tuple[float, float]:
    return max(mean - half, low), min(mean + half, high)
