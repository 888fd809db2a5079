"""Mismatch and its noise floors: by hand, and on the grid's logger where the floors are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation.mismatch import mismatch
from groundschool.evaluation.simulate import collect
from groundschool.policies.tabular import TabularPolicy


def make_log(states, actions, lengths, **columns):
    ends = np.zeros(len(states), dtype=bool)
    ends[np.cumsum(lengths) - 1] = True
    columns = {"n_actions": 2} | columns
    return Dataset.from_arrays(
        np.asarray(states),
        np.asarray(actions),
        np.zeros(len(states)),
        ends,
        np.zeros(len(states), dtype=bool),
        **columns,
    )


ALWAYS_1 = TabularPolicy([[0.0, 1.0]] * 4, name="always 1")


def test_by_hand():
    # Episodes (1, 0, 1) and (0): differs (0, 1, 0) and (1): mean 1/2; residual sums -1/2 and 1/2.
    log = make_log([0, 1, 2, 0], [1, 0, 1, 0], [3, 1], propensities=[0.5, 0.25, 1.0, 0.75])
    result = mismatch(log, ALWAYS_1)
    assert (result.name, result.value, result.n) == ("always 1", 0.5, 4)
    assert result.standard_error == pytest.approx(math.sqrt(2 * 0.5) / 4)
    assert result.logger_floor == pytest.approx(1 - 2.5 / 4)
    assert result.deterministic_floor is None  # four rows are too few to count anything
    assert "too few rows a state" in result.floor_method
    assert result.notes == ("the log has 4 rows, all of them were compared",)
    assert json.loads(json.dumps(result.summary(), allow_nan=False))["value"] == 0.5


def test_exact_floors_by_hand_from_the_behavior_policy():
    log = make_log([0, 1], [0, 1], [1, 1])
    behavior = TabularPolicy([[0.8, 0.2], [0.5, 0.5]], name="logger")
    result = mismatch(log, ALWAYS_1, behavior=behavior)
    assert result.logger_floor == pytest.approx(1 - (0.68 + 0.5) / 2)
    assert result.deterministic_floor == pytest.approx(1 - (0.8 + 0.5) / 2)
    assert result.floor_method == "both floors from the probabilities of 'logger'"


def test_counted_floor_by_hand():
    # State 0: 15 of 20 took action 0; state 1: 10 of 10 took action 1. Five of 30 rows are not the most frequent.
    log = make_log([0] * 20 + [1] * 10, [0] * 15 + [1] * 15, [1] * 30)
    result = mismatch(log, ALWAYS_1)
    assert result.deterministic_floor == pytest.approx(5 / 30)
    assert result.logger_floor is None
    assert "no propensities" in result.floor_method
    assert "optimistic" in result.floor_method


def test_counted_floor_tells_masks_apart():
    # One observation, but what was allowed differs: within each mask the action is certain.
    masks = np.array([[True, False]] * 10 + [[True, True]] * 10)
    log = make_log([0] * 20, [0] * 10 + [1] * 10, [1] * 20, action_masks=masks)
    assert mismatch(log, TabularPolicy([[0.5, 0.5]])).deterministic_floor == 0.0


def test_masks_reach_the_policy():
    log = make_log([0] * 50, [0] * 50, [1] * 50, action_masks=np.tile([True, False], (50, 1)))
    assert mismatch(log, ALWAYS_1).value == 0.0


def test_a_sample_is_without_replacement_and_seeded():
    states = np.arange(1_000)
    log = make_log(states, states % 2, [1] * 1_000)
    seen = []

    class Watching(TabularPolicy):
        def probabilities(self, observations, *, masks=None):
            seen.append(np.array(observations))
            return super().probabilities(observations, masks=masks)

    policy = Watching(np.tile([0.5, 0.5], (1_000, 1)))
    results = [mismatch(log, policy, sample=600, seed=s) for s in (1, 1, 2)]
    assert len(np.unique(seen[0])) == 600
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    assert results[0] == results[1]
    assert results[0].n == 600
    assert results[0].notes == ()


def test_a_stochastic_policy_is_judged_as_it_samples_and_its_greedy_one_as_it_is():
    log = make_log([0] * 10_000, [1] * 10_000, [1] * 10_000)
    policy = TabularPolicy([[0.3, 0.7]])
    sampled = mismatch(log, policy, sample=10_000)
    assert abs(sampled.value - 0.3) <= 4 * math.sqrt(0.3 * 0.7 / 10_000)
    assert sampled.standard_error == pytest.approx(math.sqrt(0.21 / 10_000), rel=0.05)
    assert mismatch(log, policy.greedy()).value == 0.0


@pytest.fixture(scope="module")
def grid_log():
    grid = HazardGrid()
    return grid, collect(grid, grid.logger(0.22), 500, seed=42)


def test_grid_floors(grid_log):
    grid, log = grid_log
    logger = grid.logger(0.22)
    exact = mismatch(log, logger, sample=7_000, behavior=logger)
    counted = mismatch(log, logger, sample=7_000)
    assert exact.n == 7_000
    # By hand: one preferred action has .835 and the others .055; of two preferred each has .445.
    one, two = 1 - (0.835**2 + 3 * 0.055**2), 1 - (2 * 0.445**2 + 2 * 0.055**2)
    table = logger.table[grid.layout.states(log.observations)]
    share = np.mean(table.max(axis=1) > 0.5)
    # The floor is over 7,000 of the rows, the share over all: 0.02 is 4 sd of a share of 7,000 rows times the gap.
    assert exact.logger_floor == pytest.approx(share * one + (1 - share) * two, abs=0.01)
    assert exact.deterministic_floor == pytest.approx(share * 0.165 + (1 - share) * 0.555, abs=0.01)
    # The mean propensity is an unbiased estimate of the same: sd of a propensity is below 0.4.
    assert counted.logger_floor == pytest.approx(exact.logger_floor, abs=4 * 0.4 / math.sqrt(7_000))
    # Counting is optimistic, not wildly so, with 500 episodes on 225 cells.
    assert exact.deterministic_floor - 0.05 <= counted.deterministic_floor <= exact.deterministic_floor


def test_grid_logger_and_its_mode_sit_on_their_floors(grid_log):
    grid, log = grid_log
    logger = grid.logger(0.22)
    own = mismatch(log, logger, behavior=logger)
    mode = mismatch(log, logger.greedy(), behavior=logger)
    assert abs(own.value - own.logger_floor) <= 4 * math.sqrt(0.25 / own.n)
    assert abs(mode.value - mode.deterministic_floor) <= 4 * math.sqrt(0.25 / mode.n)
    assert mode.deterministic_floor < own.logger_floor


def test_one_episode_leaves_the_standard_error_unknown():
    result = mismatch(make_log([0, 1], [1, 0], [2]), ALWAYS_1)
    assert result.standard_error == math.inf
    assert result.summary()["standard_error"] is None


LOG = make_log([0, 1], [0, 1], [1, 1])
THREE = TabularPolicy([[0.2, 0.3, 0.5]], name="three")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mismatch(LOG, THREE), "'three' chooses among 3 actions, the log has 2"),
        (lambda: mismatch(LOG, ALWAYS_1, behavior=THREE), "'three' chooses among 3 actions"),
        (lambda: mismatch(LOG, HazardGrid().logger()), "chooses among 4 actions"),
        (lambda: mismatch(LOG, TabularPolicy([[0.5, 0.5]])), "state ids run from 0 to 1"),
        (lambda: mismatch(LOG, ALWAYS_1, sample=0), "sample is 0"),
        (lambda: mismatch(LOG, ALWAYS_1, sample=0.5), "sample and seed are 0.5"),
        (lambda: mismatch(LOG, ALWAYS_1, seed=-1), "seed is -1"),
        (lambda: mismatch(LOG, object()), "gs.wrap"),
        (
            lambda: mismatch(make_log(np.zeros((2, 3)), [0, 1], [1, 1]), ALWAYS_1),
            r"takes integer state ids of shape \(N,\)",
        ),
        (lambda: mismatch(make_log([0], [[0.5]], [1], n_actions=None), ALWAYS_1), "continuous actions"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_an_unreadable_observation_shape_is_an_input_error():
    class Linear(TabularPolicy):
        def probabilities(self, observations, *, masks=None):
            logits = np.asarray(observations) @ np.ones((5, 2))
            return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    with pytest.raises(InputError, match=r"cannot read observations of shape \(2, 3\)"):
        mismatch(make_log(np.zeros((2, 3)), [0, 1], [1, 1]), Linear([[0.5, 0.5]], name="linear"))
