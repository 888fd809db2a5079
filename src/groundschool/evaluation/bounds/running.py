"""Bounds on a mean that may be looked at after every value."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MOST_STAKED = 0.5  # c in the paper, so that the logarithm of 1 - stake stays small


def running_bounds(values: FloatArray, tail: float, *, low: float, high: float) -> tuple[float, float]:
    """Bound the mean of values in [low, high], however it was decided when to stop taking them.

    The predictable plug-in empirical-Bernstein confidence sequence (Waudby-Smith & Ramdas 2023, arXiv:2010.09686,
    theorem 2), at its last value.

    Parameters
    ----------
    values : (n,) float64
        In the order in which they came; each has the same mean whatever came before it.
    tail : float
        How often, at most, each side ever misses.
    low, high : float
        Finite: what a value can be.

    Returns
    -------
    (float, float)
        Cut to the range; all of it without any value.
    """
    n, span = len(values), high - low
    if not n or span <= 0.0:
        return low, high
    x = (np.asarray(values, np.float64) - low) / span
    count = np.arange(1, n + 1)
    level = -math.log(tail)
    means = (0.5 + np.cumsum(x)) / (count + 1)
    variances = (0.25 + np.cumsum(np.square(x - means))) / (count + 1)
    mean_before = np.concatenate([[0.5], means[:-1]])
    variance_before = np.concatenate([[0.25], variances[:-1]])
    stakes = np.minimum(np.sqrt(2.0 * level / (variance_before * count * np.log1p(count))), _MOST_STAKED)
    price = (-np.log1p(-stakes) - stakes) @ np.square(x - mean_before)
    center, width = float(stakes @ x / stakes.sum()), float((level + price) / stakes.sum())
    return low + span * max(center - width, 0.0), low + span * min(center + width, 1.0)
