"""Intervals: hand-computed ends, scipy's own implementations, and coverage over replicates."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from groundschool.errors import InputError
from groundschool.evaluation.intervals import clopper_pearson, clustered_error, mean_t

# By hand, at 95 %: no event in n gives upper = 1 - 0.025 ** (1 / n); all n events mirror it.
HAND = [
    (0, 1, 0.0, 0.975),
    (1, 1, 0.025, 1.0),
    (0, 30, 0.0, 1 - 0.025 ** (1 / 30)),
    (30, 30, 0.025 ** (1 / 30), 1.0),
    # One of two: P(X >= 1) = 1 - (1 - p)^2 = 0.025 below, and mirrored above.
    (1, 2, 1 - math.sqrt(0.975), math.sqrt(0.975)),
]


@pytest.mark.parametrize(("events", "n", "lower", "upper"), HAND)
def test_clopper_pearson_by_hand(events, n, lower, upper):
    interval = clopper_pearson(events, n)
    assert interval.value == events / n
    assert interval.lower == pytest.approx(lower, abs=1e-12)
    assert interval.upper == pytest.approx(upper, abs=1e-12)
    assert interval.assurance == "exact"


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("events", "n"), [(0, 7), (1, 30), (3, 30), (29, 30), (30, 30), (207, 1000), (5, 100_000)])
def test_clopper_pearson_agrees_with_scipy(events, n, confidence):
    theirs = stats.binomtest(events, n).proportion_ci(confidence, method="exact")
    ours = clopper_pearson(events, n, confidence)
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), rel=1e-8, abs=1e-12)


def test_no_event_is_never_the_interval_zero_to_zero_and_shrinks_with_n():
    uppers = [clopper_pearson(0, n).upper for n in (1, 10, 100, 10_000, 10_000_000)]
    assert min(uppers) > 0
    assert uppers == sorted(uppers, reverse=True)
    # About 3.7 / n two-sided: -log(0.025) = 3.689.
    assert uppers[-1] * 10_000_000 == pytest.approx(-math.log(0.025), rel=1e-5)


@pytest.mark.parametrize("n", [5, 30, 200])
@pytest.mark.parametrize("p", [0.001, 0.03, 0.2073, 0.5, 0.98])
def test_clopper_pearson_covers_exactly(n, p):
    """Coverage summed over the binomial itself, no sampling: at least 95 %, each tail missing at most 2.5 %."""
    events = np.arange(n + 1)
    mass = stats.binom.pmf(events, n, p)
    bounds = np.array([(i.lower, i.upper) for i in (clopper_pearson(int(x), n) for x in events)])
    assert mass[bounds[:, 0] > p].sum() <= 0.025 + 1e-9
    assert mass[bounds[:, 1] < p].sum() <= 0.025 + 1e-9


def test_clopper_pearson_covers_in_replicates():
    rng, p, n, replicates = np.random.default_rng(0), 0.0363, 30, 2_000
    table = [clopper_pearson(x, n) for x in range(n + 1)]
    events = rng.binomial(n, p, replicates)
    covered = sum(table[x].lower <= p <= table[x].upper for x in events)
    # Coverage is at least 0.95: fewer than the 0.1 % quantile of Binomial(2000, 0.95) would be no accident.
    assert covered >= stats.binom.ppf(0.001, replicates, 0.95)


def test_mean_t_by_hand():
    # Mean 3, sd sqrt(10 / 4), n = 5: half width t(0.975, 4) * sqrt(2.5 / 5) with t = 2.776445.
    interval = mean_t([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764451051977987 * math.sqrt(0.5)
    assert interval.value == 3.0
    assert (interval.lower, interval.upper) == pytest.approx((3 - half, 3 + half), rel=1e-12)
    assert interval.assurance == "asymptotic"


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_mean_t_is_two_sided_as_scipy_has_it(confidence):
    sample = np.random.default_rng(1).normal(-13.0, 40.0, 31)
    theirs = stats.ttest_1samp(sample, 0.0).confidence_interval(confidence)
    ours = mean_t(sample, confidence)
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    one_sided = stats.t.ppf(confidence, 30) * sample.std(ddof=1) / math.sqrt(31)
    assert ours.upper - ours.value > one_sided * 1.01  # the mistake of taking 1 - alpha for 1 - alpha / 2


def test_mean_t_width_shrinks_as_one_over_root_n():
    sample = np.tile([0.0, 1.0], 50_000)
    widths = {n: mean_t(sample[:n]) for n in (100, 10_000)}
    ratio = (widths[100].upper - widths[100].lower) / (widths[10_000].upper - widths[10_000].lower)
    assert ratio == pytest.approx(10.0, rel=0.03)


def test_mean_t_covers_in_replicates():
    rng, replicates = np.random.default_rng(2), 2_000
    covered = sum(i.lower <= 7.0 <= i.upper for i in (mean_t(row) for row in rng.normal(7.0, 3.0, (replicates, 8))))
    # Exact for normal values: Binomial(2000, 0.95), both tails at 0.1 %.
    low, high = stats.binom.ppf([0.001, 0.999], replicates, 0.95)
    assert low <= covered <= high


@pytest.mark.parametrize("values", [[4.0], [4.0] * 30])
def test_without_spread_the_mean_is_unbounded_and_says_so(values):
    interval = mean_t(values)
    assert (interval.value, interval.lower, interval.upper) == (4.0, -math.inf, math.inf)
    assert "spread unknown" in interval.method
    assert interval.assurance == "heuristic"


def test_no_cost_seen_leaves_its_mean_unbounded_above():
    interval = mean_t(np.zeros(30), bounds=(0.0, math.inf))
    assert (interval.lower, interval.upper) == (0.0, math.inf)


def test_without_spread_known_bounds_still_say_something():
    # At most 1 - 0.025 ** (1 / 30) = 0.1157 of the values can be other than 0, and those at most 10.
    interval = mean_t(np.zeros(30), bounds=(0.0, 10.0))
    assert interval.lower == 0.0
    assert interval.upper == pytest.approx(10 * (1 - 0.025 ** (1 / 30)), rel=1e-12)


def test_the_interval_stays_within_the_bounds():
    interval = mean_t([0.0, 0.0, 1.0], bounds=(0.0, 1.0))
    assert (interval.lower, interval.upper) == (0.0, 1.0)


def test_json_has_none_for_what_is_infinite():
    facts = mean_t([4.0]).to_json()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["lower"] is None
    assert facts["upper"] is None


def test_clustered_error_by_hand():
    # Episodes (1, 1) and (0,): mean 2/3; residual sums 2/3 and -2/3; sqrt(2 / 1 * 8 / 9) / 3 = 4 / 9.
    error = clustered_error(np.array([1.0, 1.0, 0.0]), np.array([4, 4, 9]))
    assert error == pytest.approx(4 / 9, rel=1e-12)


def test_clustered_error_of_single_rows_is_the_usual_one_and_of_one_episode_unknown():
    values = np.random.default_rng(3).normal(size=50)
    assert clustered_error(values, np.arange(50)) == pytest.approx(stats.sem(values), rel=1e-12)
    assert clustered_error(values, np.zeros(50, dtype=np.int64)) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clopper_pearson(3, 2), "events = 3 of n = 2"),
        (lambda: clopper_pearson(-1, 2), "0 <= events <= n"),
        (lambda: clopper_pearson(0, 0), "n >= 1"),
        (lambda: clopper_pearson(0.5, 2), "whole numbers"),
        (lambda: clopper_pearson(0, 2, 1.0), "confidence is 1.0"),
        (lambda: clopper_pearson(0, 2, 95), "confidence is 95"),
        (lambda: mean_t([]), "at least one finite value"),
        (lambda: mean_t([1.0, math.nan]), "at least one finite value"),
        (lambda: mean_t([1.0], 0.0), "confidence is 0.0"),
        (lambda: mean_t([-1.0, 2.0], bounds=(0.0, math.inf)), "outside their bounds"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
