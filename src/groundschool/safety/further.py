"""How many further episodes would plausibly decide what these could not."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats

from groundschool.evaluation.diagnostics.support import MOST_CLIPPED, MOST_FEW, MOST_LEFT, MOST_SELDOM
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.intervals import clopper_pearson

POWER = 0.8
_MOST = 1_000  # times the episodes there are: beyond that no number is plausible
_LEAST, _LARGEST = 1.0, 32.0  # times as many, where support is what is missing
_ROLLED_OUT = 10_000_000
_SUPPORT = {"left": MOST_LEFT, "seldom": MOST_SELDOM, "few": MOST_FEW, "clipped": MOST_CLIPPED}


def logged_episodes(
    value: float, bound: float, threshold: float, standard_error: float, episodes: int, power: float = POWER
) -> int | None:
    """Return how many more logged episodes would carry a bound past a threshold.

    Widths shrink with the square root of the episodes. The bound is to pass the threshold with probability `power` if
    the estimate is right, for which it must have room for the error that the next estimate will have.

    Parameters
    ----------
    value, bound, threshold : float
        The estimate, its one-sided bound at the level of the next look, on the side of the threshold, and that.
    standard_error : float
    episodes : int
        That the bound rests on.
    power : float

    Returns
    -------
    int or None
        Rounded up to two digits; None where no number up to a thousand times as many is enough.
    """
    gap = abs(threshold - value)
    width = abs(bound - value) + float(stats.norm.ppf(power)) * standard_error
    if not math.isfinite(width) or not math.isfinite(gap) or gap * math.sqrt(_MOST) < width:
        return None
    return rounded_up(max(episodes * (width / gap) ** 2 - episodes, 1.0))


def supported_episodes(estimate: Estimate) -> int | None:
    """Return how many more logged episodes may bring the support that an estimate lacks.

    The share of a policy's steps where too little was logged falls about as fast as the log grows. What no log of that
    logger would support does not, so that this is a guess.
    """
    facts = estimate.diagnostics.get("support", {})
    missing = [float(facts[name]) / most for name, most in _SUPPORT.items() if facts.get(name) is not None]
    worst = max(missing, default=0.0)
    if not _LEAST < worst < math.inf:
        return None
    return rounded_up(estimate.n_episodes * (min(max(worst, 2.0), _LARGEST) - 1.0))


def rolled_out_episodes(value: float, limit: float, tail: float, power: float = POWER) -> int | None:
    """Return how many rolled out episodes would show on which side of a limit a probability is.

    The least number at which the Clopper-Pearson bound is past the limit with probability `power`, if the estimate is
    right.
    """
    value = min(max(value, 0.0), 1.0)
    if value == limit or math.isnan(value):
        return None

    def shown(n: int) -> bool:
        return _shown(value, limit, n, tail) >= power

    return _least(shown)


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


def _shown(value: float, limit: float, n: int, tail: float) -> float:
    """Return the probability that n episodes show it."""
    confidence = 1.0 - 2.0 * tail
    if value < limit:
        most = _largest(lambda k: clopper_pearson(k, n, confidence).upper <= limit, n)
        return float(stats.binom.cdf(most, n, value)) if most >= 0 else 0.0
    most = _largest(lambda k: clopper_pearson(k, n, confidence).lower <= limit, n)
    return float(stats.binom.sf(most, n, value))


def _largest(holds: Callable[[int], bool], n: int) -> int:
    """Return the largest count up to n of which something holds that holds of all smaller ones; -1 for none."""
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle <= n and holds(middle) else (low, middle)
    return min(low, n)


def _least(holds: Callable[[int], bool]) -> int | None:
    """Return the least of the numbers of two digits at which something holds."""
    for power in range(7):
        for digits in range(1 if not power else 10, 100):
            if holds(number := digits * int(10**power)):
                return number
    return None
