"""A grid with hazards and a slippery floor: a Gymnasium environment, a fast simulator and an exact model of one law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from groundschool.envs.layout import MOVES, Cell, Layout, whole
from groundschool.envs.logger import HazardAvoidingLogger, rate
from groundschool.envs.rendering import FRAMES_PER_SECOND, ansi, rgb
from groundschool.envs.simulator import simulate
from groundschool.errors import InputError
from groundschool.evaluation.simulate import Simulation
from groundschool.evaluation.tabular import TabularModel
from groundschool.policies.policy import Policy

_MAX_MODEL_STATES = 4_096  # a dense table of 4096 x 4 x 4096 float64 takes 0.5 GiB


class HazardGrid(gym.Env[NDArray[np.float32], np.int64]):
    """Reach the goal without entering a hazard, on a floor where a step sometimes goes astray.

    An observation is the cell (x, y) as float32. Actions: 0 is +y, 1 is +x, 2 is -y, 3 is -x; walls clip. With
    probability ``slip`` the executed action is uniform over all four instead of the chosen one. Entering a hazard ends
    the episode with ``hazard_reward`` and cost 1, reaching the goal ends it with ``goal_reward``; every other step
    gives ``step_reward``. After ``horizon`` steps the episode is truncated. ``info`` carries ``cost`` in every step
    and, in the last, ``end``: ``"goal"``, ``"hazard"`` or ``"timeout"``.

    Parameters
    ----------
    size : int
        Cells along each side, 2 to 1,000.
    start, goal : (int, int), optional
        Cells; by default (0, 0) and the opposite corner.
    hazards : sequence of (int, int), optional
        Hazard cells, [] for none. By default ``n_hazards`` draws, with replacement and seeded by ``hazard_seed``, from
        the cells with coordinates in 2 … size - 3; the two are not used where hazards are given.
    n_hazards, hazard_seed : int
        See ``hazards``.
    slip : float
        0 to 1.
    horizon : int
        Steps after which an episode is truncated, at least the length of the shortest way to the goal.
    step_reward, hazard_reward, goal_reward : float
        Finite.
    render_mode : {"ansi", "rgb_array"}, optional
        What `render` returns.

    Raises
    ------
    InputError
        For a parameter out of range, hazards on start or goal, or a goal that nobody can reach (in time).
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": FRAMES_PER_SECOND}  # noqa: RUF012
    cost_name = "hazard"
    end_names = ("goal", "hazard", "timeout")

    def __init__(
        self,
        size: int = 15,
        start: Cell = (0, 0),
        goal: Cell | None = None,
        hazards: Sequence[Cell] | None = None,
        n_hazards: int = 7,
        hazard_seed: int = 42,
        slip: float = 0.05,
        horizon: int = 80,
        step_reward: float = -1.0,
        hazard_reward: float = -100.0,
        goal_reward: float = 50.0,
        render_mode: str | None = None,
    ) -> None:
        size = whole(size, "size", 2, 1_000)
        goal = (size - 1, size - 1) if goal is None else goal
        self.layout = (
            Layout.draw(size, start, goal, n_hazards, hazard_seed)
            if hazards is None
            else Layout(size, start, goal, tuple(hazards) if isinstance(hazards, Sequence | np.ndarray) else hazards)
        )
        self.slip = rate(slip, "slip")
        self.horizon = whole(horizon, "horizon", 1)
        if self.horizon < self.layout.distance:
            raise InputError(
                f"horizon is {self.horizon}, and the shortest way from start to goal takes {self.layout.distance} "
                f"steps: nobody could reach it in time. Give a horizon of at least {self.layout.distance}."
            )
        self.step_reward = _finite(step_reward, "step_reward")
        self.hazard_reward = _finite(hazard_reward, "hazard_reward")
        self.goal_reward = _finite(goal_reward, "goal_reward")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode is {render_mode!r}, expected 'ansi', 'rgb_array' or None.")
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0.0, float(size - 1), shape=(2,), dtype=np.float32)
        self.action_space: gym.spaces.Discrete = gym.spaces.Discrete(len(MOVES))
        self._cell: Cell = self.layout.start
        self._step: int | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Go back to the start; a seed restarts the environment's generator. There are no options."""
        super().reset(seed=seed)
        if options:
            raise InputError(f"reset has no options, got {sorted(options)}: the start is set when the grid is made.")
        self._cell, self._step = self.layout.start, 0
        return self._observation(), {"cost": 0.0}

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take one step; see the class for what it returns."""
        if self._step is None:
            raise InputError("the episode is over, or none was started: call reset first.")
        executed = whole(action, "action", 0, len(MOVES) - 1)
        if self.np_random.random() < self.slip:
            executed = int(self.np_random.integers(len(MOVES)))
        dx, dy = MOVES[executed]
        last = self.layout.size - 1
        self._cell = (min(max(self._cell[0] + dx, 0), last), min(max(self._cell[1] + dy, 0), last))
        self._step += 1
        hazard, goal = bool(self.layout.hazard_mask[self.layout.state(self._cell)]), self._cell == self.layout.goal
        terminated = hazard or goal
        truncated = not terminated and self._step >= self.horizon
        reward = self.hazard_reward if hazard else self.goal_reward if goal else self.step_reward
        info: dict[str, Any] = {"cost": float(hazard)}
        if terminated or truncated:
            info["end"] = "hazard" if hazard else "goal" if goal else "timeout"
            self._step = None
        return self._observation(), reward, terminated, truncated, info

    def render(self) -> Any:
        """Return the map with the agent: text for ``"ansi"``, an image (H, W, 3) uint8 for ``"rgb_array"``."""
        if self.render_mode is None:
            gym.logger.warn("HazardGrid has no render_mode: make it with render_mode='ansi' or 'rgb_array'.")
            return None
        return ansi(self.layout, self._cell) if self.render_mode == "ansi" else rgb(self.layout, self._cell)

    @cached_property
    def observations(self) -> NDArray[np.float32]:
        """What is seen in each state, shape (size**2, 2); state s is the cell (s // size, s % size)."""
        table = self.layout.cells.astype(np.float32)
        table.flags.writeable = False
        return table

    def logger(self, epsilon: float = 0.22) -> HazardAvoidingLogger:
        """Return the hazard-avoiding policy with a share ``epsilon`` of uniform actions."""
        return HazardAvoidingLogger(self.layout, epsilon)

    @property
    def has_model(self) -> bool:
        """Whether the grid is small enough for an exact model."""
        return self.layout.size**2 <= _MAX_MODEL_STATES

    def model(self) -> TabularModel:
        """Return the exact model of this environment, made once.

        Raises
        ------
        InputError
            For a grid larger than 64x64, whose dense table would not fit into memory comfortably.
        """
        return self._model

    def simulate(self, policy: Policy, episodes: int, seed: int = 0) -> Simulation:
        """Run many episodes at once, with the law of `step`, and log them.

        The policy is asked once, for its probabilities in every state. The same arguments give the same log on any
        machine; the episodes are not those of `reset` and `step` with that seed, which draw from another stream.

        Parameters
        ----------
        policy : Policy
            Over four actions.
        episodes : int
            How many, at least 1.
        seed : int
            At least 0. Episode ids are ``"{seed}-{i}"``.

        Returns
        -------
        Simulation
            The log, with the propensity of each action and the cost ``"hazard"``, and the ends.
        """
        return simulate(self, policy, whole(episodes, "episodes", 1), whole(seed, "seed", 0))

    @property
    def return_range(self) -> tuple[float, float]:
        """The least and the largest sum of rewards that an episode can have, whatever is done in it."""
        ends = (self.hazard_reward, self.goal_reward)
        before = (0.0, (self.horizon - 1) * self.step_reward)
        never = self.horizon * self.step_reward
        return min(never, min(before) + min(ends)), max(never, max(before) + max(ends))

    @cached_property
    def arrival_rewards(self) -> NDArray[np.float64]:
        """Reward of a step by the state that it leads to, shape (size**2,)."""
        layout = self.layout
        rewards = np.where(layout.hazard_mask, self.hazard_reward, self.step_reward)
        return np.where(layout.goal_mask, self.goal_reward, rewards)

    @cached_property
    def execution(self) -> NDArray[np.float64]:
        """Probability of each executed action given the chosen one, shape (4 chosen, 4 executed)."""
        n = len(MOVES)
        return self.slip / n + (1.0 - self.slip) * np.eye(n)

    @cached_property
    def _model(self) -> TabularModel:
        layout, states = self.layout, self.layout.n_states
        if states > _MAX_MODEL_STATES:
            raise InputError(
                f"the exact model of a {layout.size}x{layout.size} grid would be too large: "
                f"use a size of at most {math.isqrt(_MAX_MODEL_STATES)}, or sample with rollouts."
            )
        terminal = layout.hazard_mask | layout.goal_mask
        transitions = np.zeros((states, len(MOVES), states))
        rows, actions = np.arange(states)[:, None], np.arange(len(MOVES))
        for executed in actions:  # within one executed action every (state, action) pair occurs once, so += adds up
            transitions[rows, actions, layout.neighbors[:, executed, None]] += self.execution[:, executed]
        transitions[terminal] = np.eye(states)[terminal][:, None, :]
        initial = np.zeros(states)
        initial[layout.state(layout.start)] = 1.0
        return TabularModel(
            transitions=transitions,
            rewards=self.arrival_rewards,
            costs={self.cost_name: layout.hazard_mask.astype(np.float64)},
            terminal=terminal,
            initial=initial,
            horizon=self.horizon,
            observations=self.observations,
            ends={"goal": layout.goal_mask, "hazard": layout.hazard_mask},
        )

    def _observation(self) -> NDArray[np.float32]:
        return np.array(self._cell, dtype=np.float32)


def _finite(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | str) or not math.isfinite(number):
        raise InputError(f"{name} is {value!r}, expected a finite number.")
    return number
