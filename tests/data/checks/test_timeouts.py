"""Time limits flagged as terminations, in logs of real processes with the flag spoiled, and not in sound ones."""

from __future__ import annotations

from dataclasses import replace

import clean_logs
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text import CliffWalkingEnv, FrozenLakeEnv, TaxiEnv
from planted_structural import found, one

import groundschool as gs
from groundschool.data.raw import RawLog
from groundschool.envs import HazardAvoidingLogger


def grid(seed, episodes=300, epsilon=0.22, **options):
    env = gs.HazardGrid(**options)
    return RawLog.of(gs.collect(env, HazardAvoidingLogger(env.layout, epsilon), episodes, seed=seed))


def spoiled(raw):
    """Flag every end as terminated, as the tutorial did."""
    return replace(raw, terminated=raw.terminated | raw.truncated, truncated=np.zeros_like(raw.truncated))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "options", [{"epsilon": 0.9}, {"epsilon": 1.0}, {"horizon": 34}, {"size": 8, "horizon": 15}], ids=str
)
def test_grid_timeouts_among_goals_and_hazards(seed, options):
    raw = grid(seed, **options)
    timeouts = int(raw.truncated.sum())
    assert timeouts >= 3
    assert found("timeouts-as-terminals", raw) == []
    finding = one("timeouts-as-terminals", spoiled(raw))
    assert finding.episodes == timeouts  # goals and hazards in the last step are not among them
    first = int(np.argmax(raw.truncated))
    assert (finding.first_row, finding.where) == (first, "terminated")


def test_the_tutorial_log_has_too_few_timeouts_to_be_told():
    raw = grid(42, episodes=500)
    assert raw.truncated.sum() < 3
    assert found("timeouts-as-terminals", spoiled(raw)) == []


@pytest.mark.parametrize("seed", range(5))
def test_cartpole_falls_at_every_length_and_the_limit_is_a_pile(seed):
    raw = clean_logs.cartpole(seed, 200, epsilon=0.2)
    assert found("timeouts-as-terminals", raw) == []
    bad = spoiled(raw)
    if raw.truncated.sum() > 30:
        assert one("timeouts-as-terminals", bad).measured["length"] == clean_logs.CARTPOLE_STEPS


@pytest.mark.parametrize("length", [2, 7, 200])
def test_fixed_length_episodes_that_all_terminate(length):
    n = 20 * length
    last = np.arange(n) % length == length - 1
    raw = RawLog(
        observations=np.random.default_rng(0).normal(size=(n, 2)),
        actions=np.zeros(n, int),
        rewards=np.random.default_rng(1).normal(size=n),
        terminated=last,
        truncated=np.zeros(n, bool),
        starts=np.arange(0, n + 1, length),
    )
    finding = one("timeouts-as-terminals", raw)
    assert finding.measured["length"] == length
    assert "truncated=" in finding.do
    assert found("timeouts-as-terminals", replace(raw, terminated=raw.truncated, truncated=last)) == []
    both = one("timeouts-as-terminals", replace(raw, truncated=last))  # with both set, terminated wins
    assert both.episodes == finding.episodes
    prized = replace(raw, rewards=np.where(last, 50.0, -1.0))  # something happens at the end of each
    assert found("timeouts-as-terminals", prized) == []
    harmed = replace(raw, rewards=np.ones(n), costs={"crash": last.astype(float)})
    assert found("timeouts-as-terminals", harmed) == []


def test_bandits_have_no_time_limit():
    n = 200
    raw = RawLog(
        observations=np.random.default_rng(0).normal(size=(n, 2)),
        actions=np.zeros(n, int),
        rewards=np.random.default_rng(1).normal(size=n),
        terminated=np.ones(n, bool),
        truncated=np.zeros(n, bool),
        starts=np.arange(n + 1),
    )
    assert found("timeouts-as-terminals", raw) == []


@pytest.mark.parametrize("lengths", ["uniform", "geometric", "poisson", "few"])
def test_natural_lengths_are_no_pile(lengths):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        size = int(rng.choice([10, 100, 2000]))
        drawn = {
            "uniform": rng.integers(3, 25, size),
            "geometric": rng.geometric(0.08, size),
            "poisson": 1 + rng.poisson(12, size),
            "few": rng.choice([6, 9, 14], size),
        }[lengths]
        starts = np.concatenate([[0], np.cumsum(drawn)])
        n = int(starts[-1])
        last = np.zeros(n, bool)
        last[starts[1:] - 1] = True
        raw = RawLog(
            observations=rng.normal(size=(n, 2)),
            actions=np.zeros(n, int),
            rewards=rng.normal(size=n),
            terminated=last,
            truncated=np.zeros(n, bool),
            starts=starts,
        )
        assert found("timeouts-as-terminals", raw) == [], seed


@pytest.mark.parametrize("make", [TaxiEnv, FrozenLakeEnv, CliffWalkingEnv])
def test_toy_worlds_with_proper_flags(make):
    env = gym.wrappers.TimeLimit(make(), 60)
    n_states, n_actions = int(env.observation_space.n), int(env.action_space.n)
    policy = gs.TabularPolicy(np.full((n_states, n_actions), 1 / n_actions))
    for seed in range(3):
        raw = RawLog.of(gs.collect(env, policy, 40, seed=seed))
        assert found("timeouts-as-terminals", raw) == [], seed
        if raw.truncated.sum() > 8:
            assert one("timeouts-as-terminals", spoiled(raw)).episodes >= 8
