"""Trends over the order of a log, against simple cases and against SciPy's own figures."""

from dataclasses import replace

import clean_logs
import numpy as np
import planted_statistical
import pytest
from scipy import stats

from groundschool.data.checks import drift
from groundschool.data.checks.drift import per_unit, trend
from groundschool.data.checks.view import View


def run(raw, seed=0):
    view = View(raw, seed)
    return [] if drift.CHECKS[0].needs(view) else list(drift.drift(view))


def test_a_straight_rise():
    found = trend("x", np.arange(40.0), np.arange(40))
    assert (found.rho, found.shift) == (pytest.approx(1), pytest.approx(1))
    assert trend("x", np.full(40, 2.0), np.arange(40)) is None
    assert trend("x", np.arange(20.0), np.arange(20)) is None


def test_the_figures_are_those_of_the_two_tests():
    rng = np.random.default_rng(0)
    values = rng.normal(size=101) + np.linspace(0, 1, 101)
    found = trend("x", values, np.arange(101))
    along = stats.spearmanr(values, np.arange(101))
    above = np.mean(values[51:, None] > values[None, :51]) - np.mean(values[51:, None] < values[None, :51])
    assert found.rho == pytest.approx(along.statistic)
    assert found.shift == pytest.approx(above)
    assert found.p_value <= 2 * along.pvalue


def test_blanks_are_left_aside():
    values = np.arange(60.0)
    values[::2] = np.nan
    assert trend("x", values, np.arange(60)).rho == pytest.approx(1)


def test_means_and_outcomes_of_episodes():
    raw = clean_logs.cartpole(0, 50)
    order, columns = per_unit(raw, 0)
    rows = slice(raw.starts[7], raw.starts[8])
    assert order[7] == 7
    assert columns["observations[2]"][7] == pytest.approx(raw.observations[rows, 2].mean(), abs=1e-6)
    assert columns["actions = 1"][7] == pytest.approx(raw.actions[rows].mean())
    assert columns["the return"][7] == raw.rewards[rows].sum()
    assert columns["the sum of tilt"][7] == raw.costs["tilt"][rows].sum()
    assert columns["the length"][7] == raw.lengths[7]


def test_time_is_the_order_where_there_is_one():
    raw = clean_logs.cartpole(0, 200)
    rising = replace(raw, rewards=np.repeat(np.linspace(0, 1, 200), raw.lengths))
    (found,) = run(rising)
    assert found.where == "the return"
    shuffled = np.random.default_rng(0).permutation(200)
    assert run(replace(rising, times=shuffled.astype(float))) == []
    mixed = planted_statistical.take(rising, shuffled)
    assert run(mixed) == []
    (found,) = run(replace(mixed, times=(shuffled * 10**6).astype("datetime64[us]")))
    assert "in order of time" in found.what


def test_states_that_are_ids_drift_too():
    raw = clean_logs.tabular(0, 300)
    later = np.repeat(np.arange(300) >= 150, raw.lengths)
    moved = np.where(later & (raw.observations == raw.observations[0]), 99, raw.observations)
    (found,) = run(replace(raw, observations=moved))
    assert "observations = " in found.where


def test_groups_are_units():
    """Episodes of a person resemble each other: with few people late and early, that is no drift."""
    raw = clean_logs.cartpole(1, 400)
    people = np.repeat(np.arange(40), 10)
    levels = np.random.default_rng(0).normal(size=40)
    raw = replace(raw, rewards=np.repeat(levels[people], raw.lengths))
    order, columns = per_unit(replace(raw, groups=people), 0)
    assert len(order) == len(columns["the return"]) == 40
    accused = 0
    for seed in range(60):
        levels = np.random.default_rng(seed).normal(size=40)
        accused += bool(run(replace(raw, rewards=np.repeat(levels[people], raw.lengths), groups=people), seed))
    assert accused <= stats.binom.ppf(1 - 1e-4, 60, 0.001)
    assert "30 groups" in drift.CHECKS[0].needs(View(replace(raw, groups=people % 20)))


def test_a_trend_too_small_to_matter_is_not_mentioned():
    rng = np.random.default_rng(0)
    raw = clean_logs.tabular(0, 20_000)
    slight = np.linspace(0, 0.22, raw.n_episodes) + rng.normal(size=raw.n_episodes)
    found = trend("x", slight, np.arange(raw.n_episodes))
    assert found.p_value < 1e-6
    assert found.size < 0.1
    assert run(replace(raw, rewards=np.repeat(slight / raw.lengths, raw.lengths))) == []


def test_time_that_is_missing_says_why_not():
    raw = clean_logs.tabular(0, 50)
    times = np.arange(50).astype("datetime64[us]")
    times[3] = np.datetime64("NaT")
    assert drift.CHECKS[0].needs(View(replace(raw, times=times))) == "some episodes have no time"
