"""Counting harm while it may happen: tests and bounds on a probability that hold however often one looks.

Against "the probability is at least p" stands a beta mixture of all smaller ones, against "at most p" one of all larger
ones; the ratio of the mixture's likelihood to that of p itself exceeds 1 / tail with probability `tail` at most,
ever, if the statement is true (Robbins 1970, doi:10.1214/aoms/1177696786; Ville 1939). A mixture loses little against
Wald's test for one alternative, and needs none to be named.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

SAFER = (0.5, 0.5)  # Jeffreys' prior, of which what is below p counts
WORSE = (2.0, 1.5)  # shape, and mean in multiples of p, of the prior of which what is above p counts
_BISECTIONS = 60


def evidence_below(events: ArrayLike, episodes: ArrayLike, probability: float) -> FloatArray:
    """Return the logarithm of the evidence that an event is less probable than it is said to be.

    Parameters
    ----------
    events, episodes : int arrays of one shape
        Counted so far.
    probability : float
        In (0, 1).

    Returns
    -------
    float64 array
        Above ``log(1 / tail)``, at whatever number of episodes, with probability `tail` at most if an event has at
        least that probability.
    """
    x, n = np.asarray(events, np.float64), np.asarray(episodes, np.float64)
    a, b = SAFER
    return _evidence(x, n, probability, a, b, special.betainc)


def evidence_above(events: ArrayLike, episodes: ArrayLike, probability: float) -> FloatArray:
    """Return the logarithm of the evidence that an event is more probable than it is said to be."""
    x, n = np.asarray(events, np.float64), np.asarray(episodes, np.float64)
    shape, times = WORSE
    mean = min(times * probability, 0.5 * (1.0 + probability))
    return _evidence(x, n, probability, shape, shape * (1.0 - mean) / mean, special.betaincc)


def upper_bound(events: int, episodes: int, tail: float) -> float:
    """Return the largest probability that so many events leave possible; it may be looked at after every episode.

    Parameters
    ----------
    events, episodes : int
    tail : float
        How often, at most, the true probability is ever above.

    Returns
    -------
    float
        In (0, 1]; 1 without any episode.
    """
    low, high = events / episodes if episodes else 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        refuted = evidence_below(events, episodes, middle) >= -math.log(tail) if 0.0 < middle < 1.0 else False
        low, high = (low, middle) if refuted else (middle, high)
    return high


def lower_bound(events: int, episodes: int, tail: float) -> float:
    """Return the least probability that so many events leave possible; it may be looked at after every episode."""
    low, high = 0.0, events / episodes if episodes else 0.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        refuted = evidence_above(events, episodes, middle) >= -math.log(tail) if 0.0 < middle < 1.0 else False
        low, high = (middle, high) if refuted else (low, middle)
    return low


def _evidence(x: FloatArray, n: FloatArray, p: float, a: float, b: float, share: np.ufunc) -> FloatArray:
    """Return the log likelihood of a beta prior, cut at p and of mass 1 on its side, over that of p itself."""
    mixed = special.betaln(a + x, b + n - x) - special.betaln(a, b)
    with np.errstate(divide="ignore"):
        mixed += np.log(share(a + x, b + n - x, p)) - np.log(share(a, b, p))
    return np.asarray(mixed - special.xlogy(x, p) - special.xlog1py(n - x, -p))
