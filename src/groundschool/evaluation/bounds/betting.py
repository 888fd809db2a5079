"""Lower bounds on a mean by betting against every smaller one, valid at every number of units.

Who believes that a mean is at most m, may be offered the bet that multiplies a stake by 1 + lambda (x - m) for each
value x: nobody gains by it in expectation, so that a stake grown by 1 / tail happens with probability `tail` at most
(Ville). The means against which no stake grows that far are the confidence set (Waudby-Smith & Ramdas 2023,
arXiv:2010.09686). A lower bound needs no upper limit of the values. How much is staked decides only the width: here
what would just suffice to reach 1 / tail with the units that are left (Voracek & Orabona 2025, arXiv:2505.22422).
"""

from __future__ import annotations

import bisect
import itertools
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
_UNSEEN = 0.5  # of a payoff of 0
_BISECTIONS = 45
_NOTHING = 1e-90
_LARGEST = 1e90  # what is above counts for less, so that cubes stay finite


@dataclass(frozen=True, eq=False)
class Wager:
    """Payoffs ``weights * (values - baseline) + baseline + beside``; their mean is at most the mean that is bounded.

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
    beside : (n,) or (n, k) float64 or None
        What is paid whatever the weights are; not negative.
    """

    weights: FloatArray
    values: FloatArray
    baseline: float = 0.0
    floor: float = 0.0
    shortfall: FloatArray | None = None
    beside: FloatArray | None = None

    def payoffs(self, rows: slice) -> FloatArray:
        """Return the payoffs of some units."""
        paid = self.weights[rows] * (self.values[rows] - self.baseline) + self.baseline
        if self.beside is not None:
            paid = paid + self.beside[rows]
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


def forecast_lower(wagers: Sequence[Wager], tail: float, rounds: int) -> float:
    """Forecast the bound that the best of some bets would give on so many other units like these.

    For choosing beforehand what to bet on; no bound itself. Parameters as for `betting_lower`.
    """
    return float(forecast_lowers(wagers, tail, np.array([rounds]))[0])


def forecast_lowers(wagers: Sequence[Wager], tail: float, rounds: NDArray[np.int64]) -> FloatArray:
    """Do what `forecast_lower` does, for several numbers of units (m,) at once."""
    target, quantile = -math.log(tail), float(stats.norm.isf(tail))
    best = np.full(len(rounds), -np.inf)
    for wager in wagers:
        payoffs = wager.payoffs(slice(None))
        mean, variance = float(payoffs.mean()), float(payoffs.var())
        rare = _RARE * target * (mean - wager.floor) / rounds
        best = np.maximum(best, mean - quantile * np.sqrt(variance / rounds) - rare)
    return best


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
        gained = np.clip((taken - low) / scale, 0.0, _LARGEST)
        lower = low + scale * betting_lower([Wager(gained, unit)], tail, ceiling=ceiling)
    if math.isfinite(high):
        spared = np.clip((high - taken) / scale, 0.0, _LARGEST)
        upper = high - scale * betting_lower([Wager(spared, unit)], tail, ceiling=ceiling)
    return lower, upper


class _Table:
    """One pass over the units: what was staked, on what, and what came of it."""

    def __init__(self, wagers: Sequence[Wager], tail: float, ceiling: float) -> None:
        self.wagers, self.target, self.ceiling = wagers, -math.log(tail), ceiling
        self.quantile = float(stats.norm.isf(tail))
        self.n = len(wagers[0].weights)
        size = max(1, -(-self.n // _BLOCKS))
        self.edges = [*range(0, self.n, size), self.n]
        self.payoffs, self.floors = np.empty(self.n), np.empty(self.n)
        self.stakes: list[FloatArray] = []  # of each block: (1,) before there are cells, then (cells,)

    def bound(self) -> float:
        if self.n < 2:
            return 0.0
        early = bisect.bisect_left(self.edges, _CELLS_FROM * self.n)
        ends, capital = np.empty(0), np.zeros(1)
        refuted = np.empty(0, np.bool_)
        for first, last in itertools.pairwise(self._stages()):
            wager = self._chosen(self.edges[first])
            payoffs = wager.payoffs(slice(0, self.edges[last]))
            new = slice(self.edges[first], self.edges[last])
            self.payoffs[new], self.floors[new] = payoffs[new], wager.floor
            means, variances, skews = _moments(payoffs, self.edges[first:last], self.ceiling)
            for block in range(first, last):
                begin, end, at = self.edges[block], self.edges[block + 1], block - first
                if block == early:
                    ends = self._cells(float(means[at]), float(variances[at]), begin)
                    if not len(ends):
                        return 0.0
                    capital = self._capital(ends)
                    refuted = capital >= self.target
                stake = _stake(self.target - capital, float(variances[at]), float(skews[at]), self.n - begin)
                self.stakes.append(stake)
                if len(ends):
                    stake = np.minimum(stake, _STAKE / (ends - wager.floor))
                    capital = capital + np.log1p(stake * (payoffs[begin:end, None] - ends)).sum(axis=0)
                    refuted |= capital >= self.target
        return self._edge(ends, refuted)

    def _stages(self) -> list[int]:
        """Return the blocks at which a wager is chosen, and the end."""
        later = []
        if len(self.wagers) > 1:
            later = [bisect.bisect_left(self.edges, max(share * self.n, _CHOICE)) for share in _LEARNING]
        last = len(self.edges) - 1
        return sorted({0, last, *(block for block in later if block < last)})

    def _chosen(self, seen: int) -> Wager:
        """Return the wager that promises the highest bound from the rest of the units."""
        first = self.wagers[0]
        if not seen:
            return first
        rows, rest = slice(0, seen), self.n - seen
        forecasts = []
        for wager in self.wagers:
            payoffs = wager.payoffs(rows)
            mean = max(float(payoffs.sum()) / (seen + _UNSEEN), 0.0)
            variance = max(float(payoffs @ payoffs) / (seen + _UNSEEN) - mean * mean, 0.0)
            rare = _RARE * self.target * (mean - wager.floor) / rest
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

    def _capital(self, means: FloatArray) -> FloatArray:
        """Return the logarithm of what the early stakes, the same for all means, have become."""
        stake = np.repeat(np.concatenate(self.stakes), np.diff(self.edges[: len(self.stakes) + 1]))
        floors, payoffs = self.floors[: len(stake)], self.payoffs[: len(stake)]
        return np.array([_log_growth(stake, floors, payoffs, float(mean)).sum() for mean in means])

    def _edge(self, ends: FloatArray, refuted: NDArray[np.bool_]) -> float:
        """Return the least mean that is not refuted."""
        if refuted.all():
            return float(ends[-1])
        cell = int(np.argmin(refuted))
        stake = np.repeat([float(s[cell if len(s) > 1 else 0]) for s in self.stakes], np.diff(self.edges))
        low, high = (float(ends[cell - 1]) if cell else 0.0), float(ends[cell])
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            growth = np.cumsum(_log_growth(stake, self.floors, self.payoffs, middle)).max()
            low, high = (middle, high) if growth >= self.target else (low, middle)
        return low


def _log_growth(stake: FloatArray, floors: FloatArray, payoffs: FloatArray, mean: float) -> FloatArray:
    return np.asarray(np.log1p(np.minimum(stake, _STAKE / (mean - floors)) * (payoffs - mean)))


def _stake(left: FloatArray, variance: float, skew: float, rounds: int) -> FloatArray:
    """Return what would carry the logarithm of the capital as far as is left in as many rounds as are left."""
    if not variance:
        return np.zeros_like(left)
    stake = np.sqrt(2.0 * np.maximum(left, 0.0) / (rounds * variance))
    return np.asarray(stake / (1.0 + _SKEW * skew * stake))


def _moments(payoffs: FloatArray, seen: Sequence[int], ceiling: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, variance and how much of it is rare loss, of the payoffs up to each count of units, (counts,) each.

    A part of a payoff of 0 is added to those seen: nobody has seen the worst.
    """
    counts = np.asarray(seen)
    powers = np.cumsum(np.concatenate([np.zeros((3, 1)), np.stack([payoffs, payoffs**2, payoffs**3])], axis=1), axis=1)
    first, second, third = powers[:, counts] / (counts + _UNSEEN)
    variance = np.maximum(second - np.square(first), 0.0)
    central = third - 3.0 * first * second + 2.0 * first**3
    skew = np.maximum(-np.divide(central, variance, out=np.zeros_like(central), where=variance > 0.0), 0.0)
    if math.isfinite(ceiling):
        first, variance = np.where(counts > 0, first, 0.5), np.where(counts > 0, variance, 0.25)
    return first, variance, skew
