"""Logs without a fault, by kind: what no check may complain about.

Every kind is a function ``(seed, episodes) -> RawLog`` with true propensities, exact flags and final observations.
Behavior differs from seed to seed: how noisy it is, and how it acts.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from groundschool.data.dataset import Dataset
from groundschool.data.raw import RawLog
from groundschool.envs.hazard_grid import HazardGrid

CARTPOLE_STEPS, PENDULUM_STEPS, TABULAR_STEPS = 60, 40, 20


def pack(parts: list[dict[str, np.ndarray]], **facts: object) -> RawLog:
    """Return the log whose episodes are `parts`: ``observations`` (T + 1, d) or (T + 1,), the other columns (T,)."""

    def column(name):
        return np.concatenate([part[name] for part in parts])

    costs = {name[5:]: column(name) for name in parts[0] if name.startswith("cost:")}
    log = Dataset.from_arrays(
        np.concatenate([part["observations"][:-1] for part in parts]),
        column("actions"),
        column("rewards"),
        column("terminated"),
        column("truncated"),
        costs=costs or None,
        propensities=column("propensities") if "propensities" in parts[0] else None,
        final_observations=np.stack([part["observations"][-1] for part in parts]),
        **facts,
    )
    return RawLog.of(log)


def cut(lockstep: dict[str, np.ndarray], lengths: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return the episodes of columns (T, E, ...), those of observations (T + 1, E, ...), each at its own length."""
    return [
        {name: values[: n + (name == "observations"), e] for name, values in lockstep.items()}
        for e, n in enumerate(lengths)
    ]


def hazard_grid(seed: int, episodes: int, epsilon: float | None = None) -> RawLog:
    epsilon = np.random.default_rng(seed).uniform(0.1, 0.5) if epsilon is None else epsilon
    grid = HazardGrid()
    log = RawLog.of(grid.simulate(grid.logger(epsilon), episodes, seed).dataset)
    return replace(log, return_range=None)  # faults that are planted in the rewards are to be found without it


def cartpole(seed: int, episodes: int, epsilon: float | None = None) -> RawLog:
    """A linear rule with a share of uniform actions; an angle beyond 0.1 after the action costs 1."""
    rng = np.random.default_rng(seed)
    epsilon = rng.uniform(0.1, 0.6) if epsilon is None else epsilon
    rule = np.array([rng.uniform(-0.1, 0.1), rng.uniform(0, 0.2), 1.0, rng.uniform(0.2, 0.6)])
    env = CartPoleVectorEnv(num_envs=episodes, max_episode_steps=CARTPOLE_STEPS)
    seen, _ = env.reset(seed=seed)
    columns = {name: [] for name in ("actions", "rewards", "terminated", "truncated", "propensities")}
    observations = [seen]
    for _ in range(CARTPOLE_STEPS):
        preferred = (seen @ rule > 0).astype(np.int64)
        actions = np.where(rng.random(episodes) < epsilon, rng.integers(0, 2, episodes), preferred)
        seen, rewards, terminated, truncated, _ = env.step(actions)
        propensities = np.where(actions == preferred, 1 - epsilon / 2, epsilon / 2)
        for values, value in zip(
            columns.values(), (actions, rewards, terminated, truncated, propensities), strict=True
        ):
            values.append(value.copy())
        observations.append(seen)
    lockstep = {name: np.stack(values) for name, values in columns.items()} | {"observations": np.stack(observations)}
    lockstep["cost:tilt"] = (np.abs(lockstep["observations"][1:, :, 2]) > 0.1).astype(float)
    over = lockstep["terminated"] | lockstep["truncated"]
    lengths = np.argmax(over, axis=0) + 1
    return pack(cut(lockstep, lengths), n_actions=2, horizon=CARTPOLE_STEPS)


def pendulum(seed: int, episodes: int, noise: float | None = None) -> RawLog:
    """A noisy controller, with its density as propensity; turning fast after the action costs the excess speed."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.2, 0.8) if noise is None else noise
    gain = rng.uniform(0.5, 2.0, 2)
    env = gym.make("Pendulum-v1").unwrapped
    env.reset(seed=seed)
    parts = []
    for _ in range(episodes):
        seen, _ = env.reset()
        observations, actions, rewards, propensities = [seen], [], [], []
        for _ in range(PENDULUM_STEPS):
            center = np.clip(gain[0] * seen[1] - gain[1] * seen[2], -2, 2)
            draw = rng.normal() if noise else 0.0
            action = np.array([center + noise * draw])
            seen, reward, _, _, _ = env.step(action)
            observations.append(seen)
            actions.append(action)
            rewards.append(reward)
            propensities.append(np.exp(-(draw**2) / 2) / (noise * np.sqrt(2 * np.pi)) if noise else 1.0)
        part = {"observations": np.array(observations, np.float32), "actions": np.array(actions)}
        part["rewards"] = np.array(rewards, float)
        part["cost:speed"] = np.maximum(np.abs(part["observations"][1:, 2]) - 5.0, 0.0).astype(float)
        part["propensities"] = np.array(propensities)
        part["terminated"] = np.zeros(PENDULUM_STEPS, bool)
        part["truncated"] = np.arange(PENDULUM_STEPS) == PENDULUM_STEPS - 1
        parts.append(part)
    return pack(parts, horizon=PENDULUM_STEPS)


def tabular(seed: int, episodes: int, n_states: int = 12, n_actions: int = 3) -> RawLog:
    """A random process over state ids: the last state ends it, the two before cost 1 when they are reached."""
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(n_states, 0.3), (n_states, n_actions))
    rewards_of = rng.normal(size=(n_states, n_actions))
    policy = 0.15 / n_actions + 0.85 * rng.dirichlet(np.ones(n_actions), n_states)
    state = rng.integers(0, n_states - 1, episodes)
    names = ("actions", "rewards", "terminated", "truncated", "propensities", "cost:harm")
    columns = {name: [] for name in names}
    observations = [state]
    for step in range(TABULAR_STEPS):
        actions = draw(rng, policy[state])
        arrived = draw(rng, moves[state, actions])
        values = (
            actions,
            rewards_of[state, actions],
            arrived == n_states - 1,
            np.full(episodes, step == TABULAR_STEPS - 1) & (arrived != n_states - 1),
            policy[state, actions],
            ((arrived >= n_states - 3) & (arrived < n_states - 1)).astype(float),
        )
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
        state = arrived
        observations.append(state)
    lockstep = {name: np.stack(values) for name, values in columns.items()} | {"observations": np.stack(observations)}
    lengths = np.argmax(lockstep["terminated"] | lockstep["truncated"], axis=0) + 1
    return pack(cut(lockstep, lengths), n_actions=n_actions, horizon=TABULAR_STEPS)


def draw(rng: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
    """Return one outcome for each row of probabilities."""
    below = rng.random((len(probabilities), 1)) < np.cumsum(probabilities, axis=1)
    return np.where(below.any(axis=1), below.argmax(axis=1), probabilities.shape[1] - 1)


def minari_cartpole(seed: int, episodes: int) -> RawLog:
    """What minari's own collector recorded and minari's own reader returns: no propensities, no costs."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("MINARI_DATASETS_PATH")
        os.environ["MINARI_DATASETS_PATH"] = folder
        try:
            return _minari(seed, episodes)
        finally:
            if before is None:
                del os.environ["MINARI_DATASETS_PATH"]
            else:
                os.environ["MINARI_DATASETS_PATH"] = before


def _minari(seed: int, episodes: int) -> RawLog:
    import minari

    rng = np.random.default_rng(seed)
    epsilon = rng.uniform(0.2, 0.8)
    env = minari.DataCollector(gym.make("CartPole-v1", max_episode_steps=CARTPOLE_STEPS), record_infos=False)
    env.action_space.seed(seed)
    for episode in range(episodes):
        seen, _ = env.reset(seed=seed * 1_000_003 + episode)
        over = False
        while not over:
            preferred = int(seen[2] + 0.3 * seen[3] > 0)
            seen, _, terminated, truncated, _ = env.step(
                int(rng.integers(0, 2)) if rng.random() < epsilon else preferred
            )
            over = terminated or truncated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # minari recommends metadata
        found = env.create_dataset("cartpole/clean-v0", algorithm_name="rule", author="tests", author_email="none")
    parts = [
        {
            "observations": episode.observations,
            "actions": episode.actions.astype(np.int64),
            "rewards": episode.rewards,
            "terminated": episode.terminations,
            "truncated": episode.truncations,
        }
        for episode in found.iterate_episodes()
    ]
    env.close()
    env._tmp_dir.cleanup()  # close deletes the folder, but leaves its finalizer to warn
    return pack(parts, n_actions=2)


CLEAN: dict[str, Callable[[int, int], RawLog]] = {
    "hazard-grid": hazard_grid,
    "cartpole": cartpole,
    "pendulum": pendulum,
    "tabular": tabular,
    "minari": minari_cartpole,
}
