"""The bootstrap by independent unit, for means and for ratios of sums."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundschool.evaluation.bounds.units import is_constant, unit_sizes, unit_sums, unseen_share

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_UNITS = 20_000  # more are dealt at random into this many bags, which are independent again
_BLOCK = 2_000_000  # draws at a time


def bootstrap_replicates(
    values: FloatArray,
    units: IntArray,
    seed: int,
    replicates: int = 2_000,
    *,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Draw the (weighted) mean again and again, units with replacement (Efron 1979, doi:10.1214/aos/1176344552).

    Parameters
    ----------
    values : (E,) float64
    units : (E,) int64
    seed : int
    replicates : int
    weights : (E,) float64 or None
        Not negative. The statistic is ``sum(weights * values) / sum(weights)``; without weights it is the mean.

    Returns
    -------
    (replicates,) float64
        NaN where no weight at all was drawn.
    """
    rng = np.random.default_rng(seed)
    if weights is None:
        above, below = unit_sums(values, units), unit_sizes(units).astype(np.float64)
    else:
        above, below = unit_sums(np.where(weights > 0.0, values, 0.0) * weights, units), unit_sums(weights, units)
    if len(above) > _UNITS:
        bags = rng.permutation(len(above)) % _UNITS
        above, below = unit_sums(above, bags), unit_sums(below, bags)
    n = len(above)
    drawn = np.full(replicates, np.nan)
    block = max(1, _BLOCK // n)
    for begin in range(0, replicates, block):
        index = rng.integers(n, size=(min(block, replicates - begin), n))
        top, bottom = above[index].sum(axis=1), below[index].sum(axis=1)
        np.divide(top, bottom, out=drawn[begin : begin + len(index)], where=bottom > 0.0)
    return drawn


def bootstrap_bounds(
    values: FloatArray,
    units: IntArray,
    tail: float,
    seed: int,
    replicates: int = 2_000,
    *,
    weights: FloatArray | None = None,
    kind: Literal["percentile", "basic"] = "percentile",
    low: float = -math.inf,
    high: float = math.inf,
) -> tuple[float, float]:
    """Bound a mean, or a weighted mean, by the bootstrap over units; each side misses with about probability `tail`.

    Parameters
    ----------
    values, units, seed, replicates, weights
        As in `bootstrap_replicates`.
    tail : float
        In (0, 0.5].
    kind : "percentile" or "basic"
        The quantiles of the replicates, or twice the estimate less the opposite quantile (Davison & Hinkley,
        Bootstrap Methods and their Application, 1997, sections 5.2 and 5.3).
    low, high : float
        The range that the statistic can lie in; the bounds are cut to it.

    Returns
    -------
    (float, float)
        Lower and upper bound, asymptotic. A replicate without any weight counts as unbounded on both sides. One unit
        bounds nothing; where all values that count are equal, the Clopper-Pearson share of units may differ from them,
        as in `influence_bounds`.
    """
    counted = np.ones(len(values), np.bool_) if weights is None else weights > 0.0
    n = len(np.unique(units[counted]))
    if n < 2:
        return low, high
    if is_constant(values[counted]):
        value, share = float(values[counted][0]), unseen_share(n, tail)
        lower = value - (share * (value - low) if value > low else 0.0)
        upper = value + (share * (high - value) if value < high else 0.0)
        return lower, upper
    drawn = bootstrap_replicates(values, units, seed, replicates, weights=weights)
    # The k-th smallest and largest of R replicates, k = tail (R + 1) rounded down: never the easier side.
    k = max(math.floor(tail * (replicates + 1)), 1)
    lower = float(np.sort(np.where(np.isnan(drawn), -np.inf, drawn))[k - 1])
    upper = float(np.sort(np.where(np.isnan(drawn), np.inf, drawn))[-k])
    if kind == "basic":
        center = float(np.average(values[counted], weights=None if weights is None else weights[counted]))
        lower, upper = 2.0 * center - upper, 2.0 * center - lower
    return min(max(lower, low), high), max(min(upper, high), low)
