"""The exact model: published figures of the tutorial's grid, and small grids by hand."""

from __future__ import annotations

import numpy as np
import pytest

from groundschool.envs import HazardGrid
from groundschool.errors import InputError

UP, RIGHT, DOWN, LEFT = range(4)


def table(env: HazardGrid, actions: dict[tuple[int, int], int | list[float]], default: int) -> np.ndarray:
    """Policy table with one action a cell, or its action probabilities."""
    rows = np.tile(np.eye(4)[default], (env.layout.n_states, 1))
    for cell, action in actions.items():
        rows[env.layout.state(cell)] = np.eye(4)[action] if isinstance(action, int) else action
    return rows


@pytest.mark.parametrize(
    ("epsilon", "return_", "hazard", "goal"), [(0.22, -13.851, 0.2073, 0.7927), (0.0, 16.608, 0.0363, 0.9637)]
)
def test_logger_on_the_tutorials_grid(epsilon: float, return_: float, hazard: float, goal: float) -> None:
    env = HazardGrid()
    value = env.model().evaluate(env.logger(epsilon))
    assert value.return_ == pytest.approx(return_, abs=5e-4)
    assert value.probabilities["hazard"] == pytest.approx(hazard, abs=5e-5)
    assert value.ends["goal"] == pytest.approx(goal, abs=5e-5)
    # a hazard ends the episode: its cost is met at most once
    assert value.costs["hazard"] == pytest.approx(value.probabilities["hazard"], abs=1e-12)
    assert value.ends["hazard"] == pytest.approx(value.probabilities["hazard"], abs=1e-12)
    assert sum(value.ends.values()) == pytest.approx(1.0, abs=1e-12)
    # the rewards are -1 a step, replaced in the last: an identity that ties return, length and ends together
    identity = -value.length + 51 * value.ends["goal"] - 99 * value.ends["hazard"]
    assert value.return_ == pytest.approx(identity, abs=1e-9)


def test_optimum_on_the_tutorials_grid() -> None:
    value = HazardGrid().model().optimal().value
    assert value.return_ == pytest.approx(21.688, abs=5e-4)
    assert value.probabilities["hazard"] == pytest.approx(0.00002, abs=5e-6)
    assert value.ends["goal"] == pytest.approx(0.99998, abs=5e-6)


STRAIGHT = {(2, 0): UP, (2, 1): UP}  # right along the bottom, then up


@pytest.mark.parametrize(
    ("actions", "return_", "length", "ends"),
    [
        (STRAIGHT, 47.0, 4.0, {"goal": 1.0}),  # -1 -1 -1 +50
        ({(1, 0): UP}, -101.0, 2.0, {"hazard": 1.0}),  # -1 -100
        ({}, -6.0, 6.0, {"timeout": 1.0}),  # right against the wall
        (STRAIGHT | {(1, 0): [0.5, 0.5, 0, 0]}, -27.0, 3.0, {"goal": 0.5, "hazard": 0.5}),  # half 47, half -101
        # at the start a coin decides between a step right and a bump into the wall: after k bumps 47 - k, and with
        # 3 bumps or more 3 steps or fewer are left of 6: 47/2 + 46/4 + 45/8 - 6/8, and in steps 4/2 + 5/4 + 6/8 + 6/8
        (STRAIGHT | {(0, 0): [0, 0.5, 0, 0.5]}, 39.875, 4.75, {"goal": 0.875, "timeout": 0.125}),
    ],
)
def test_three_by_three_by_hand(
    actions: dict[tuple[int, int], int | list[float]], return_: float, length: float, ends: dict[str, float]
) -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, horizon=6)
    value = env.model().evaluate(table(env, actions, default=RIGHT))
    assert value.return_ == pytest.approx(return_, abs=1e-12)
    assert value.length == pytest.approx(length, abs=1e-12)
    assert value.ends == pytest.approx({"goal": 0.0, "hazard": 0.0, "timeout": 0.0} | ends, abs=1e-12)
    assert value.probabilities == pytest.approx({"hazard": ends.get("hazard", 0.0)}, abs=1e-12)


def test_two_by_two_with_slip_by_hand() -> None:
    # Hazard at (0, 1), two steps. With slip 0.4 the chosen action is executed with 0.7, each other with 0.1.
    # Right at x = 0, up at x = 1. From (0, 0): 0.7 to (1, 0), 0.1 into the hazard, 0.2 stays.
    env = HazardGrid(size=2, hazards=[(0, 1)], slip=0.4, horizon=2)
    value = env.model().evaluate(table(env, {(1, 0): UP}, default=RIGHT))
    assert value.ends == pytest.approx({"goal": 0.7 * 0.7, "hazard": 0.1 + 0.2 * 0.1, "timeout": 0.39}, abs=1e-12)
    assert value.length == pytest.approx(0.1 * 1 + 0.9 * 2, abs=1e-12)
    second = {"stayed": 0.1 * -100 + 0.9 * -1, "right": 0.7 * 50 + 0.3 * -1}
    expected = 0.1 * -100 + 0.2 * (-1 + second["stayed"]) + 0.7 * (-1 + second["right"])
    assert value.return_ == pytest.approx(expected, abs=1e-12)


def test_the_optimum_goes_around() -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, horizon=6)
    assert env.model().optimal().value.return_ == pytest.approx(47.0, abs=1e-12)


def test_rewards_are_parameters() -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, horizon=6, step_reward=-0.5, hazard_reward=-7, goal_reward=2)
    assert env.model().evaluate(table(env, STRAIGHT, RIGHT)).return_ == pytest.approx(0.5, abs=1e-12)
    assert env.model().evaluate(table(env, {(1, 0): UP}, RIGHT)).return_ == pytest.approx(-7.5, abs=1e-12)


def test_the_model_is_made_once_and_sees_what_the_environment_shows() -> None:
    env = HazardGrid(size=4, hazards=[])
    assert env.model() is env.model()
    np.testing.assert_array_equal(env.model().observations, env.observations)
    assert env.observations.dtype == np.float32
    np.testing.assert_array_equal(env.observations[[0, 1, 4, 15]], [(0, 0), (0, 1), (1, 0), (3, 3)])


def test_a_large_grid_has_no_dense_model() -> None:
    env = HazardGrid(size=65, hazards=[], horizon=200)
    with pytest.raises(InputError, match="exact model of a 65x65 grid"):
        env.model()
    assert env.simulate(env.logger(), 3, 0).dataset.n_episodes == 3
