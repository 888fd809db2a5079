"""How much there is, and the limits that follow, against scipy and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, sound, tiny
from scipy.stats import binom

from groundschool.data.checks.size import upper_limit


def test_size_by_hand():
    finding = one("size", tiny(groups=np.array(["p", "p", "q"])))
    assert finding.what == "3 episodes of 2 groups, 6 rows: 1 to 3 an episode, 2 in the middle."
    assert (finding.rows, finding.episodes) == (6, 3)
    assert finding.measured["smallest_upper_limit"] == pytest.approx(1 - 0.05 ** (1 / 3))


@pytest.mark.parametrize(("events", "n"), [(0, 1), (0, 59), (1, 10), (5, 500), (499, 500)])
def test_at_the_limit_so_few_events_have_a_probability_of_five_percent(events, n):
    assert binom.cdf(events, n, upper_limit(events, n)) == pytest.approx(0.05)


def test_limits_at_the_ends():
    assert upper_limit(7, 7) == 1.0
    assert upper_limit(0, 59) < 0.05 < upper_limit(0, 58)
    assert upper_limit(0, 3000) == pytest.approx(3 / 3000, rel=0.01)


def test_hazard_rates_count_episodes_and_not_rows():
    costs = {"a": np.array([1.0, 1, 0, 0, 0, 0.5]), "b": np.zeros(6), "c": np.array([0, 0, 0, 2.0, 0, 0])}
    a, c = found("hazard-rate", tiny(costs=costs, names={"costs['a']": "crash"}))
    assert (a.where, a.episodes, a.measured["rate"]) == ("crash", 2, pytest.approx(2 / 3))
    assert (c.where, c.episodes) == ("costs['c']", 1)
    assert c.measured["upper"] == pytest.approx(upper_limit(1, 3))


@pytest.mark.parametrize(("episodes", "warned"), [(1, True), (59, True), (60, False)])
def test_fewer_than_sixty(episodes, warned):
    raw = sound(np.random.default_rng(0), episodes)
    findings = found("few-episodes", raw)
    assert [(f.severity, f.episodes) for f in findings] == [("warning", episodes)][: int(warned)]
    assert found("few-episodes", replace(raw, groups=None)) == findings
