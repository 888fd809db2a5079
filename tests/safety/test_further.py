"""How many further episodes would plausibly decide."""

import math

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.forecast import Forecast
from groundschool.safety.further import (
    by_rate,
    logged_episodes,
    rolled_out_episodes,
    rolled_out_returns,
    rounded_up,
)


@pytest.mark.parametrize(
    ("number", "rounded"), [(0.2, 1), (1, 1), (9.5, 10), (10, 10), (10.1, 11), (99, 99), (101, 110), (1234, 1300)]
)
def test_numbers_are_rounded_up_to_two_digits(number, rounded):
    assert rounded_up(number) == rounded


def forecast(value=0.0, error=0.0, rate=0.5, width=1.0, reach=10**9):
    """Widths of so much at one episode, whatever the tail."""

    def widths(tail, episodes):
        return 2.0 * width / episodes**rate, width / episodes**rate

    return Forecast(value, error, widths, reach)


def chance(found, threshold, episodes, below, above):
    """By simulation: the share of truths and bounds in which one of the bounds is past the threshold."""
    rng = np.random.default_rng(0)
    truth = found.value + found.standard_error * rng.standard_normal(200_000)
    noise = rng.standard_normal(200_000)
    (low, _), (_, high) = (found.widths(tail, np.array([episodes])) for tail in (above, below))
    upper = truth + high + noise * high / stats.norm.isf(below)
    lower = truth - low + noise * low / stats.norm.isf(above)
    return np.mean(upper <= threshold) + np.mean(lower > threshold)


@pytest.mark.parametrize(("threshold", "error"), [(0.15, 0.1), (-0.2, 0.1), (0.05, 0.01), (0.03, 0.05)])
def test_the_advice_is_the_least_number_that_decides_as_often_as_wanted(threshold, error):
    found = forecast(error=error)
    n = logged_episodes(found, threshold, 100, below=0.05, above=0.025)
    before = n - 1 if n < 100 else n - 10 ** (len(str(n)) - 2)
    assert chance(found, threshold, 100 + n, 0.05, 0.025) >= 0.8 - 0.004
    assert chance(found, threshold, 100 + before, 0.05, 0.025) <= 0.8 + 0.004


def test_without_any_doubt_the_width_is_what_counts():
    """The bound must come below .01 in four of five cases: (1 + z(.8) / z(.05)) / sqrt(n) = .01."""
    exact = (100.0 * (1.0 + stats.norm.ppf(0.8) / stats.norm.isf(0.05))) ** 2 - 50
    assert logged_episodes(forecast(), 0.01, 50, below=0.05, above=None) == rounded_up(exact)


def test_what_cannot_be_shown_is_not_counted():
    assert logged_episodes(forecast(), 0.01, 50, below=None, above=0.05) is None
    assert logged_episodes(forecast(), -0.01, 50, below=0.05, above=None) is None
    assert logged_episodes(forecast(), -0.1, 50, below=None, above=0.05) is not None


@pytest.mark.parametrize(
    ("found", "threshold"),
    [
        (forecast(), 0.0),
        (forecast(value=math.nan), 1.0),
        (forecast(error=math.inf), 1.0),
        (forecast(rate=0.0), 0.5),
        (forecast(error=1e-4), 0.002),  # more than a thousand times as many
        (forecast(reach=200), 0.01),
        (forecast(width=math.inf), 0.5),
        (forecast(reach=50), 1.0),
    ],
)
def test_no_number_is_named_where_none_is_plausible(found, threshold):
    assert logged_episodes(found, threshold, 100, below=0.05, above=0.05) is None


def test_widths_by_a_rate_are_those_of_the_estimate_now():
    log = gs.collect(gs.HazardGrid(), gs.HazardGrid().logger(0.22), 200, 0)
    now = gs.evaluate(log, gs.HazardGrid().logger(0.2), of="probability:hazard")
    low, high = by_rate(now, now.value, 0.5).widths(0.05, np.array([200, 800]))
    lower, upper = now.bounds(0.05)
    np.testing.assert_allclose(low, [now.value - lower, (now.value - lower) / 2.0])
    np.testing.assert_allclose(high, [upper - now.value, (upper - now.value) / 2.0])


@pytest.mark.parametrize(
    ("value", "limit", "tail"), [(0.0, 0.05, 0.05), (0.01, 0.05, 0.05), (0.02, 0.1, 0.025), (0.1, 0.05, 0.05)]
)
def test_rolled_out_episodes_show_it_as_often_as_promised_and_hardly_fewer_would(value, limit, tail):
    """By brute force: the share of outcomes whose Clopper-Pearson bound is past the limit."""

    def shown(n):
        k = np.arange(n + 1)
        upper = np.where(k < n, stats.beta.isf(tail, k + 1, np.maximum(n - k, 1)), 1.0)
        lower = np.where(k > 0, stats.beta.ppf(tail, np.maximum(k, 1), n - k + 1), 0.0)
        past = upper <= limit if value < limit else lower > limit
        return float(stats.binom.pmf(k, n, value)[past].sum())

    n = rolled_out_episodes(value, limit, tail)
    assert shown(n) >= 0.8
    before = n - 1 if n < 100 else n - 10 ** (len(str(n)) - 2)
    assert shown(before) < 0.8


def test_a_clean_policy_needs_the_rule_of_three():
    assert rolled_out_episodes(0.0, 0.05, 0.05) == 59  # 1 - 0.05 ** (1 / 59) = 0.0495


def test_a_probability_at_its_limit_is_never_shown():
    assert rolled_out_episodes(0.05, 0.05, 0.05) is None


def test_a_mean_return_takes_the_usual_sample_size():
    z = stats.norm.isf(0.05) + stats.norm.ppf(0.8)
    assert rolled_out_returns(1.0, 0.0, 5.0, 0.05) == rounded_up((5.0 * z) ** 2)
    assert rolled_out_returns(1.0, 1.0, 5.0, 0.05) is None
    assert rolled_out_returns(1.0, 0.0, math.nan, 0.05) is None
