"""When a campaign stops: against integrals written out, scipy's binomial test, and simulated campaigns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from groundschool.errors import InputError
from groundschool.safety.sequential import SAFER, WORSE, lower_bound, upper_bound
from groundschool.safety.stopping import NEVER_SAFE, StoppingRule

DELTA = 0.05


def odds(events, n, limit, a, b, low, high):
    """The mean likelihood of a beta prior between two ends, over that of the limit, by numerical integration.

    With q = sin(t) ** 2 the prior's density has no pole.
    """

    def weighted(t, counted):
        q = math.sin(t) ** 2
        prior = 2.0 * math.sin(t) ** (2 * a - 1) * math.cos(t) ** (2 * b - 1)
        return prior * ((q / limit) ** events * ((1 - q) / (1 - limit)) ** (n - events) if counted else 1.0)

    ends = math.asin(math.sqrt(low)), math.asin(math.sqrt(high))
    both = [integrate.quad(weighted, *ends, args=(counted,), limit=400)[0] for counted in (True, False)]
    return both[0] / both[1]


@pytest.mark.parametrize(("limit", "by_hand"), [(0.05, 74), (0.10, 36)])
def test_clean_episodes_needed_by_integration(limit, by_hand):
    assert odds(0, by_hand, limit, *SAFER, 0.0, limit) >= 1 / DELTA > odds(0, by_hand - 1, limit, *SAFER, 0.0, limit)
    rule = StoppingRule(limit, 1 - DELTA, 200)
    assert rule.clean_needed == by_hand
    assert rule.decide(0, 0, by_hand - 1) is None
    assert rule.decide(0, 0, by_hand) == "safe"


def test_harmful_episodes_that_stop_it_by_integration():
    limit, mean = 0.05, WORSE[1] * 0.05
    prior = (WORSE[0], WORSE[0] * (1 - mean) / mean)
    first = next(n for n in range(1, 20) if odds(n, n, limit, *prior, limit, 1.0) >= 1 / DELTA)
    rule = StoppingRule(limit, 1 - DELTA, 200)
    assert [rule.decide(n, n, n) for n in range(1, first + 1)] == [None] * (first - 1) + ["harm"]


@pytest.mark.parametrize("n", [5, 40, 150])
def test_boundaries_are_where_the_bounds_cross_the_limit(n):
    limit = 0.1
    rule = StoppingRule(limit, 1 - DELTA, 200)
    safe_to, harm_from = rule.boundaries
    for events in range(n + 1):
        assert (events <= safe_to[n]) == (upper_bound(events, n, DELTA) <= limit)
        assert (events >= harm_from[n]) == (lower_bound(events, n, DELTA) >= limit)


@pytest.mark.parametrize(("limit", "n", "confidence"), [(0.05, 100, 0.95), (0.3, 40, 0.9), (0.01, 500, 0.99)])
def test_the_fixed_design_is_the_binomial_test(limit, n, confidence):
    rule = StoppingRule(limit, confidence, n, design="fixed")
    for events in range(n + 1):
        less, greater = (stats.binomtest(events, n, limit, side).pvalue for side in ("less", "greater"))
        expected = "safe" if less <= 1 - confidence else "harm" if greater <= 1 - confidence else "undecided"
        assert rule.decide(events, events, n) == expected
        low = stats.binomtest(events, n, alternative="greater").proportion_ci(confidence).low
        high = stats.binomtest(events, n, alternative="less").proportion_ci(confidence).high
        assert rule.bounds(events, events, n, 1 - confidence) == pytest.approx((low, high), abs=1e-9)


def test_the_fixed_design_ends_early_only_where_it_changes_nothing():
    rule = StoppingRule(0.05, 0.95, 100, design="fixed")
    rng = np.random.default_rng(0)
    early = 0
    for p in (0.05, 0.1, 0.2):
        for happened in rng.random((200, 100)) < p:
            count = happened.cumsum()
            stops = next(n for n in range(1, 101) if rule.decide(count[n - 1], count[n - 1], n))
            early += stops < 100
            whole = rule.decide(count[-1], count[-1], 100)
            assert rule.decide(count[stops - 1], count[stops - 1], stops) == whole
            bounds = rule.bounds(count[stops - 1], count[stops - 1], stops, 0.05)
            of_all = rule.bounds(count[-1], count[-1], 100, 0.05)
            assert bounds[0] <= of_all[0] + 1e-12
            assert bounds[1] >= of_all[1] - 1e-12
    assert early > 100


def test_an_unknown_end_counts_against_what_is_to_be_shown():
    rule = StoppingRule(0.05, 0.95, 300)
    assert rule.decide(0, 0, 100) == "safe"
    assert rule.decide(0, 20, 100) is None
    assert rule.decide(20, 20, 100) == "harm"
    lower, upper = rule.bounds(0, 20, 100, DELTA)
    assert lower == 0.0
    assert upper == pytest.approx(upper_bound(20, 100, DELTA))


def test_not_safe_before_the_least_number_but_harm_at_any_time():
    rule = StoppingRule(0.05, 0.95, 300, min_episodes=120)
    assert rule.boundaries[0][119] == NEVER_SAFE
    assert (rule.decide(0, 0, 119), rule.decide(0, 0, 120)) == (None, "safe")
    assert rule.decide(10, 10, 12) == "harm"
    assert rule.clean_needed == 120


def test_the_cap_is_undecided():
    rule = StoppingRule(0.05, 0.95, 100)
    assert (rule.decide(5, 5, 99), rule.decide(5, 5, 100)) == (None, "undecided")


@pytest.mark.parametrize("design", ["sequential", "fixed"])
@pytest.mark.parametrize("limit", [0.05, 0.2])
def test_at_the_limit_each_decision_is_wrong_no_more_often_than_it_may(design, limit):
    """2,000 campaigns that look after every episode; the tolerance is the binomial's at 1 in 1,000."""
    n, cap = 2_000, 400
    safe_to, harm_from = StoppingRule(limit, 1 - DELTA, cap, design=design).boundaries
    events = (np.random.default_rng(5).random((n, cap)) < limit).cumsum(axis=1)
    for decided in (events >= harm_from[1:], events <= safe_to[1:]):
        wrong = int(decided.any(axis=1).sum())
        assert 0 < wrong <= stats.binom.isf(1e-3, n, DELTA)


@pytest.mark.parametrize("design", ["sequential", "fixed"])
@pytest.mark.parametrize(
    ("rate", "decision"), [(0.0, "safe"), (0.02, "safe"), (0.035, "safe"), (0.08, "harm"), (0.2, "harm")]
)
def test_the_suggested_number_decides_in_four_of_five_cases(design, rate, decision):
    """1,000 campaigns of that number at that rate; the tolerance is the binomial's at 1 in 1,000."""
    n = StoppingRule(0.05, 0.95, 100, design=design).would_decide(rate)

    def right(cap):
        safe_to, harm_from = StoppingRule(0.05, 0.95, cap, design=design).boundaries
        events = (np.random.default_rng(6).random((1_000, cap)) < rate).cumsum(axis=1)
        found = events <= safe_to[1:] if decision == "safe" else events >= harm_from[1:]
        return int(found.any(axis=1).sum())

    assert right(max(n, 74)) >= stats.binom.ppf(1e-3, 1_000, 0.8)
    if n >= 2 * 74:  # and it is no waste: half of it would not do
        assert right(n // 2) < 800


def test_at_the_limit_no_number_is_suggested():
    rule = StoppingRule(0.05, 0.95, 100)
    assert rule.would_decide(0.05) is None
    assert rule.would_decide(0.0499) is None


ROWS = [
    ({"limit": 0.0}, "limit is 0.0"),
    ({"limit": 1.0}, "limit is 1.0"),
    ({"confidence": 95}, "confidence is 95"),
    ({"confidence": True}, "confidence is True"),
    ({"max_episodes": 0}, "max_episodes 0"),
    ({"min_episodes": 0}, "min_episodes is 0"),
    ({"min_episodes": 201}, "min_episodes is 201"),
    ({"design": "sequental"}, "Did you mean 'sequential'?"),
    ({"design": None}, "design is None"),
    ({"max_episodes": 73}, "even if none had an event: that takes 74"),
    ({"max_episodes": 58, "design": "fixed"}, "that takes 59"),
    ({"limit": 1e-9}, "that takes more"),
]


@pytest.mark.parametrize(("change", "sentence"), ROWS)
def test_bad_rules_are_refused_with_a_sentence(change, sentence):
    with pytest.raises(InputError) as error:
        StoppingRule(**{"limit": 0.05, "confidence": 0.95, "max_episodes": 200, **change})
    assert sentence in str(error.value)
