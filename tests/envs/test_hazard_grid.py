"""The Gymnasium environment, step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from groundschool.envs import HazardGrid
from groundschool.envs.registration import register
from groundschool.errors import InputError
from groundschool.evaluation import collect

UP, RIGHT, DOWN, LEFT = range(4)


def walk(env: HazardGrid, actions: list[int]) -> list[tuple[Any, ...]]:
    env.reset(seed=0)
    return [(tuple(obs.tolist()), *rest) for obs, *rest in (env.step(action) for action in actions)]


@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
def test_passes_gymnasiums_checker(render_mode: str | None) -> None:
    check_env(gym.make("groundschool/HazardGrid-v0", render_mode=render_mode).unwrapped)  # warnings are errors here


def test_registration() -> None:
    register()  # again: no warning about overriding
    env = gym.make("groundschool/HazardGrid-v0", size=6, hazards=[(1, 1)], slip=0.0)
    assert isinstance(env.unwrapped, HazardGrid)
    assert env.unwrapped.layout.hazards == ((1, 1),)
    assert HazardGrid.metadata == {"render_modes": ["ansi", "rgb_array"], "render_fps": 10}


def test_defaults_are_the_tutorials() -> None:
    env = HazardGrid()
    assert (env.layout.size, env.layout.start, env.layout.goal, len(env.layout.hazards)) == (15, (0, 0), (14, 14), 7)
    assert (env.slip, env.horizon, env.step_reward, env.hazard_reward, env.goal_reward) == (0.05, 80, -1, -100, 50)
    assert env.observation_space == gym.spaces.Box(0, 14, (2,), np.float32)
    assert env.action_space == gym.spaces.Discrete(4)


def test_moves_walls_and_the_goal() -> None:
    env = HazardGrid(size=3, hazards=[], slip=0.0, horizon=9)
    steps = walk(env, [LEFT, DOWN, UP, RIGHT, DOWN, RIGHT, RIGHT, UP, UP])
    cells = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 0), (2, 1), (2, 2)]
    assert [step[0] for step in steps] == cells
    assert [step[1] for step in steps] == [-1.0] * 8 + [50.0]  # +50 replaces the -1 of its step
    assert [step[2:4] for step in steps] == [(False, False)] * 8 + [(True, False)]  # on the last step: no truncation
    assert [step[4] for step in steps] == [{"cost": 0.0}] * 8 + [{"cost": 0.0, "end": "goal"}]


def test_the_hazard_ends_the_episode() -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, horizon=9)
    assert walk(env, [UP, RIGHT])[-1] == ((1.0, 1.0), -100.0, True, False, {"cost": 1.0, "end": "hazard"})
    with pytest.raises(InputError, match="episode is over"):
        env.step(UP)


def test_the_horizon_truncates() -> None:
    env = HazardGrid(size=3, hazards=[], slip=0.0, horizon=4)
    assert walk(env, [LEFT] * 4)[-1] == ((0.0, 0.0), -1.0, False, True, {"cost": 0.0, "end": "timeout"})


def test_a_seed_fixes_the_episode() -> None:
    env = HazardGrid(slip=0.9)

    def episode(seed: int) -> list[tuple[float, ...]]:
        env.reset(seed=seed)
        return [tuple(env.step(RIGHT)[0].tolist()) for _ in range(8)]

    assert episode(3) == episode(3)
    assert len({tuple(episode(seed)) for seed in range(20)}) > 10


def test_slip_executes_uniform_actions() -> None:
    env = HazardGrid(size=3, start=(1, 1), goal=(2, 2), hazards=[], slip=0.4)
    n = 4_000
    env.reset(seed=0)
    landed = []
    for _ in range(n):
        env.reset()
        landed.append(tuple(env.step(RIGHT)[0].tolist()))
    for cell, p in {(2.0, 1.0): 0.7, (1.0, 2.0): 0.1, (0.0, 1.0): 0.1, (1.0, 0.0): 0.1}.items():
        assert abs(landed.count(cell) - n * p) < 4.5 * np.sqrt(n * p * (1 - p))  # 4.5 standard errors: 7 in a million


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"size": 1}, "size is 1"),
        ({"slip": 1.5}, "slip is 1.5"),
        ({"slip": "0.1"}, "slip is '0.1'"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": 80.0}, "horizon is 80.0"),
        ({"horizon": 27}, "takes 28 steps: nobody could reach it in time"),
        ({"step_reward": np.nan}, "step_reward is nan"),
        ({"hazard_reward": -np.inf}, "hazard_reward is -inf"),
        ({"goal_reward": "50"}, "goal_reward is '50'"),
        ({"goal_reward": None}, "goal_reward is None"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
        ({"hazards": [(0, 0)]}, "on the start"),
        ({"hazards": 3}, "hazards is 3"),
        ({"hazards": [(14, 13), (13, 14)]}, "no path leads"),
        ({"start": (2, 10)}, r"hazard at \(2, 10\) is on the start"),
        ({"goal": (15, 0)}, "goal is"),
        ({"n_hazards": -1}, "n_hazards is -1"),
        ({"hazard_seed": "a"}, "hazard_seed is 'a'"),
    ],
)
def test_refuses(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        HazardGrid(**arguments)


def test_refuses_to_step_wrongly() -> None:
    env = HazardGrid()
    with pytest.raises(InputError, match="call reset first"):
        env.step(0)
    env.reset(seed=0)
    for action in (4, -1, 1.0, "up"):
        with pytest.raises(InputError, match="action is"):
            env.step(action)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reset has no options"):
        env.reset(options={"start": (1, 1)})


def test_ansi() -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == ". . G\n. X .\nA . .\n"
    env.step(RIGHT)
    assert env.render() == ". . G\n. X .\nS A .\n"


def test_rgb() -> None:
    env = HazardGrid(size=3, hazards=[(1, 1)], slip=0.0, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.step(RIGHT)
    second = env.render()
    assert first.shape == (72, 72, 3)
    assert first.dtype == np.uint8
    changed = np.argwhere((first != second).any(axis=2))
    assert changed[:, 0].min() >= 48  # y = 0 is the bottom row
    assert changed[:, 1].max() < 48  # columns x = 0 and x = 1
    assert tuple(first[60, 12]) == (0, 0, 0)  # the agent is in the bottom left cell, then in the next
    assert tuple(second[60, 36]) == (0, 0, 0)


def test_rendering_needs_a_mode() -> None:
    env = HazardGrid()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="no render_mode"):
        assert env.render() is None


@pytest.mark.parametrize("rewards", [{}, {"step_reward": 2.0}, {"step_reward": 0.0, "hazard_reward": 5.0}])
def test_the_range_of_returns_is_declared_and_holds_the_best_and_the_worst(rewards):
    """Of the exact best and worst that anybody can do, and of logged episodes."""
    grid = HazardGrid(size=5, n_hazards=2, horizon=15, slip=0.0, **rewards)
    low, high = grid.return_range
    model = grid.model()
    best = model.optimal().value.return_
    worst = -dataclasses.replace(model, rewards=-model.rewards).optimal().value.return_
    assert low <= worst <= best <= high
    log = collect(grid, grid.logger(1.0), episodes=200, seed=0)
    assert log.return_range == grid.return_range
    assert low <= log.returns.min() <= log.returns.max() <= high


def test_the_tutorial_returns_between_being_caught_last_and_the_shortest_way():
    assert HazardGrid().return_range == (-79.0 - 100.0, -27.0 + 50.0)
