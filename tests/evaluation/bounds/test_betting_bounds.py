"""Betting: every sequence of a small process, a slow second implementation, coverage, width, degenerate samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from groundschool.evaluation.bounds.bernstein import empirical_bernstein_bounds
from groundschool.evaluation.bounds.betting import Wager, betting_lower, mean_bounds


def lower(values, tail, ceiling=1.0):
    values = np.asarray(values, float)
    return betting_lower([Wager(values, np.ones(len(values)))], tail, ceiling=ceiling)


@pytest.mark.parametrize("tail", [0.05, 0.3])
@pytest.mark.parametrize("support", [(0.0, 1.0), (0.0, 0.3, 1.0)], ids=["coin", "three values"])
def test_every_sequence_of_a_small_process(support, tail):
    # The probability of a miss is added up over all sequences: no replicates, no tolerance.
    n = 8 if len(support) == 2 else 5
    sequences = np.array(list(itertools.product(range(len(support)), repeat=n)))
    bounds = np.array([lower(np.array(support)[s], tail) for s in sequences])
    for first in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
        chances = (
            np.array([first, 1 - first]) if len(support) == 2 else np.array([first, (1 - first) / 2, (1 - first) / 2])
        )
        mean = float(chances @ np.array(support))
        missed = float(chances[sequences].prod(axis=1)[bounds > mean + 1e-12].sum())
        assert missed <= tail


def by_hand(values, tail):
    """Find the bound unit by unit in plain Python, for at most 400 units (so that every unit has its own stake)."""
    n, target = len(values), math.log(1 / tail)

    def moments(t):
        if t == 0:
            return 0.5, 0.25, 0.0
        mean = sum(values[:t]) / (t + 0.5)  # half a payoff of 0 is added
        variance = (sum((x - mean) ** 2 for x in values[:t]) + 0.5 * mean**2) / (t + 0.5)
        third = (sum((x - mean) ** 3 for x in values[:t]) - 0.5 * mean**3) / (t + 0.5)
        return mean, variance, max(-third / variance, 0.0) if variance > 1e-300 else 0.0

    early = math.ceil(0.1 * n)
    mean, variance, _ = moments(early)
    error, first = math.sqrt(variance / n), math.sqrt(variance / early)
    near = np.arange(mean - 4 * (first + error), mean + 4 * first, 0.2 * error)
    ends = sorted({e for e in (*near, *(mean * np.geomspace(1e-3, 10, 25)), 1.0) if 0 < e <= 1})

    def stakes(end):
        found, capital = [], 0.0
        for t, x in enumerate(values):
            _, variance, skew = moments(t)
            left = target if t < early else max(target - capital, 0.0)
            stake = math.sqrt(2 * left / ((n - t) * variance))
            found.append(stake / (1 + 0.5 * skew * stake))
            capital += math.log1p(min(found[-1], 0.98 / end) * (x - end))
        return found

    def peak(mean, found):
        capital, best = 0.0, -math.inf
        for x, stake in zip(values, found, strict=True):
            capital += math.log1p(min(stake, 0.98 / mean) * (x - mean))
            best = max(best, capital)
        return best

    below = 0.0
    for end in ends:
        found = stakes(end)
        if peak(end, found) < target:
            break
        below = end
    low, high = below, end
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if peak(middle, found) >= target else (low, middle)
    return low


@pytest.mark.parametrize("n", [12, 60, 150])
@pytest.mark.parametrize("shape", ["coin", "uniform", "skewed"])
def test_like_a_slow_second_implementation(shape, n):
    rng = np.random.default_rng(n)
    values = {"coin": rng.random(n) < 0.8, "uniform": rng.random(n), "skewed": rng.beta(0.3, 2.0, n)}[shape].astype(
        float
    )
    assert lower(values, 0.05) == pytest.approx(by_hand(values.tolist(), 0.05), abs=1e-9)


@pytest.mark.parametrize("n", [59, 500])
def test_without_events_nearly_clopper_pearson(n):
    # n units without an event: no bound can be better than 1 - tail^(1 / n), the event's largest exact probability.
    exact, found = 1 - 0.05 ** (1 / n), 1 - lower(np.ones(n), 0.05)
    assert exact < found < 1.15 * exact
    assert mean_bounds(np.zeros(n), 0.05, high=1.0) == pytest.approx((0.0, found))


def test_two_sides_mirror_each_other_and_scale():
    values = np.random.default_rng(0).random(200)
    low, high = mean_bounds(values, 0.05, high=1.0)
    assert low < values.mean() < high
    assert mean_bounds(1 - values, 0.05, high=1.0) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    wide = mean_bounds(20 * values - 5, 0.05, low=-5.0, high=15.0)
    assert wide == pytest.approx((20 * low - 5, 20 * high - 5), abs=1e-7)


def test_a_smaller_tail_is_wider_and_more_units_are_narrower():
    values = np.random.default_rng(1).random(4_000)
    by_tail = [mean_bounds(values[:300], tail, high=1.0) for tail in (0.2, 0.05, 0.005)]
    assert sorted(low for low, _ in by_tail) == [low for low, _ in reversed(by_tail)]
    assert sorted(high for _, high in by_tail) == [high for _, high in by_tail]
    widths = [np.diff(mean_bounds(values[:n], 0.05, high=1.0))[0] for n in (40, 200, 1_000, 4_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[3] == pytest.approx(widths[2] / 2, rel=0.25)


@pytest.mark.parametrize("n", [300, 3_000])
def test_narrower_than_empirical_bernstein(n):
    rng = np.random.default_rng(2)
    for values in (rng.random(n), (rng.random(n) < 0.05).astype(float), rng.beta(0.5, 5.0, n)):
        ours, theirs = mean_bounds(values, 0.05, high=1.0), empirical_bernstein_bounds(values, 0.05, low=0.0, high=1.0)
        assert ours[1] - ours[0] <= 0.8 * (theirs[1] - theirs[0])


def test_width_is_close_to_the_normal_one():
    # Not a promise, but what the stakes are made for: 1.645 standard errors, and not the 2.45 of a fixed stake.
    values = np.random.default_rng(3).random(5_000)
    error = values.std() / math.sqrt(5_000)
    assert values.mean() - mean_bounds(values, 0.05, high=1.0)[0] < 2.1 * error


DRAWS = {
    "weights": (lambda rng, n: np.exp(rng.normal(-0.5 * 1.5**2, 1.5, n)), 1.0),
    "heavy weights": (lambda rng, n: np.exp(rng.normal(-0.5 * 2.5**2, 2.5, n)), 1.0),
    "Pareto, no variance": (lambda rng, n: rng.pareto(1.2, n) * 0.2, 1.0),
    "rare": (lambda rng, n: 200.0 * (rng.random(n) < 0.005), 1.0),
}


@pytest.mark.parametrize("draw", DRAWS)
def test_lower_bound_covers_whatever_the_tail(draw):
    # At most .05 of 400 samples may miss: 4 binomial standard errors above that.
    sample, mean = DRAWS[draw]
    rng, missed = np.random.default_rng(4), 0
    for _ in range(400):
        missed += mean_bounds(sample(rng, 60), 0.05)[0] > mean
    assert missed / 400 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("probability", [0.02, 0.3])
def test_both_sides_cover_a_probability(probability):
    rng, missed = np.random.default_rng(5), np.zeros(2)
    for seed in range(250):
        low, high = mean_bounds((rng.random(80) < probability).astype(float), 0.05, high=1.0, seed=seed)
        missed += low > probability, high < probability
    assert (missed / 250 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 250)).all()


def test_sorted_values_mislead_nobody():
    # All events last: bets in that order would be lost at once. The order is drawn, so that sorting changes nothing.
    rng, missed = np.random.default_rng(6), 0
    for seed in range(300):
        values = np.sort(rng.random(60) < 0.3).astype(float)
        missed += mean_bounds(values, 0.1, seed=seed)[0] > 0.3
    assert missed / 300 <= 0.1 + 4 * math.sqrt(0.1 * 0.9 / 300)


@pytest.mark.parametrize("n", [1, 2, 3, 20])
@pytest.mark.parametrize("value", [0.0, 1e-300, 0.5, 1.0, 1e200])
def test_degenerate_samples_give_neither_a_point_nor_a_warning(n, value):
    low, high = mean_bounds(np.full(n, value), 0.05)
    assert 0.0 <= low <= value
    assert high == math.inf
    if value <= 1.0:
        low, high = mean_bounds(np.full(n, value), 0.05, high=1.0)
        assert 0.0 <= low <= value <= high <= 1.0
        assert high - low > 0.04
    assert mean_bounds(np.full(n, 2.0), 0.05, low=2.0, high=2.0) == (2.0, 2.0)


def test_a_control_variate_is_taken_where_it_pays():
    # Weights are 0.5 or 3 (mean 1): with the baseline .9 most of their variance is gone.
    rng = np.random.default_rng(7)
    weights, values = np.where(rng.random(2_000) < 0.2, 3.0, 0.5), (rng.random(2_000) < 0.9).astype(float)
    plain, steady = Wager(weights, values), Wager(weights, values, 0.9, 0.9 * (1 - 3.0))
    both, alone, best = (betting_lower(w, 0.05, ceiling=1.0) for w in ([plain, steady], [plain], [steady]))
    assert alone < min(both, best)
    assert max(both, best) < 0.9


def test_a_baseline_leaves_coverage_as_it_is():
    # Weights are 0.5 or 3 (mean 1), the target's mean .9: 300 logs of 150 units, and a floor of 0.9 (1 - 3).
    rng, missed = np.random.default_rng(8), 0
    for _ in range(300):
        weights = np.where(rng.random(150) < 0.2, 3.0, 0.5)
        values = (rng.random(150) < 0.9).astype(float)
        wagers = [Wager(weights, values), Wager(weights, values, 0.9, 0.9 * (1 - 3.0))]
        missed += betting_lower(wagers, 0.05, ceiling=1.0) > 0.9
    assert missed / 300 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 300)


def test_units_of_several_episodes_count_by_their_mean():
    rng = np.random.default_rng(9)
    pairs = rng.random((100, 2))
    one = betting_lower([Wager(pairs, np.ones((100, 2)))], 0.05, ceiling=1.0)
    assert one == pytest.approx(lower(pairs.mean(axis=1), 0.05))


def test_many_units():
    values = np.random.default_rng(10).random(100_000)
    low, high = mean_bounds(values, 0.05, high=1.0)
    half = stats.norm.isf(0.05) * values.std() / math.sqrt(100_000)
    assert 0.9 * half < values.mean() - low < 1.4 * half
    assert 0.9 * half < high - values.mean() < 1.4 * half
