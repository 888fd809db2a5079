"""t bounds on the mean of influence values."""

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.evaluation.bounds.influence import degrees_of_freedom, influence_bounds, standard_error

TAIL = 0.05


def own(n: int) -> np.ndarray:
    return np.arange(n)


def test_by_hand() -> None:
    # Values 0, 0, 0, 4: mean 1, residuals -1, -1, -1, 3; variance 12 / 3 = 4, error 1.
    # Kurtosis: 4 (1 + 1 + 1 + 81) / 12^2 = 7 / 3, so 2 * 4 / (4 / 3) = 6, cut to n - 1 = 3.
    values = np.array([0.0, 0.0, 0.0, 4.0])
    assert standard_error(values, own(4)) == pytest.approx(1.0)
    assert degrees_of_freedom(values, own(4)) == 3.0
    lower, upper = influence_bounds(values, own(4), TAIL)
    assert (lower, upper) == pytest.approx((1.0 - stats.t.isf(TAIL, 3), 1.0 + stats.t.isf(TAIL, 3)))


def test_heavy_tails_leave_few_degrees_of_freedom() -> None:
    values = np.zeros(1_000)
    values[0] = 1.0
    # Residuals are -1/1000 and once 999/1000: kurtosis 997.0..., so 2000 / 996.0...
    share = np.square(values - 0.001) / np.square(values - 0.001).sum()
    assert degrees_of_freedom(values, own(1_000)) == pytest.approx(2_000 / (1_000 * np.square(share).sum() - 1))
    assert degrees_of_freedom(values, own(1_000)) == pytest.approx(2.0, abs=0.02)
    normal = stats.norm.ppf((np.arange(2_000) + 0.5) / 2_000)
    assert degrees_of_freedom(normal, own(2_000)) == pytest.approx(1_999, rel=0.03)


def test_matches_scipy_where_kurtosis_is_small() -> None:
    values = np.arange(20.0)  # uniform: kurtosis below 3, so n - 1 degrees of freedom, as Student has
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(1 - 2 * TAIL)
    assert influence_bounds(values, own(20), TAIL) == pytest.approx((interval.low, interval.high))


def test_repeating_every_episode_in_its_unit_changes_nothing() -> None:
    values = np.random.default_rng(0).exponential(size=50)
    twice, units = np.repeat(values, 3), np.repeat(own(50), 3)
    assert standard_error(twice, units) == pytest.approx(standard_error(values, own(50)))
    assert influence_bounds(twice, units, TAIL) == pytest.approx(influence_bounds(values, own(50), TAIL))
    assert standard_error(twice, own(150)) < 0.6 * standard_error(twice, units)


def test_unequal_units_by_hand() -> None:
    # Units (1, 2), (6,): mean 3, unit residuals -3 and 3; sqrt(2 * 18) / 3 = 2.
    assert standard_error(np.array([1.0, 2.0, 6.0]), np.array([0, 0, 1])) == pytest.approx(2.0)


def test_inflation_is_added_to_the_error() -> None:
    values = np.arange(10.0)
    lower, upper = influence_bounds(values, own(10), TAIL)
    wide = influence_bounds(values, own(10), TAIL, inflation=0.5)
    extra = 0.5 * stats.t.isf(TAIL, 9)
    assert wide == pytest.approx((lower - extra, upper + extra))


@pytest.mark.parametrize("n", [1, 2, 30])
@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_equal_values_never_give_a_point(n: int, value: float) -> None:
    lower, upper = influence_bounds(np.full(n, value), own(n), TAIL, low=0.0, high=1.0)
    share = 1.0 - TAIL ** (1.0 / n) if n > 1 else 1.0
    assert (lower, upper) == pytest.approx((value * (1 - share), value + share * (1 - value)))
    assert influence_bounds(np.full(n, value), own(n), TAIL) == (-math.inf, math.inf)


def test_one_unit_of_many_episodes_bounds_nothing() -> None:
    values = np.random.default_rng(0).normal(size=40)
    assert influence_bounds(values, np.zeros(40, np.int64), TAIL) == (-math.inf, math.inf)
    assert standard_error(values, np.zeros(40, np.int64)) == math.inf


def test_cut_to_the_possible_range() -> None:
    lower, upper = influence_bounds(np.array([0.0, 0.0, 1.0]), own(3), TAIL, low=0.0, high=1.0)
    assert (lower, upper) == (0.0, 1.0)


def test_width_shrinks_with_n_and_grows_with_confidence() -> None:
    values = np.tile([0.0, 1.0], 800)
    widths = [np.diff(influence_bounds(values[:n], own(n), TAIL))[0] for n in (16, 100, 400, 1_600)]
    assert (np.diff(widths) < 0).all()
    assert widths[3] == pytest.approx(widths[2] / 2, rel=0.02)
    assert np.diff(influence_bounds(values, own(1_600), 0.01))[0] > widths[3]


@pytest.mark.parametrize("side", [0, 1])
def test_coverage(side: int) -> None:
    # 2,000 samples of 200 normal values in units of 2 with a shared part: each side covers .95, tolerance 4 binomial
    # standard errors of .95 (.0195).
    rng = np.random.default_rng(11)
    units, covered = np.repeat(own(100), 2), 0
    for _ in range(2_000):
        values = rng.normal(size=200) + np.repeat(rng.normal(size=100), 2)
        bound = influence_bounds(values, units, TAIL)[side]
        covered += bound <= 0.0 if side == 0 else bound >= 0.0
    assert abs(covered / 2_000 - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / 2_000)
