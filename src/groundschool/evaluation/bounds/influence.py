"""The mean of influence values: its standard error, and Student's t bounds with kurtosis in view."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groundschool.evaluation.bounds.units import is_constant, unit_sums, unseen_share

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def standard_error(values: FloatArray, units: IntArray) -> float:
    """Return the standard error of the mean of values that come in independent units.

    Parameters
    ----------
    values : (E,) float64
        Influence values (an estimate's own mean may be in them or not).
    units : (E,) int64
        Which values belong together. A unit of several values counts once: the mean is taken as the ratio of unit sums
        to unit sizes, with its linearised variance (Cochran, Sampling Techniques, 3rd ed. 1977, section 9A.2).

    Returns
    -------
    float
        inf with one unit; 0 where all values are equal.
    """
    residuals = _residuals(values, units)
    n = len(residuals)
    if n < 2:
        return math.inf
    return math.sqrt(n / (n - 1) * float(np.square(residuals).sum())) / len(values)


def degrees_of_freedom(values: FloatArray, units: IntArray) -> float:
    """Return how many degrees of freedom the variance of unit sums has.

    A sample variance of n values has relative variance (kurtosis - 1) / n; a chi-square of f degrees of freedom has
    2 / f. Equal relative variance (Satterthwaite 1946, doi:10.2307/3002019) gives f = 2 n / (kurtosis - 1): near n for
    normal values, and near 2 where one value holds all of the variance. At most n - 1.
    """
    residuals = _residuals(values, units)
    n = len(residuals)
    square = np.square(residuals)
    if n < 2 or not square.any():
        return max(n - 1.0, 0.0)
    kurtosis = n * float(np.square(square / square.sum()).sum())
    return min(2.0 * n / (kurtosis - 1.0), n - 1.0) if kurtosis > 1.0 else n - 1.0


def influence_bounds(
    values: FloatArray,
    units: IntArray,
    tail: float,
    *,
    inflation: float = 0.0,
    low: float = -math.inf,
    high: float = math.inf,
) -> tuple[float, float]:
    """Bound the mean of influence values by Student's t, each side missing with about probability `tail`.

    Parameters
    ----------
    values : (E,) float64
        One value an episode whose mean is the estimate.
    units : (E,) int64
        What is independent.
    tail : float
        In (0, 0.5].
    inflation : float
        Added to the standard error: what the values themselves do not show.
    low, high : float
        The range that the mean can lie in; the bounds are cut to it.

    Returns
    -------
    (float, float)
        Lower and upper bound, asymptotic. One unit alone bounds nothing. Values without any variance (no event ever
        seen) do not give [v, v]: at most the Clopper-Pearson share of units may differ from them, as far as the range
        allows, so that a side is infinite where the range is. The same floor holds for values whose variance is only
        rounding.
    """
    n = len(np.unique(units))
    mean = float(np.mean(values))
    error = standard_error(values, units)
    if n < 2:
        return low, high
    if is_constant(values):
        share = unseen_share(n, tail)
        extra = inflation * float(stats.norm.isf(tail)) if inflation else 0.0
        lower, upper = mean - extra, mean + extra
        lower -= share * (mean - low) if mean > low else 0.0
        upper += share * (high - mean) if mean < high else 0.0
    else:
        half = float(stats.t.isf(tail, degrees_of_freedom(values, units))) * (error + inflation)
        lower, upper = mean - half, mean + half
    return min(max(lower, low), high), max(min(upper, high), low)


def _residuals(values: FloatArray, units: IntArray) -> FloatArray:
    centered = values - np.mean(values)
    return unit_sums(centered, units)
