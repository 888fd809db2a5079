"""Lower bounds on a mean by betting against every smaller one, valid at every number of units.

Who believes that a mean is at most m, may be offered the bet that multiplies a stake by 1 + lambda (x - m) for each
value x: nobody gains by it in expectation, so that a stake grown by 1 / tail happens with probability `tail` at most
(Ville). The means against which no stake grows that far are the confidence set (Waudby-Smith & Ramdas 2023,
arXiv:2010.09686). A lower bound needs no upper limit of the values. How much is staked decides only the width: here
what would just suffice to reach 1 / tail with the units that are left (Voracek & Orabona 2025, arXiv:2505.22422).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

_BLOCKS = 400  # stakes are set anew that often
_LEARNING = (0.2, 0.4)  # the wager is chosen anew after these shares of the units
_CELLS_FROM = 0.1  # from here on stakes depend on the mean in question
_CELL = 0.2  # standard errors a cell
_STAKE = 0.98  # largest share of the stake that one unit can lose
_CHOICE = 100  # units that a choice among wagers rests on at least
_GAIN = 0.85  # a wager replaces the first if its forecast is that much better
_RARE = 1.3  # weight of the least possible payoff in the forecast
_SKEW = 0.5  # how far rare losses hold a stake back: 1 against all that may come, 0 for a coin
_BISECTIONS = 45
_NOTHING = 1e-100


@dataclass(frozen=True, eq=False)
class Wager:
    """Payoffs ``weights * (values - baseline) + baseline``, whose mean is at most the mean that is bounded.

    Attributes
    ----------
    weights, values : (n,) or (n, k) float64
        Not negative; of k episodes that make a unit, the mean counts.
    baseline : float
        A control variate: weights have mean 1, so that any baseline leaves the mean as it is.
    floor : float
        The least possible payoff; at most 0.
    shortfall : (n,) or (n, k) float64 or None
        What each takes from the mean that is bounded: the price of limited weights. Only for choosing.
    """

    weights: FloatArray
    values: FloatArray
    baseline: float = 0.0
    floor: float = 0.0
    shortfall: FloatArray | None = None

    def payoffs(self, rows: slice) -> FloatArray:
        """Return the payoffs of some units."""
        paid = self.weights[rows] * (self.values[rows] - self.baseline) + self.baseline
        return np.asarray(paid if paid.ndim == 1 else paid.mean(axis=1))


def betting_lower(wagers: Sequence[Wager], tail: float, *, ceiling: float = math.inf) -> float:
    """Bound a mean from below, missing with probability `tail` at most.

    Parameters
    ----------
    wagers : sequence of Wager
        On the same independent units, in an order that has nothing to do with their values. The first is taken until
        the units seen speak for another.
    tail : float
        In (0, 1).
    ceiling : float
        The largest that the mean can be.

    Returns
    -------
    float
        At least 0.

    Notes
    -----
    Every stake is set from earlier units alone, so that the stake is a nonnegative supermartingale for the true mean
    whatever it is set from. The means are divided into cells (on sight of the first tenth of the units, when stakes did
    not depend on them yet); within a cell the stakes are the same, so that the capital falls as the mean rises. A cell
    is passed if its upper end is refuted; in the first one that is not, the bound is found exactly. Values of equal
    means would do; they need not be identically distributed.
    """
    return _Table(wagers, tail, ceiling).bound()


def mean_bounds(
    values: FloatArray, tail: float, *, low: float = 0.0, high: float = math.inf, seed: int = 0
) -> tuple[float, float]:
    """Bound the mean of independent values in [low, high] by betting, each side missing with probability `tail`.

    Parameters
    ----------
    values : (n,) float64
    tail : float
        In (0, 1).
    low, high : float
        What a value can be; a side whose opposite end is infinite is unbounded.
    seed : int
        For the order in which the values are taken.

    Returns
    -------
    (float, float)
    """
    order = np.random.default_rng(seed).permutation(len(values))
    taken, unit = np.asarray(values, np.float64)[order], np.ones(len(values))
    span = high - low
    if span <= 0.0:
        return low, high
    scale = span if math.isfinite(span) else 1.0
    ceiling = 1.0 if math.isfinite(span) else math.inf
    lower, upper = low, high
    if math.isfinite(low):
        lower = low + scale * betting_lower([Wager((taken - low) / scale, unit)], tail, ceiling=ceiling)
    if math.isfinite(high):
        upper = high - scale * betting_lower([Wager((high - taken) / scale, unit)], tail, ceiling=ceiling)
    return lower, upper


class _Table:
    """One pass over the units: what was staked, on what, and what came of it."""

    def __init__(self, wagers: Sequence[Wager], tail: float, ceiling: float) -> None:
        self.wagers, self.target, self.ceiling = wagers, -math.log(tail), ceiling
        self.quantile = float(stats.norm.isf(tail))
        self.n = len(wagers[0].weights)
        size = max(1, -(-self.n // _BLOCKS))
        self.edges = np.append(np.arange(0, self.n, size), self.n)
        self.payoffs = np.empty(self.n)
        self.floors = np.empty(self.n)

    def bound(self) -> float:
        if self.n < 2:
            return 0.0
        early = self.edges[np.searchsorted(self.edges, _CELLS_FROM * self.n)]
        ends = np.empty(0)
        capital = np.empty(0)
        refuted = np.empty(0, np.bool_)
        stakes: list[FloatArray] = []
        plans = [int(share * self.n) for share in _LEARNING]
        wager = self.wagers[0]
        sums = np.zeros(3)
        for begin, end in zip(self.edges[:-1], self.edges[1:], strict=True):
            if plans and begin >= max(plans[0], _CHOICE):
                plans = [plan for plan in plans if plan > begin]
                wager = self._chosen(int(begin))
                sums = _power_sums(wager.payoffs(slice(0, begin)))
            mean, variance, skew = _moments(sums, int(begin), self.ceiling)
            if begin == early:
                ends = self._cells(mean, variance, int(begin))
                if not len(ends):
                    return 0.0
                capital = self._capital(ends, stakes, int(begin))
                refuted = capital >= self.target
            rows = slice(int(begin), int(end))
            payoffs = wager.payoffs(rows)
            self.payoffs[rows], self.floors[rows] = payoffs, wager.floor
            left = self.target - capital if len(ends) else np.full(1, self.target)
            stake = self._stake(left, variance, skew, self.n - int(begin))
            stakes.append(stake)
            if len(ends):
                limited = np.minimum(stake, _STAKE / (ends - wager.floor))
                capital = capital + np.log1p(limited * (payoffs[:, None] - ends)).sum(axis=0)
                refuted |= capital >= self.target
            sums = sums + _power_sums(payoffs)
        return self._edge(ends, refuted, stakes, early)

    def _stake(self, left: FloatArray, variance: float, skew: float, rounds: int) -> FloatArray:
        if not variance:
            return np.zeros_like(left)
        stake = np.sqrt(2.0 * np.maximum(left, 0.0) / (rounds * variance))
        return np.asarray(stake / (1.0 + _SKEW * skew * stake))

    def _chosen(self, seen: int) -> Wager:
        """Return the wager that promises the highest bound from the rest of the units."""
        first = self.wagers[0]
        if len(self.wagers) == 1:
            return first
        rows, rest = slice(0, seen), self.n - seen
        forecasts = []
        for wager in self.wagers:
            payoffs = wager.payoffs(rows)
            mean, variance, _ = _moments(_power_sums(payoffs), seen, self.ceiling)
            rare = _RARE * self.target * (max(mean, 0.0) - wager.floor) / rest
            price = 0.0 if wager.shortfall is None else float(wager.shortfall[rows].mean())
            forecasts.append(self.quantile * math.sqrt(variance / rest) + rare + price)
        best = int(np.argmin(forecasts))
        return self.wagers[best] if forecasts[best] < _GAIN * forecasts[0] else first

    def _cells(self, mean: float, variance: float, seen: int) -> FloatArray:
        """Return the upper ends of cells of means, rising; none where no payoff was worth anything."""
        if mean < _NOTHING:
            return np.empty(0)
        error, first = math.sqrt(variance / self.n), math.sqrt(variance / seen)
        low, high = mean - 4.0 * (first + error), mean + 4.0 * first
        near = np.arange(low, high, _CELL * error) if error > 1e-9 * mean else np.array([mean])
        wide = mean * np.geomspace(1e-3, 10.0, 25)
        top = self.ceiling if math.isfinite(self.ceiling) else 100.0 * max(high, mean)
        ends = np.unique(np.concatenate([near, wide, [top]]))
        return np.asarray(ends[(ends > 0.0) & (ends <= top)])

    def _capital(self, means: FloatArray, stakes: list[FloatArray], seen: int) -> FloatArray:
        """Return the logarithm of what the early stakes, the same for all means, have become."""
        if not seen:
            return np.zeros(len(means))
        stake = np.repeat([float(stake[0]) for stake in stakes], np.diff(self.edges)[: len(stakes)])
        floors, payoffs = self.floors[:seen], self.payoffs[:seen]
        return np.array(
            [np.log1p(np.minimum(stake, _STAKE / (mean - floors)) * (payoffs - mean)).sum() for mean in means]
        )

    def _edge(self, ends: FloatArray, refuted: NDArray[np.bool_], stakes: list[FloatArray], early: int) -> float:
        if refuted.all():
            return float(ends[-1])
        cell = int(np.argmin(refuted))
        stake = np.repeat([float(s[cell if len(s) > 1 else 0]) for s in stakes], np.diff(self.edges))
        low, high = (float(ends[cell - 1]) if cell else 0.0), float(ends[cell])
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            steps = np.log1p(np.minimum(stake, _STAKE / (middle - self.floors)) * (self.payoffs - middle))
            low, high = (middle, high) if np.cumsum(steps).max() >= self.target else (low, middle)
        return low


def _power_sums(payoffs: FloatArray) -> FloatArray:
    return np.array([payoffs.sum(), np.square(payoffs).sum(), (payoffs**3).sum()])


def _moments(sums: FloatArray, seen: int, ceiling: float) -> tuple[float, float, float]:
    """Return mean, variance and how much of it is rare loss, with one payoff of 0 added to those seen."""
    if not seen:
        return (0.5, 0.25, 0.0) if math.isfinite(ceiling) else (0.0, 0.0, 0.0)
    first, second, third = sums / (seen + 1)
    variance = max(second - first * first, 0.0)
    if not variance:
        return first, 0.0, 0.0
    central = third - 3.0 * first * second + 2.0 * first**3
    return float(first), float(variance), max(-float(central) / float(variance), 0.0)
