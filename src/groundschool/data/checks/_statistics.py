"""The few tests that the statistical checks rest on. SciPy is imported where it is used: it is slow to load."""

from __future__ import annotations

import numpy as np

from groundschool.data.validation import Array


def mean_above(of_units: Array, null: float = 0.0) -> float:
    """Return the p value of one value a unit having a mean of at most `null`: Student's t test, one-sided."""
    from scipy import stats

    n = len(of_units)
    spread = float(of_units.std(ddof=1)) if n > 1 else 0.0
    excess = float(of_units.mean()) - null
    if spread <= 1e-12 * max(abs(excess), 1e-300):
        return 0.0 if excess > 0 and n > 1 else 1.0
    return float(stats.t.sf(excess / (spread / np.sqrt(n)), n - 1))


def rate_below(events: int, n: int, alpha: float) -> float:
    """Return the upper confidence bound of a rate, one-sided at 1 - alpha (Clopper and Pearson 1934)."""
    from scipy import stats

    return 1.0 if events >= n else float(stats.beta.ppf(1.0 - alpha, events + 1, n - events))


def rate_above(events: int, n: int, alpha: float) -> float:
    """Return the lower confidence bound of a rate, one-sided at 1 - alpha (Clopper and Pearson 1934)."""
    from scipy import stats

    return 0.0 if events <= 0 else float(stats.beta.ppf(alpha, events, n - events + 1))


def log_mean_exp(values: Array) -> float:
    """Return the logarithm of the mean of exp(values)."""
    top = float(values.max())
    if top == -np.inf:
        return top
    return top + float(np.log(np.mean(np.exp(values - top))))
