"""Rollouts: numbers by hand on a fixed environment, and against exact values on the grid."""

from __future__ import annotations

import json
import math

import gymnasium as gym
import numpy as np
import pytest
from scipy import stats

from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation.rollout import rollout
from groundschool.policies.tabular import TabularPolicy


class Scripted(gym.Env):
    """Episode i runs through script[i]: a list of (reward, cost) steps and the cause of the end."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(1)
    end_names = ("home", "crash")

    def __init__(self, script):
        self.script, self.episode = script, -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.left = self.episode + 1, list(self.script[self.episode + 1][0])
        return 0, {}

    def step(self, action):
        reward, cost = self.left.pop(0)
        info = {"cost": cost} | ({} if self.left else {"end": self.script[self.episode][1]})
        return 0, reward, not self.left, False, info


ONLY = TabularPolicy([[1.0]], name="only")
SCRIPT = [([(1.0, 0.0), (2.0, 0.0)], "home"), ([(5.0, 2.0)], "home"), ([(1.0, 0.5), (1.0, 0.5), (2.0, 0.0)], "home")]


def test_by_hand():
    result = rollout(Scripted(SCRIPT), ONLY, 3, seed=9)
    # Returns 3, 5, 4: mean 4, sd 1, half width t(0.975, 2) / sqrt(3) with t = 4.302653.
    half = 4.302652729911275 / math.sqrt(3)
    assert result.name == "only"
    assert (result.episodes, result.seed, result.confidence) == (3, 9, 0.95)
    assert result.returns.tolist() == [3.0, 5.0, 4.0]
    assert result.lengths.tolist() == [2, 1, 3]
    assert result.ends.tolist() == ["home"] * 3
    assert (result.return_.value, result.return_std, result.length_mean) == (4.0, 1.0, 2.0)
    assert (result.return_.lower, result.return_.upper) == pytest.approx((4 - half, 4 + half))
    # Cost sums 0, 2, 1: mean 1, sd 1; the lower bound is cut at 0. Two of three episodes had any.
    assert result.costs["cost"].value == 1.0
    assert (result.costs["cost"].lower, result.costs["cost"].upper) == pytest.approx((0.0, 1 + half))
    theirs = stats.binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert result.probabilities["cost"].value == pytest.approx(2 / 3)
    assert (result.probabilities["cost"].lower, result.probabilities["cost"].upper) == pytest.approx(
        (theirs.low, theirs.high)
    )
    # Never seen, but declared: it has a bound, and that is not zero.
    assert result.end_rates["home"].value == 1.0
    assert result.end_rates["crash"].upper == pytest.approx(1 - 0.025 ** (1 / 3))


def test_summary_survives_json_without_infinities():
    result = rollout(Scripted(SCRIPT), ONLY, 1)
    facts = result.summary()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["return"]["upper"] is None  # one episode says nothing about the spread
    assert facts["return_std"] is None
    assert facts["costs"]["cost"]["upper"] is None
    assert facts["probabilities"]["cost"]["upper"] == pytest.approx(0.975)
    assert facts["returns"] == [3.0]


def test_a_generic_environment_has_both_ends():
    result = rollout(gym.make("CartPole-v1"), TabularPolicyOnAnything(), 5)
    assert result.end_rates["terminated"].value == 1.0
    assert result.end_rates["truncated"].value == 0.0
    assert result.end_rates["truncated"].upper > 0.3
    assert result.costs == {}
    assert result.probabilities == {}


class TabularPolicyOnAnything(TabularPolicy):
    def __init__(self):
        super().__init__([[0.5, 0.5]])

    def probabilities(self, observations, *, masks=None):
        return super().probabilities(np.zeros(len(observations), dtype=np.int64), masks=masks)


@pytest.mark.parametrize(
    ("wrap", "episodes"),
    [(lambda env: env, 5_000), (lambda env: gym.wrappers.TimeLimit(env, 80), 400)],
    ids=["vectorised", "stepped"],
)
@pytest.mark.parametrize("epsilon", [0.0, 0.22])
def test_the_grid_agrees_with_its_exact_value(wrap, episodes, epsilon):
    grid = HazardGrid()
    logger = grid.logger(epsilon)
    exact = grid.model().evaluate(logger)
    # Six intervals in four cases at 99.99 %: a false alarm in about 1 of 400 draws of seeds, and the seed is fixed.
    result = rollout(wrap(grid), logger, episodes, seed=1, confidence=0.9999)
    checks = [
        (result.return_, exact.return_),
        (result.costs["hazard"], exact.costs["hazard"]),
        (result.probabilities["hazard"], exact.probabilities["hazard"]),
        (result.end_rates["hazard"], exact.ends["hazard"]),
        (result.end_rates["goal"], exact.ends["goal"]),
        (result.end_rates["timeout"], exact.ends["timeout"]),
    ]
    for interval, truth in checks:
        assert interval.lower <= truth <= interval.upper
    length_error = result.lengths.std(ddof=1) / math.sqrt(episodes)
    assert abs(result.length_mean - exact.length) <= 4 * length_error


def test_a_grid_policy_that_met_no_hazard_has_a_bound_on_it():
    grid = HazardGrid(hazards=[], slip=0.0)
    result = rollout(grid, grid.logger(0.0), 30)
    assert result.end_rates["hazard"].value == 0.0
    assert result.end_rates["hazard"].upper == pytest.approx(1 - 0.025 ** (1 / 30))
    assert result.probabilities["hazard"].upper == pytest.approx(1 - 0.025 ** (1 / 30))
    assert result.costs["hazard"].upper == math.inf


def test_same_seed_same_rollout():
    grid = HazardGrid()
    first, again = (rollout(grid, grid.logger(), 30, seed=4) for _ in range(2))
    assert first.summary() == again.summary()


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -0.5, math.nan])
def test_a_bad_confidence_is_refused_before_any_episode(confidence):
    env = Scripted(SCRIPT)
    with pytest.raises(InputError, match="confidence is"):
        rollout(env, ONLY, 3, confidence=confidence)
    assert env.episode == -1
