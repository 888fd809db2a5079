"""How many further episodes would plausibly decide what these could not."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.forecast import Forecast
from groundschool.evaluation.problem import FloatArray, IntArray

POWER = 0.8
_MOST = 1_000  # times the episodes there are: beyond that no number is plausible
_ROLLED_OUT = 10_000_000
_NOTHING = 1e-100


def logged_episodes(
    forecast: Forecast,
    threshold: float,
    episodes: int,
    *,
    below: float | None,
    above: float | None,
    power: float = POWER,
) -> int | None:
    """Return how many more logged episodes would show on which side of a threshold the truth is.

    The least number of two digits at which one of both bounds is past the threshold with probability `power`, over
    where the truth may be and where the bound may fall (O'Hagan, Stevens & Campbell 2005, doi:10.1002/pst.175, call it
    assurance).

    Parameters
    ----------
    forecast : Forecast
    threshold : float
    episodes : int
        That there are.
    below, above : float or None
        How often the upper bound that would show the truth below the threshold may miss, and the lower one that would
        show it above; None where that would show nothing.
    power : float

    Returns
    -------
    int or None
        None where no number that the forecast reaches, up to a thousand times as many, is enough.
    """
    if not math.isfinite(forecast.value) or not math.isfinite(forecast.standard_error):
        return None
    further = _numbers(min(_MOST * episodes, forecast.reach - episodes))
    if not len(further):
        return None
    gap, decided = threshold - forecast.value, np.zeros(len(further))
    for tail, side in ((below, 1), (above, 0)):
        if tail is not None:
            width = forecast.widths(tail, episodes + further)[side]
            bounded = np.isfinite(width)
            width = np.where(bounded, width, 0.0)
            spread = np.hypot(forecast.standard_error, width / stats.norm.isf(tail))
            room = (gap if side else -gap) - width
            decided += bounded * stats.norm.cdf(room / np.maximum(spread, _NOTHING))
    enough = decided >= power
    return int(further[np.argmax(enough)]) if enough.any() else None


def by_rate(estimate: Estimate, value: float, rate: float) -> Forecast:
    """Forecast that bounds come nearer to a value as the number of episodes, to minus this power, goes down."""

    def widths(tail: float, episodes: IntArray) -> tuple[FloatArray, FloatArray]:
        lower, upper = estimate.bounds(tail)
        shrunk = (estimate.n_episodes / episodes) ** rate
        return abs(value - lower) * shrunk, abs(upper - value) * shrunk

    return Forecast(value, estimate.standard_error, widths, (_MOST + 1) * estimate.n_episodes)


def _numbers(most: int) -> IntArray:
    """Return the whole numbers of two digits, up to one."""
    found = np.concatenate([np.arange(1, 10), *(np.arange(10, 100) * 10**power for power in range(8))])
    return found[found <= most]


def rolled_out_episodes(value: float, limit: float, tail: float, power: float = POWER) -> int | None:
    """Return how many rolled out episodes would show on which side of a limit a probability is.

    The least number of two digits at which the Clopper-Pearson bound is past the limit with probability `power`, if the
    estimate is right.
    """
    value = min(max(value, 0.0), 1.0)
    if value == limit or math.isnan(value):
        return None
    n = _numbers(_ROLLED_OUT)
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
