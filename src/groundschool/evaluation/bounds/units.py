"""Episodes that belong together, as one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDING = 1e-12


def unit_sums(values: FloatArray, units: IntArray) -> FloatArray:
    """Sum values (E,) over the units (E,) they belong to; numbers that no value has are left out."""
    sizes = np.bincount(units)
    return np.asarray(np.bincount(units, weights=values)[sizes > 0])


def unit_sizes(units: IntArray) -> IntArray:
    """Count the values of each unit."""
    sizes = np.bincount(units)
    return np.asarray(sizes[sizes > 0])


def is_constant(values: FloatArray) -> bool:
    """Whether values differ by no more than rounding."""
    low, high = float(values.min()), float(values.max())
    return high - low <= _ROUNDING * max(abs(low), abs(high))


def unseen_share(n: int, tail: float) -> float:
    """Return the largest probability of what n independent trials never showed: Clopper-Pearson, one-sided."""
    return -math.expm1(math.log(tail) / n)
