"""The worlds with continuous observations: the same law as Gymnasium's CartPole, and logs that say what they are."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from ope_worlds_continuous import WORLDS, CartPole, PointMass

TARGETS = {"logger", "milder", "sharper", "safer", "dangerous", "uniform", "hidden"}


def test_cart_pole_moves_as_gymnasiums():
    theirs = gym.make("CartPole-v1").unwrapped
    ours, rng = CartPole(), np.random.default_rng(0)
    falls = 0
    for _ in range(20):
        seen, _ = theirs.reset(seed=int(rng.integers(2**31)))
        state = np.array(theirs.state)[None]
        for _ in range(100):
            action = rng.integers(2)
            seen, reward, terminated, _, _ = theirs.step(action)
            state, rewards, costs, ended = ours.step(state, np.array([action]), rng)
            np.testing.assert_allclose(state[0], theirs.state, rtol=0, atol=1e-12)
            np.testing.assert_array_equal(ours.observe(state)[0], seen)
            assert (rewards[0], ended[0], costs[0]) == (reward, terminated, float(terminated))
            if terminated:
                falls += 1
                break
    assert falls == 20


def test_cart_pole_starts_where_gymnasiums_does():
    starts = CartPole().start(20_000, np.random.default_rng(0))
    theirs = np.array([gym.make("CartPole-v1").reset(seed=i)[0] for i in range(50)])
    assert np.abs(starts).max() <= 0.05
    assert np.abs(theirs).max() <= 0.05
    # A uniform variable on [-.05, .05]: mean 0, standard deviation .1 / sqrt(12); 5 standard errors.
    np.testing.assert_allclose(starts.mean(axis=0), 0.0, atol=5 * 0.1 / np.sqrt(12 * 20_000))


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_logs_are_whole(world):
    targets = world.targets()
    assert set(targets) == TARGETS
    log = world.simulate(targets["logger"], 50, 3)
    again = world.simulate(targets["logger"], 50, 3)
    assert log.fingerprint == again.fingerprint
    assert log.n_episodes == 50
    assert log.horizon == world.horizon
    chances = targets["logger"].probabilities(log.observations)
    np.testing.assert_allclose(chances[np.arange(log.n_steps), log.actions], log.propensities)
    cut = log.truncated[log.starts[1:] - 1]
    assert (np.diff(log.starts)[cut] == world.horizon).all()
    # An observation follows from the one before and the action: where nothing is drawn, exactly.
    if isinstance(world, CartPole):
        rows = np.setdiff1d(np.arange(log.n_steps), log.starts[1:] - 1)
        then, _, _, _ = world.step(log.observations[rows].astype(float), log.actions[rows], np.random.default_rng(0))
        np.testing.assert_allclose(then, log.observations[rows + 1], atol=1e-6)


def test_a_hazard_that_ends_and_one_that_only_costs():
    ending, passing = PointMass(), PointMass(ends=False)
    state = np.array([[0.35, 0.45, 0.0, 0.0], [-1.0, -1.0, 0.0, 0.0], [1.0, 0.9, 0.0, 0.0]])
    right = np.ones(3, np.int64)
    for world, ended in ((ending, [True, False, True]), (passing, [False, False, True])):
        _, rewards, costs, over = world.step(state, right, np.random.default_rng(0))
        np.testing.assert_array_equal(costs, [1.0, 0.0, 0.0])
        np.testing.assert_array_equal(over, ended)
        assert rewards[2] > 4.5


def test_truth_comes_with_its_error():
    world = PointMass()
    found = world.truth(world.targets()["logger"], episodes=2_000, seed=5)
    value, error = found["probability:hazard"]
    assert error == pytest.approx(np.sqrt(value * (1 - value) / 1_999), rel=1e-6)
    # Another draw agrees within 5 standard errors of the difference.
    other, _ = world.truth(world.targets()["logger"], episodes=2_000, seed=50_000)["probability:hazard"]
    assert abs(other - value) < 5 * np.sqrt(2) * error
