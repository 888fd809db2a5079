"""Confidence intervals for what independent episodes show."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundschool.errors import InputError


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided interval and where that comes from.

    Attributes
    ----------
    value : float
        The point estimate.
    lower, upper : float
        Two-sided bounds at ``confidence``; ±inf (or the ends of the possible range) where the data bound nothing.
    confidence : float
        In (0, 1), e.g. 0.95.
    method : str
        How the interval was made.
    assurance : str
        "exact", "finite-sample", "asymptotic" or "heuristic".
    """

    value: float
    lower: float
    upper: float
    confidence: float
    method: str
    assurance: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: what is infinite or undefined is None, its key present."""
        return {
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "confidence": self.confidence,
            "method": self.method,
            "assurance": self.assurance,
        }


def clopper_pearson(events: int, n: int, confidence: float = 0.95) -> Interval:
    """Bound a probability from independent trials (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404).

    Parameters
    ----------
    events : int
        Trials with the event, 0 to n.
    n : int
        Independent trials, at least 1.
    confidence : float
        Two-sided: each tail holds (1 - confidence) / 2, also where one bound is 0 or 1.

    Returns
    -------
    Interval
        Exact (at least ``confidence`` for every probability and n). No event in n trials gives
        ``[0, 1 - ((1 - confidence) / 2) ** (1 / n)]``, never [0, 0].

    Raises
    ------
    InputError
        If events is not in 0..n, n is below 1 or confidence is not in (0, 1).
    """
    tail = (1.0 - _confidence(confidence)) / 2.0
    try:
        events, n = operator.index(events), operator.index(n)
    except TypeError:
        raise InputError(f"events and n are {events!r} and {n!r}, expected whole numbers.") from None
    if n < 1 or not 0 <= events <= n:
        raise InputError(f"events = {events} of n = {n}, expected n >= 1 and 0 <= events <= n.")
    # The beta quantiles of the two ends in closed form, so that 0 and n lose no digit.
    if events == 0:
        lower, upper = 0.0, -math.expm1(math.log(tail) / n)
    elif events == n:
        lower, upper = math.exp(math.log(tail) / n), 1.0
    else:
        lower = float(stats.beta.ppf(tail, events, n - events + 1))
        upper = float(stats.beta.isf(tail, events + 1, n - events))
    return Interval(events / n, lower, upper, confidence, "Clopper-Pearson", "exact")


def mean_t(
    values: ArrayLike, confidence: float = 0.95, *, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Bound the mean of independent values by Student's t.

    Parameters
    ----------
    values : array, shape (n,)
        Finite, n at least 1.
    confidence : float
        Two-sided: the quantile is that of ``1 - (1 - confidence) / 2``.
    bounds : (float, float)
        The range that a single value can lie in, where it is known: the interval is cut to it.

    Returns
    -------
    Interval
        Asymptotic. One value alone, or a sample without any variance (thirty times the same return, no cost ever seen),
        says nothing about the spread: a rare large value may be missing from it. Its interval is not [v, v]. With known
        ``bounds`` it is what remains when at most the Clopper-Pearson share of values differs from v; where a bound is
        infinite so is that side of the interval. The method says so.

    Raises
    ------
    InputError
        If values are empty, not one-dimensional, not finite or outside the bounds.
    """
    tail = (1.0 - _confidence(confidence)) / 2.0
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InputError(f"values of shape {sample.shape}: a mean needs at least one finite value, in one dimension.")
    low, high = float(bounds[0]), float(bounds[1])
    if not (low <= sample.min() and sample.max() <= high):
        raise InputError(
            f"values run from {sample.min():g} to {sample.max():g}, outside their bounds [{low:g}, {high:g}]."
        )
    n, mean = len(sample), float(sample.mean())
    if n == 1 or sample.min() == sample.max():
        value = float(sample[0])
        other = clopper_pearson(0, n, confidence).upper
        lower = value - (other * (value - low) if low < value else 0.0)
        upper = value + (other * (high - value) if high > value else 0.0)
        method = "one value: spread unknown" if n == 1 else f"{n} equal values: spread unknown"
        known = math.isfinite(lower) and math.isfinite(upper)
        return Interval(value, lower, upper, confidence, method, "exact" if known else "heuristic")
    half = float(stats.t.isf(tail, n - 1)) * float(sample.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, max(mean - half, low), min(mean + half, high), confidence, "Student t", "asymptotic")


def clustered_error(values: NDArray[np.float64], clusters: NDArray[np.int64]) -> float:
    """Return the standard error of a mean over rows that come in episodes.

    Rows of one episode go together, so that N rows are fewer than N independent facts. The mean is taken as the ratio
    of episode sums to episode sizes, with its linearised variance (Cochran, Sampling Techniques, 3rd ed. 1977, §9A.2).

    Parameters
    ----------
    values : ndarray
        Shape (N,).
    clusters : ndarray of int
        Shape (N,): the episode of each row.

    Returns
    -------
    float
        inf with fewer than two episodes.
    """
    _, index = np.unique(clusters, return_inverse=True)
    index = index.reshape(-1)
    episodes = int(index.max()) + 1 if len(index) else 0
    if episodes < 2:
        return math.inf
    residual = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(episodes / (episodes - 1) * np.square(residual).sum()) / len(values))


def finite_or_none(value: float | None) -> float | None:
    """Return a float as JSON can hold it: None where it is infinite or undefined."""
    return float(value) if value is not None and math.isfinite(value) else None


def _confidence(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence!r}, expected a number between 0 and 1, such as 0.95.")
    return confidence
