"""Logged grid steps a second: our vectorised simulator against a plain Python loop over a plain Python grid.

The loop is written the way tutorials write it: a Gymnasium environment stepped one action at a time, an array an
observation, a small policy function, one dict appended for each step, columns stacked at the end. Both logs have the
same law; the outcome rates are printed and recorded so that the ratio compares like with like. Ours includes making
the environment and the policy, and the validated Dataset with its propensities.

    python benchmarks/grid_logging.py --json benchmarks/results/grid_logging.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from groundschool.envs import HazardGrid

EPSILON = 0.22


class PlainGrid(gym.Env):
    """The grid as a tutorial writes it."""

    def __init__(self, size: int = 15, max_steps: int = 80, slip: float = 0.05, seed: int = 42) -> None:
        super().__init__()
        self.size, self.max_steps, self.slip = size, max_steps, slip
        self.start, self.goal = (0, 0), (size - 1, size - 1)
        rng = np.random.default_rng(seed)
        self.hazards = {tuple(int(v) for v in rng.integers(2, size - 2, size=2)) for _ in range(7)}
        self.observation_space = gym.spaces.Box(0.0, float(size - 1), shape=(2,), dtype=np.float32)
        self.action_space = gym.spaces.Discrete(4)

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.rng = np.random.default_rng(seed)
        self.position = list(self.start)
        self.steps = 0
        return self._observation(), {}

    def _observation(self) -> np.ndarray:
        return np.array(self.position, dtype=np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        if self.rng.random() < self.slip:
            action = int(self.rng.integers(0, 4))
        x, y = self.position
        if action == 0:
            y = min(self.size - 1, y + 1)
        elif action == 1:
            x = min(self.size - 1, x + 1)
        elif action == 2:
            y = max(0, y - 1)
        else:
            x = max(0, x - 1)
        self.position = [x, y]
        reward, terminated, hazard = -1.0, False, (x, y) in self.hazards
        if hazard:
            reward, terminated = -100.0, True
        elif (x, y) == self.goal:
            reward, terminated = 50.0, True
        truncated = self.steps >= self.max_steps and not terminated
        return self._observation(), reward, terminated, truncated, {"hazard": hazard}


def behavior(observation: np.ndarray, env: PlainGrid, rng: np.random.Generator) -> int:
    """Toward the goal among hazard-free preferred actions, noisy."""
    if rng.random() < EPSILON:
        return int(rng.integers(0, 4))
    x, y = int(observation[0]), int(observation[1])
    preferred = []
    if x < env.goal[0]:
        preferred.append((1, (x + 1, y)))
    elif x > env.goal[0]:
        preferred.append((3, (x - 1, y)))
    if y < env.goal[1]:
        preferred.append((0, (x, y + 1)))
    elif y > env.goal[1]:
        preferred.append((2, (x, y - 1)))
    safe = [action for action, cell in preferred if cell not in env.hazards]
    return safe[int(rng.integers(len(safe)))] if safe else preferred[0][0]  # rng.choice would be slower still


def plain_log(episodes: int, seed: int) -> dict[str, np.ndarray]:
    env, rng = PlainGrid(), np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        terminated = truncated = False
        while not (terminated or truncated):
            action = behavior(observation, env, rng)
            following, reward, terminated, truncated, info = env.step(action)
            rows.append(
                {
                    "observation": observation,
                    "action": action,
                    "reward": reward,
                    "terminated": terminated,
                    "truncated": truncated,
                    "cost": float(info["hazard"]),
                }
            )
            observation = following
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def ours(episodes: int, seed: int) -> dict[str, np.ndarray]:
    env = HazardGrid()
    log = env.simulate(env.logger(EPSILON), episodes, seed).dataset
    return {"reward": log.rewards, "cost": log.costs["hazard"]}


Log = Callable[[int, int], dict[str, np.ndarray]]


def compare(logs: dict[str, Log], episodes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return median rates, setup included, and what the last logs looked like; turns alternate, so load hits all."""
    rates: dict[str, list[float]] = {name: [] for name in logs}
    facts: dict[str, dict[str, float]] = {}
    for turn in range(rounds):
        for name, log in logs.items():
            began = time.perf_counter()
            columns = log(episodes, 1_000 * turn)
            rates[name].append(len(columns["reward"]) / (time.perf_counter() - began))
            facts[name] = {
                "steps_per_episode": len(columns["reward"]) / episodes,
                "hazard_rate": float(columns["cost"].sum() / episodes),
                "mean_return": float(columns["reward"].sum() / episodes),
            }
    return {
        name: {"steps_per_second": statistics.median(r), "slowest": min(r), "fastest": max(r), "rounds": rounds}
        | facts[name]
        for name, r in rates.items()
    }


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, nargs="+", default=[500, 10_000])
    parser.add_argument("--json", type=Path, help="write the result to this file")
    arguments = parser.parse_args()
    ours(10, 0)  # imports and first-call costs are nobody's rate
    results = []
    for episodes in arguments.episodes:
        found = compare({"plain_loop": plain_log, "groundschool": ours}, episodes, rounds=5)
        plain, fast = found["plain_loop"], found["groundschool"]
        ratio = fast["steps_per_second"] / plain["steps_per_second"]
        results.append({"episodes": episodes, **found, "ratio": ratio})
        print(
            f"{episodes:>7,} episodes: plain loop {plain['steps_per_second']:>11,.0f} steps/s, "
            f"groundschool {fast['steps_per_second']:>13,.0f} steps/s, ratio {ratio:.0f}x   "
            f"(hazard rate {plain['hazard_rate']:.3f} and {fast['hazard_rate']:.3f})"
        )
    record = {
        "what": "logged HazardGrid steps per second, defaults, logger epsilon 0.22",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/grid_logging.py", *sys.argv[1:]]),
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "load": os.getloadavg(),
        },
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "gymnasium": gym.__version__},
        "results": results,
    }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
