"""Closed-form bounds by hand, and what others got wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.evaluation.bounds.bernstein import empirical_bernstein_bounds, hoeffding_bounds

BOTH = pytest.mark.parametrize("bounds", [hoeffding_bounds, empirical_bernstein_bounds])


def test_hoeffding_by_hand():
    # 50 values of mean 0.5 in [0, 2]: 2 sqrt(log(20) / 100) = 0.34616.
    assert hoeffding_bounds(np.full(50, 0.5), 0.05, low=0.0, high=2.0) == pytest.approx((0.15384, 0.84616), abs=1e-5)


def test_empirical_bernstein_by_hand():
    # 0 and 1 fifty times each: mean 1/2, V = 25 / 99, L = log 40 = 3.68888; sqrt(2 V L / 100) = 0.136495 and
    # 7 L / (3 * 99) = 0.086943 make 0.223438.
    values = np.tile([0.0, 1.0], 50)
    low, high = empirical_bernstein_bounds(values, 0.05, low=0.0, high=1.0)
    assert (low, high) == pytest.approx((0.276562, 0.723438), abs=2e-6)
    scaled = empirical_bernstein_bounds(10 * values - 3, 0.05, low=-3.0, high=7.0)
    assert scaled == pytest.approx((10 * low - 3, 10 * high - 3))


@BOTH
def test_width_shrinks_with_n(bounds):
    # A peer's Hoeffding width grew with sqrt(n).
    widths = [np.diff(bounds(np.tile([0.0, 1.0], n // 2), 0.05, low=0.0, high=1.0))[0] for n in (100, 400, 1_600)]
    assert widths[0] > 1.8 * widths[1] > 3.2 * widths[2]


@BOTH
def test_tails_are_not_swapped(bounds):
    # A peer took delta for 1 - delta: more confidence must be wider.
    values = np.random.default_rng(0).random(500)
    lows, highs = zip(*(bounds(values, tail, low=0.0, high=1.0) for tail in (0.001, 0.05, 0.5)), strict=True)
    assert list(lows) == sorted(lows)
    assert list(highs) == sorted(highs, reverse=True)
    assert lows[-1] < values.mean() < highs[-1]


@BOTH
@pytest.mark.parametrize("n", [1, 2, 30])
def test_no_event_is_never_a_zero(bounds, n):
    low, high = bounds(np.zeros(n), 0.05, low=0.0, high=1.0)
    assert low == 0.0
    assert high >= min(1.0, 1 - 0.05 ** (1 / n))


@BOTH
def test_coverage_of_rare_events(bounds):
    # At most .05 of 2,000 samples may miss on a side: 4 binomial standard errors above that.
    rng, missed = np.random.default_rng(1), np.zeros(2)
    for _ in range(2_000):
        low, high = bounds((rng.random(60) < 0.03).astype(float), 0.05, low=0.0, high=1.0)
        missed += low > 0.03, high < 0.03
    assert (missed / 2_000 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2_000)).all()
