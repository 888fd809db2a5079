"""How many further episodes would plausibly decide what these could not."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

POWER = 0.8
ASYMPTOTIC = 1 / 2
WEIGHTED = 1 / 3  # of bounds from weights, the largest of which are seen late: found in simulated studies
_MOST = 1_000  # times the episodes there are: beyond that no number is plausible
_ROLLED_OUT = 10_000_000


def logged_episodes(
    value: float,
    bound: float,
    threshold: float,
    standard_error: float,
    episodes: int,
    *,
    rate: float = ASYMPTOTIC,
    power: float = POWER,
) -> int | None:
    """Return how many more logged episodes would carry a bound past a threshold.

    The bound is to pass the threshold with probability `power` if the estimate is right, for which it must have room
    for the error that the next estimate will have.

    Parameters
    ----------
    value, bound, threshold : float
        The estimate, its one-sided bound at the level of the next look, on the side of the threshold, and that.
    standard_error : float
    episodes : int
        That the bound rests on.
    rate : float
        Widths shrink with the number of episodes to minus this power.
    power : float

    Returns
    -------
    int or None
        Rounded up to two digits; None where no number up to a thousand times as many is enough.
    """
    gap = abs(threshold - value)
    width = abs(bound - value) + float(stats.norm.ppf(power)) * standard_error
    if not math.isfinite(width) or not math.isfinite(gap) or gap * _MOST**rate < width:
        return None
    return rounded_up(max(episodes * (width / gap) ** (1.0 / rate) - episodes, 1.0))


def rolled_out_episodes(value: float, limit: float, tail: float, power: float = POWER) -> int | None:
    """Return how many rolled out episodes would show on which side of a limit a probability is.

    The least number of two digits at which the Clopper-Pearson bound is past the limit with probability `power`, if the
    estimate is right.
    """
    value = min(max(value, 0.0), 1.0)
    if value == limit or math.isnan(value):
        return None
    n = np.concatenate([np.arange(1, 10), *(np.arange(10, 100) * 10**power for power in range(6))])
    if value < limit:
        # The upper bound from k events is at most the limit where k or fewer are as rare as that under the limit.
        most = stats.binom.ppf(tail, n, limit)
        most -= stats.binom.cdf(most, n, limit) > tail
        shown = np.where(most >= 0, stats.binom.cdf(most, n, value), 0.0)
    else:
        shown = stats.binom.sf(stats.binom.isf(tail, n, limit), n, value)
    enough = shown >= power
    return int(n[np.argmax(enough)]) if enough.any() else None


def rolled_out_returns(value: float, threshold: float, deviation: float, tail: float) -> int | None:
    """Return how many rolled out episodes would show on which side of a threshold a mean return is."""
    gap = abs(threshold - value)
    if not gap or not math.isfinite(gap) or not math.isfinite(deviation):
        return None
    needed = ((float(stats.norm.isf(tail)) + float(stats.norm.ppf(POWER))) * deviation / gap) ** 2
    return rounded_up(max(needed, 2.0)) if needed <= _ROLLED_OUT else None


def rounded_up(number: float) -> int:
    """Return the least whole number of two leading digits that is not below."""
    size: int = 10 ** max(math.floor(math.log10(max(number, 1.0))) - 1, 0)
    return math.ceil(number / size - 1e-9) * size
