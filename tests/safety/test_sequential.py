"""Counting harm while looking: the evidence is a likelihood ratio, and looking after every episode costs nothing."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from groundschool.safety.sequential import (
    SAFER,
    WORSE,
    evidence_above,
    evidence_below,
    lower_bound,
    upper_bound,
)

TAIL = 0.05


def integrated(events, episodes, p, a, b, low, high):
    """The mixture written out: the mean likelihood of a beta prior between two ends, over that of p."""
    prior = stats.beta(a, b)
    mass = prior.cdf(high) - prior.cdf(low)

    def likelihood(q):
        return (
            prior.pdf(q)
            / mass
            * math.exp(events * (math.log(q) - math.log(p)) + (episodes - events) * (math.log1p(-q) - math.log1p(-p)))
        )

    return math.log(integrate.quad(likelihood, low, high, limit=500)[0])


@pytest.mark.parametrize(("events", "episodes", "p"), [(0, 60, 0.05), (3, 40, 0.05), (9, 100, 0.2), (30, 60, 0.3)])
def test_evidence_is_the_integral_written_out(events, episodes, p):
    mean = min(WORSE[1] * p, 0.5 * (1 + p))
    below = integrated(events, episodes, p, *SAFER, 1e-13, p)
    above = integrated(events, episodes, p, WORSE[0], WORSE[0] * (1 - mean) / mean, p, 1 - 1e-13)
    assert evidence_below(events, episodes, p) == pytest.approx(below, abs=1e-5)
    assert evidence_above(events, episodes, p) == pytest.approx(above, abs=1e-5)


def test_by_hand():
    """One episode without an event, and a prior that is flat below p: (1 - p / 2) / (1 - p)."""
    assert evidence_below(0, 0, 0.3) == pytest.approx(0.0)
    a, b = SAFER
    share = stats.beta(a, b + 1).cdf(0.3) / stats.beta(a, b).cdf(0.3)
    assert evidence_below(0, 1, 0.3) == pytest.approx(math.log(share * b / (a + b) / 0.7))


def campaigns(p, limit, n=2_000, cap=600, seed=0):
    """Events so far of many campaigns, and evidence both ways, from a table of all counts."""
    happened = np.random.default_rng(seed).random((n, cap)) < p
    events, episodes = happened.cumsum(axis=1), np.arange(1, cap + 1)
    table = np.meshgrid(np.arange(int(events.max()) + 1), episodes, indexing="ij")
    possible = np.minimum(table[0], table[1])
    both = (evidence(possible, table[1], limit)[events, episodes - 1] for evidence in (evidence_below, evidence_above))
    return tuple(both)


@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_at_the_limit_neither_side_is_ever_proved_more_often_than_it_may(limit):
    n = 2_000
    for evidence in campaigns(limit, limit, n):
        wrong = int((evidence.max(axis=1) >= -math.log(TAIL)).sum())
        assert wrong <= stats.binom.isf(1e-3, n, TAIL)
        assert wrong > 0  # no test that could not fail


def test_what_is_true_is_found_and_nearly_as_soon_as_by_wald_s_test_for_it():
    n, cap, limit = 2_000, 2_000, 0.05
    for p, right in ((0.01, 0), (0.10, 1)):
        evidence = campaigns(p, limit, n, cap, seed=1)
        proved = evidence[right] >= -math.log(TAIL)
        wrong = int((evidence[1 - right].max(axis=1) >= -math.log(TAIL)).sum())
        assert proved.any(axis=1).all()
        assert wrong <= stats.binom.isf(1e-3, n, TAIL)
        episodes = float((proved.argmax(axis=1) + 1).mean())
        happened = np.random.default_rng(1).random((n, cap)) < p
        ratio = np.where(happened, math.log(p / limit), math.log((1 - p) / (1 - limit))).cumsum(axis=1)
        wald = float(((ratio >= -math.log(TAIL)).argmax(axis=1) + 1).mean())
        assert episodes <= 1.4 * wald


def test_bounds_are_where_the_evidence_is_just_enough():
    upper, lower = upper_bound(7, 120, TAIL), lower_bound(7, 120, TAIL)
    assert lower < 7 / 120 < upper
    assert evidence_below(7, 120, upper) == pytest.approx(-math.log(TAIL), abs=1e-6)
    assert evidence_above(7, 120, lower) == pytest.approx(-math.log(TAIL), abs=1e-6)


def test_bounds_at_the_ends():
    assert upper_bound(0, 0, TAIL) == 1.0
    assert lower_bound(0, 0, TAIL) == 0.0
    assert upper_bound(5, 5, TAIL) == 1.0
    assert lower_bound(0, 9, TAIL) == 0.0
    assert 0.03 < upper_bound(0, 100, TAIL) < 0.06  # Clopper-Pearson, who may look once, says .0295


def test_bounds_hold_at_every_look():
    """The bounds of one campaign at all of its looks, against the truth: missed by few campaigns at any look."""
    n, p = 300, 0.1
    looks = np.array([10, 30, 60, 100, 200, 400])
    happened = np.random.default_rng(3).random((n, looks[-1])) < p
    events = happened.cumsum(axis=1)[:, looks - 1]
    missed = sum(any(upper_bound(int(x), int(m), TAIL) < p for x, m in zip(row, looks, strict=True)) for row in events)
    assert missed <= stats.binom.isf(1e-3, n, TAIL)


@pytest.mark.parametrize(("events", "episodes"), [(0, 3), (1, 5), (2, 50), (40, 400), (0, 2_000)])
def test_evidence_grows_with_the_distance_so_that_bounds_are_unique(events, episodes):
    rate = events / episodes
    above = np.array([float(evidence_below(events, episodes, p)) for p in np.linspace(max(rate, 1e-6), 1, 300)[1:-1]])
    assert (np.diff(above) > 0).all()
    if events:
        below = np.array([float(evidence_above(events, episodes, p)) for p in np.linspace(0, rate, 300)[1:-1]])
        assert (np.diff(below) < 0).all()
