"""Costs that belong to the action before, by hand-made chains."""

from dataclasses import replace

import numpy as np
import pytest

from groundschool.data.checks import timing
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog

EPISODES, STEPS = 30, 20
HARMFUL = (2, 5)


def chain(seed=0, *, numbers=False):
    """A walk over eight states that may go anywhere; its cost is whatever `booked` says."""
    rng = np.random.default_rng(seed)
    n = EPISODES * STEPS
    if numbers:
        seen, final = rng.normal(size=(n, 3)), rng.normal(size=(EPISODES, 3))
    else:
        seen, final = rng.integers(0, 8, n), rng.integers(0, 8, EPISODES)
    return RawLog(
        observations=seen,
        actions=rng.integers(0, 3, n),
        rewards=np.zeros(n),
        terminated=np.zeros(n, bool),
        truncated=np.arange(n) % STEPS == STEPS - 1,
        starts=np.arange(0, n + 1, STEPS),
        final_observations=final,
        names={"costs[harm]": "hypo"},
    )


def after(raw):
    """Return the observation after each row."""
    seen = np.roll(raw.observations, -1, axis=0)
    seen[raw.starts[1:] - 1] = raw.final_observations
    return seen


def booked(raw, cost):
    return replace(raw, costs={"harm": cost.astype(float)})


def run(raw):
    view = View(raw)
    return [] if timing.CHECKS[0].needs(view) else list(timing.cost_timing(view))


def test_a_cost_of_the_own_observation_is_found_and_one_of_the_next_is_not():
    raw = chain()
    (found,) = run(booked(raw, np.isin(raw.observations, HARMFUL)))
    assert (found.check, found.severity, found.where) == ("cost-timing", "warning", "hypo")
    assert 'cost_at="arrival"' in found.do
    cost = np.isin(raw.observations, HARMFUL)
    assert found.rows == cost.sum()
    assert found.first_row == np.flatnonzero(cost)[0]
    assert run(booked(raw, np.isin(after(raw), HARMFUL))) == []


@pytest.mark.parametrize(
    "bad", [lambda x: x > 1, lambda x: x < -1, lambda x: np.abs(x) > 1.5, lambda x: np.abs(x) < 0.2]
)
def test_thresholds_and_intervals_on_one_number(bad):
    raw = chain(numbers=True)
    (found,) = run(booked(raw, bad(raw.observations[:, 1])))
    assert "observations[1]" in found.what
    assert run(booked(raw, bad(after(raw)[:, 1]))) == []


def test_a_number_that_hardly_moves_tells_both_so_nothing_is_said():
    raw = chain(numbers=True)
    steady = np.repeat(np.linspace(-1, 1, EPISODES), STEPS)[:, None]
    raw = replace(raw, observations=steady, final_observations=steady[::STEPS])
    assert run(booked(raw, steady[:, 0] > 0.5)) == []


def test_a_cost_of_the_action_is_right_where_it_is():
    raw = chain()
    assert run(booked(raw, raw.actions == 2)) == []
    # The action is a rule of the observation: the cost of the action looks like one of the observation.
    ruled = replace(raw, actions=(raw.observations % 3).astype(np.int64))
    assert run(booked(ruled, ruled.actions == 2)) == []
    # Only in some states does the action cost anything, and the rule takes it there.
    assert run(booked(ruled, np.isin(ruled.observations, HARMFUL))) == []


def test_a_cost_of_observation_and_action_is_not_one_of_the_observation():
    raw = chain()
    assert run(booked(raw, np.isin(raw.observations, HARMFUL) & (raw.actions == 1))) == []


def test_too_few_costly_rows_say_nothing():
    raw = chain(numbers=True)
    order = np.sort(raw.observations[:, 0])
    assert run(booked(raw, raw.observations[:, 0] > order[-timing.LEAST_ROWS - 1])) != []
    assert run(booked(raw, raw.observations[:, 0] > order[-timing.LEAST_ROWS])) == []


def test_an_end_without_a_final_observation_leaves_the_own_one_to_judge():
    raw = replace(chain(numbers=True), final_observations=None)
    assert len(run(booked(raw, raw.observations[:, 0] > 1))) == 1
    assert run(booked(raw, np.roll(raw.observations[:, 0], -1) > 1)) == []


def test_one_row_in_a_hundred_otherwise_is_enough_to_say_nothing():
    raw = chain(numbers=True)
    bad = raw.observations[:, 0] > 1
    bad[np.random.default_rng(0).random(len(bad)) < 0.01] ^= True
    assert run(booked(raw, bad)) == []
