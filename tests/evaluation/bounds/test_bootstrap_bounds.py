"""The bootstrap by unit."""

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.evaluation.bounds import bootstrap
from groundschool.evaluation.bounds.bootstrap import bootstrap_bounds, bootstrap_replicates

TAIL = 0.05


def own(n: int) -> np.ndarray:
    return np.arange(n)


def test_two_values_by_enumeration() -> None:
    # Of two values a replicate's mean is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    drawn = bootstrap_replicates(np.array([0.0, 1.0]), own(2), 0, 20_000)
    shares = [np.mean(drawn == value) for value in (0.0, 0.5, 1.0)]
    assert np.abs(np.array(shares) - [0.25, 0.5, 0.25]).max() <= 4 * 0.5 / math.sqrt(20_000)


def test_like_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    for kind in ("percentile", "basic"):
        theirs = stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, confidence_level=0.9, method=kind, rng=np.random.default_rng(2)
        ).confidence_interval
        ours = bootstrap_bounds(values, own(80), TAIL, 3, 20_000, kind=kind)
        # A 5 % quantile of 20,000 replicates is known to sqrt(.05 * .95 / 20000) / density, 1.5 % of the error.
        assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * values.std() / math.sqrt(80))


def test_units_are_drawn_whole() -> None:
    values, units = np.repeat([0.0, 1.0], 50), np.repeat([0, 1], 50)
    assert set(bootstrap_replicates(values, units, 0, 200)) == {0.0, 0.5, 1.0}


def test_ratio_weights_values_and_counts_units() -> None:
    values, weights, units = np.array([0.0, 1.0, 1.0]), np.array([3.0, 1.0, 0.0]), np.array([0, 1, 2])
    drawn = bootstrap_replicates(values, units, 0, 500, weights=weights)
    assert np.isnan(drawn).any()  # three times the third
    possible = {b / (3 * a + b) for a in range(4) for b in range(4 - a) if a + b}
    assert {round(value, 12) for value in drawn[~np.isnan(drawn)]} <= {round(value, 12) for value in possible}


def test_replicates_without_weight_are_unbounded() -> None:
    values = np.array([0.2, 0.7] + [0.5] * 8)
    weights = np.array([1.0, 1.0] + [0.0] * 8)  # (8/10)^10 = 11 % of the replicates draw no weight
    assert bootstrap_bounds(values, own(10), TAIL, 0, weights=weights) == (-math.inf, math.inf)
    assert bootstrap_bounds(values, own(10), TAIL, 0, weights=weights, low=0.0, high=1.0) == (0.0, 1.0)


@pytest.mark.parametrize("weights", [None, np.ones(40)])
def test_equal_values_never_give_a_point(weights: np.ndarray | None) -> None:
    lower, upper = bootstrap_bounds(np.zeros(40), own(40), TAIL, 0, weights=weights, low=0.0, high=1.0)
    assert (lower, upper) == pytest.approx((0.0, 1.0 - TAIL ** (1 / 40)))
    assert bootstrap_bounds(np.zeros(1), own(1), TAIL, 0, low=0.0, high=1.0) == (0.0, 1.0)


def test_same_seed_same_bounds_and_order_of_sides() -> None:
    values = np.random.default_rng(5).exponential(size=60)
    lower, upper = bootstrap_bounds(values, own(60), TAIL, 7)
    assert (lower, upper) == bootstrap_bounds(values, own(60), TAIL, 7)
    assert lower < values.mean() < upper
    wide = bootstrap_bounds(values, own(60), 0.01, 7)
    assert wide[0] < lower
    assert upper < wide[1]


def test_many_units_are_dealt_into_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_UNITS", 1_000)
    values = np.random.default_rng(6).exponential(size=5_000)
    drawn = bootstrap_replicates(values, own(5_000), 0, 4_000)
    # The standard deviation of 4,000 replicates is known to 1.1 %, that of 1,000 bags to about 2.5 %.
    assert drawn.std() == pytest.approx(values.std() / math.sqrt(5_000), rel=0.12)
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * values.std() / math.sqrt(5_000 * 4_000))


def test_coverage_of_a_mean() -> None:
    # 1,000 samples of 100 uniform values: each side covers about .95; the tolerance is 4 binomial standard errors and
    # .01 for the bootstrap's own error at n = 100.
    rng = np.random.default_rng(12)
    covered = np.zeros(2)
    for seed in range(1_000):
        lower, upper = bootstrap_bounds(rng.random(100), own(100), TAIL, seed, 400)
        covered += lower <= 0.5, upper >= 0.5
    assert (np.abs(covered / 1_000 - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / 1_000) + 0.01).all()
