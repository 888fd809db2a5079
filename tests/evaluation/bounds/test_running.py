"""Bounds on a mean at every look: one value by hand, and no more misses than allowed by anybody who peeks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.evaluation.bounds.running import running_bounds

TAIL = 0.05


def test_one_value_by_hand():
    """The stake on the first value is 1/2 at most: sqrt(2 * 3 / (.25 * log 2)) is more."""
    price = (math.log(2.0) - 0.5) * (0.9 - 0.5) ** 2
    half = (math.log(20.0) + price) / 0.5
    assert 0.9 - half < 0.0
    assert running_bounds(np.array([0.9]), TAIL, low=0.0, high=1.0) == (0.0, 1.0)
    wide = running_bounds(np.full(50, 0.9), TAIL, low=0.0, high=1.0)
    assert 0.6 < wide[0] < 0.9 < wide[1] <= 1.0


def test_recursion_written_out():
    values = np.random.default_rng(0).random(40)
    stakes, price, mean, variance = [], 0.0, 0.5, 0.25
    for t, x in enumerate(values, start=1):
        stake = min(math.sqrt(2 * math.log(20) / (variance * t * math.log(1 + t))), 0.5)
        stakes.append(stake)
        price += (x - mean) ** 2 * (-math.log(1 - stake) - stake)
        mean = (0.5 + values[:t].sum()) / (t + 1)
        squares = sum((values[i] - (0.5 + values[: i + 1].sum()) / (i + 2)) ** 2 for i in range(t))
        variance = (0.25 + squares) / (t + 1)
    center = float(np.dot(stakes, values) / sum(stakes))
    width = (math.log(20) + price) / sum(stakes)
    found = running_bounds(values * 7 - 3, TAIL, low=-3.0, high=4.0)
    assert found == pytest.approx((7 * (center - width) - 3, 7 * (center + width) - 3))


def test_nothing_and_a_point():
    assert running_bounds(np.empty(0), TAIL, low=-2.0, high=3.0) == (-2.0, 3.0)
    assert running_bounds(np.ones(4), TAIL, low=1.0, high=1.0) == (1.0, 1.0)


@pytest.mark.parametrize("law", ["coin", "rare"])
def test_who_peeks_is_not_misled(law):
    """600 sequences looked at 40 times each; the share ever missed on a side is at most the tail (1 in 1,000)."""
    n, p = 600, {"coin": 0.5, "rare": 0.03}[law]
    values = (np.random.default_rng(1).random((n, 200)) < p).astype(float)
    missed = np.zeros(2, int)
    for row in values:
        bounds = np.array([running_bounds(row[:k], TAIL, low=0.0, high=1.0) for k in range(5, 201, 5)])
        missed += [(bounds[:, 0] > p).any(), (bounds[:, 1] < p).any()]
    assert (missed <= stats.binom.isf(1e-3, n, TAIL)).all()
