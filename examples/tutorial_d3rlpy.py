"""The tutorial's recipe with d3rlpy, faithfully, beside ours: for comparison, not for imitation.

A 15x15 grid with hazards, 500 logged episodes, behavior cloning and conservative Q-learning by d3rlpy with the recipe's
settings, 30 rollouts each, the mismatch with the log, plots and saved policies. What the recipe does and does not say:

- its "conservative weight 6" never arrives: the option is called ``alpha`` in d3rlpy, and the recipe passes options
  through a filter that drops unknown names in silence, so alpha stays 1;
- timeouts are logged as terminals, so nothing is bootstrapped past them;
- rewards of -100 to 50 and coordinates of 0 to 14 enter unscaled, and the target network is copied every 8,000 steps.

Afterwards groundschool judges both policies exactly, through ``gs.wrap``. d3rlpy wants its own environment:

    make test-d3rlpy                                    # makes .venv-d3rlpy
    .venv-d3rlpy/bin/python examples/tutorial_d3rlpy.py --out tutorial_d3rlpy.json      # about 15 minutes on two cores
"""

from __future__ import annotations

import argparse
import datetime
import inspect
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import d3rlpy
import gymnasium as gym
import numpy as np
import torch

import groundschool as gs

SEED = 42
DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu:0"


class SafetyCriticalGrid(gym.Env):
    """Reach the far corner and keep out of the hazards."""

    def __init__(self, size: int = 15, max_steps: int = 80, hazards: int = 7, slip: float = 0.05, seed: int = SEED):
        super().__init__()
        self.size, self.max_steps, self.slip = size, max_steps, slip
        self.observation_space = gym.spaces.Box(0.0, float(size - 1), shape=(2,), dtype=np.float32)
        self.action_space = gym.spaces.Discrete(4)
        self.start, self.goal = (0, 0), (size - 1, size - 1)
        rng = np.random.default_rng(seed)
        self.hazards = {tuple(int(v) for v in rng.integers(2, size - 2, size=2)) for _ in range(hazards)}
        self.rng = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.position, self.steps = list(self.start), 0
        return np.array(self.position, dtype=np.float32), {}

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
        hazard, goal = (x, y) in self.hazards, (x, y) == self.goal
        reward = -100.0 if hazard else 50.0 if goal else -1.0
        timeout = self.steps >= self.max_steps and not (hazard or goal)
        observation = np.array(self.position, dtype=np.float32)
        return observation, reward, hazard or goal, timeout, {"hazard": hazard, "goal": goal}


def safe_behavior(observation: np.ndarray, env: SafetyCriticalGrid, epsilon: float = 0.22) -> int:
    """Toward the goal among hazard-free preferred actions; anything at all with probability epsilon."""
    if env.rng.random() < epsilon:
        return int(env.rng.integers(0, 4))
    x, y = int(observation[0]), int(observation[1])
    preferred = []
    if x != env.goal[0]:
        step = 1 if x < env.goal[0] else -1
        preferred.append((1 if step > 0 else 3, (x + step, y)))
    if y != env.goal[1]:
        step = 1 if y < env.goal[1] else -1
        preferred.append((0 if step > 0 else 2, (x, y + step)))
    safe = [action for action, cell in preferred if cell not in env.hazards]
    return int(env.rng.choice(safe)) if safe else preferred[0][0]


def log_episodes(env: SafetyCriticalGrid, episodes: int, seed: int) -> dict[str, np.ndarray]:
    rows: dict[str, list] = {name: [] for name in ("observations", "actions", "rewards", "terminals")}
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        done = False
        while not done:
            action = safe_behavior(observation, env)
            following, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            for name, value in zip(rows, (observation, action, reward, float(done)), strict=True):
                rows[name].append(value)  # timeouts are terminals here: so does the recipe
            observation = following
    dtypes = {"actions": np.int64}
    return {name: np.array(values, dtype=dtypes.get(name, np.float32)) for name, values in rows.items()}


def filtered(config: type, **options: Any) -> Any:
    """Build a config from the options it knows. The others are dropped without a word: this is the recipe's trap."""
    known = inspect.signature(config).parameters
    return config(**{name: value for name, value in options.items() if name in known})


def fit(algorithm: Any, dataset: Any, steps: int, per_epoch: int, name: str, directory: Path) -> float:
    # fit() runs whole epochs only: other budgets than the recipe's are one epoch
    began = time.perf_counter()
    algorithm.fit(
        dataset,
        n_steps=steps,
        n_steps_per_epoch=per_epoch if steps % per_epoch == 0 else steps,
        experiment_name=name,
        show_progress=False,
        logger_adapter=d3rlpy.logging.FileAdapterFactory(root_dir=str(directory / "d3rlpy_logs")),
    )
    seconds = time.perf_counter() - began
    algorithm.save(str(directory / f"{name}.d3"))
    return seconds


def rollouts(env: SafetyCriticalGrid, algorithm: Any, episodes: int, seed: int) -> dict[str, Any]:
    returns, lengths, hazards, goals = [], [], [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        total, done, info = 0.0, False, {}
        while not done:
            action = int(algorithm.predict(observation[None])[0])
            observation, reward, terminated, truncated, info = env.step(action)
            total += reward
            done = terminated or truncated
        returns.append(total)
        lengths.append(env.steps)
        hazards.append(info["hazard"])
        goals.append(info["goal"])
    return {
        "episodes": episodes,
        "return_mean": float(np.mean(returns)),
        "return_std": float(np.std(returns)),
        "length_mean": float(np.mean(lengths)),
        "hazard_rate": float(np.mean(hazards)),
        "goal_rate": float(np.mean(goals)),
        "returns": returns,
    }


def action_mismatch(algorithm: Any, data: dict[str, np.ndarray], sample: int = 7_000, seed: int = 1) -> float:
    rows = np.random.default_rng(seed).choice(
        len(data["actions"]), size=min(sample, len(data["actions"])), replace=False
    )
    return float(np.mean(algorithm.predict(data["observations"][rows]) != data["actions"][rows]))


def plots(env: SafetyCriticalGrid, data: dict[str, np.ndarray], results: dict[str, Any], directory: Path) -> None:
    from matplotlib.figure import Figure

    visits = np.zeros((env.size, env.size))
    np.add.at(visits, tuple(data["observations"].astype(int).T[::-1]), 1)
    figure = Figure(figsize=(12, 10), layout="constrained")
    axes = figure.subplots(2, 2).flat
    axes[0].imshow(np.log1p(visits), origin="lower")
    axes[0].scatter(*zip(*env.hazards, strict=True), marker="x", color="red", label="hazard")
    axes[0].scatter(*zip(env.start, env.goal, strict=True), marker="*", color="white", label="start, goal")
    axes[0].set_title("State visitation, log(1 + visits)")
    axes[0].legend()
    axes[1].hist(data["rewards"], bins=60)
    axes[1].set_title("Rewards")
    names = list(results)
    measured = [results[name]["rollouts"] for name in names]
    means, spreads = [m["return_mean"] for m in measured], [m["return_std"] for m in measured]
    axes[2].bar(names, means, yerr=spreads)
    axes[2].set_title("Return, mean and standard deviation")
    for name, m in zip(names, measured, strict=True):
        axes[3].plot(np.sort(m["returns"]), label=name)
    axes[3].set_title("Sorted returns")
    if names:
        axes[3].legend()
    figure.savefig(directory / "tutorial_d3rlpy.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=SEED, help="of the logged episodes")
    parser.add_argument("--bc-steps", type=int, default=25_000, help="0 leaves behavior cloning out")
    parser.add_argument("--cql-steps", type=int, default=80_000, help="0 leaves CQL out")
    parser.add_argument("--rollouts", type=int, default=30)
    parser.add_argument("--threads", type=int, help="torch's; its own choice unless given")
    parser.add_argument("--directory", type=Path, default=Path("runs/tutorial_d3rlpy"), help="policies, logs and plots")
    parser.add_argument("--out", type=Path, help="write results and timings to this JSON file")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    began = time.perf_counter()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    d3rlpy.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  d3rlpy samples its batches from it

    env = SafetyCriticalGrid()
    data = log_episodes(env, arguments.episodes, arguments.seed)
    logged = time.perf_counter()
    dataset = d3rlpy.dataset.MDPDataset(**data)
    print(f"{len(data['actions']):,} rows in {int(data['terminals'].sum()):,} episodes")

    recipe = {
        "BC": (
            arguments.bc_steps,
            2_500,
            filtered(d3rlpy.algos.DiscreteBCConfig, batch_size=256, learning_rate=3e-4),
        ),
        "CQL": (
            arguments.cql_steps,
            8_000,
            filtered(
                d3rlpy.algos.DiscreteCQLConfig,
                batch_size=256,
                learning_rate=3e-4,
                conservative_weight=6.0,
                target_update_interval=8_000,
                gamma=0.99,
            ),
        ),
    }
    results: dict[str, Any] = {}
    judging = 0.0
    model = gs.HazardGrid().model()
    for name, (steps, per_epoch, config) in recipe.items():
        if steps == 0:
            continue
        algorithm = config.create(device=DEVICE)
        seconds = fit(algorithm, dataset, steps, per_epoch, name, arguments.directory)
        result = {
            "steps": steps,
            "fit_seconds": seconds,
            "updates_per_second": steps / seconds,
            "rollouts": rollouts(env, algorithm, arguments.rollouts, SEED + 1_000),
            "mismatch": action_mismatch(algorithm, data),
        }
        started = time.perf_counter()
        exact = model.evaluate(gs.wrap(algorithm))
        judging += time.perf_counter() - started
        result["exact"] = {"return": exact.return_, "hazard": exact.ends["hazard"], "goal": exact.ends["goal"]}
        results[name] = result
        seen = result["rollouts"]
        print(
            f"{name}: return {seen['return_mean']:.1f} ± {seen['return_std']:.1f}, length {seen['length_mean']:.1f}, "
            f"hazard {seen['hazard_rate']:.1%}, goal {seen['goal_rate']:.1%} in {arguments.rollouts} rollouts; "
            f"mismatch {result['mismatch']:.3f}; {steps:,} steps in {seconds:.1f} s\n"
            f"    exactly: return {exact.return_:.2f}, hazard {exact.ends['hazard']:.2%}, goal {exact.ends['goal']:.2%}"
        )
    plots(env, data, results, arguments.directory)
    total = time.perf_counter() - began - judging
    print(f"total {total:.1f} s, without groundschool's exact judgement ({judging:.2f} s)")
    if arguments.out:
        record = {
            "what": "the tutorial's recipe with d3rlpy",
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": " ".join(["python", "examples/tutorial_d3rlpy.py", *sys.argv[1:]]),
            "hardware": {"cores": os.cpu_count(), "machine": platform.machine(), "threads": torch.get_num_threads()},
            "versions": {
                "python": platform.python_version(),
                "d3rlpy": d3rlpy.__version__,
                "torch": torch.__version__,
                "groundschool": gs.__version__,
            },
            "log_seconds": logged - began,
            "total_seconds": total,
            "results": results,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
