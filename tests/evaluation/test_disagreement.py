"""Where a policy departs most from the policy that wrote the log."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.disagreement import LEAST_EPISODES, disagreements


def log_of(states, actions):
    n = len(states)
    return gs.Dataset.from_arrays(
        np.asarray(states), np.asarray(actions), np.zeros(n), np.ones(n, bool), np.zeros(n, bool), n_actions=3,
        final_observations=np.asarray(states),
    )  # fmt: skip


def test_by_hand():
    """State 0: 20 rows, 15 of action 0; state 1: 12 rows, all of action 2; state 2: 5 rows, too few to be shown."""
    states = [0] * 20 + [1] * 12 + [2] * 5
    actions = [0] * 15 + [1] * 5 + [2] * 12 + [0] * 5
    policy = gs.TabularPolicy([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    first, second = disagreements(log_of(states, actions), policy)
    assert (first.observation, first.rows, first.episodes, first.logged, first.chosen) == ((0.0,), 20, 20, 0, 1)
    assert first.changed == pytest.approx(0.75)  # 15 decisions
    assert (second.observation, second.changed) == ((1.0,), pytest.approx(0.5))  # 6 decisions
    assert LEAST_EPISODES > 5


def test_who_does_what_was_logged_departs_nowhere():
    log = log_of([0] * 20, [0] * 10 + [1] * 10)
    assert disagreements(log, gs.TabularPolicy([[0.5, 0.5, 0.0]])) == ()


def test_no_more_than_asked_and_none_of_what_cannot_be_counted():
    grid = gs.HazardGrid()
    log = gs.collect(grid, grid.logger(0.22), 200, 0)
    found = disagreements(log, grid.logger(0.0), most=3)
    assert len(found) == 3
    weights = [one.rows * one.changed for one in found]
    assert weights == sorted(weights, reverse=True)
    measured = np.random.default_rng(0).normal(size=(40, 2))
    log = gs.Dataset.from_arrays(
        measured, np.zeros(40, int), np.zeros(40), np.ones(40, bool), np.zeros(40, bool), n_actions=2,
        final_observations=measured,
    )  # fmt: skip
    half = gs.wrap(lambda x: np.full((len(x), 2), 0.5), n_actions=2, outputs="probabilities")
    assert disagreements(log, half) == ()
