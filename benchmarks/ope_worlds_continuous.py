"""Two worlds with continuous observations, fast enough for a long Monte-Carlo truth: CartPole and a noisy point mass.

Each world has a logger and targets beside it:

* ``logger``: the policy that writes the log;
* ``milder``, ``sharper``: the same preferences, more and less random;
* ``safer``: a policy that takes care;
* ``dangerous``: one that moves a known distance toward harm, where the log can still follow;
* ``uniform``: all actions alike, which drifts out of what the log knows;
* ``hidden``: the logger, but for one barely logged path into harm.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from numpy.typing import NDArray

import groundschool as gs
from groundschool.policies.policy import DiscretePolicy, sample_actions

Array = NDArray[Any]


class World(abc.ABC):
    """Episodes of at most ``horizon`` steps; a state is an array with one row an episode."""

    name: str
    cost: str
    horizon: int
    n_actions: int
    return_range: tuple[float, float]

    @abc.abstractmethod
    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Draw the first states, (n, d)."""

    @abc.abstractmethod
    def step(self, state: Array, actions: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
        """Return the next states, the rewards, the costs, and whether the process ended."""

    @abc.abstractmethod
    def targets(self) -> dict[str, DiscretePolicy]:
        """Return the policies by name, ``logger`` among them."""

    def observe(self, state: Array) -> Array:
        """Return what a policy sees of a state."""
        return state

    def simulate(self, policy: Any, episodes: int, seed: int) -> gs.Dataset:
        """Return a log of a policy: propensities, the cost, and the final observations."""
        rng = np.random.default_rng(seed)
        state, alive = self.start(episodes, rng), np.arange(episodes)
        final = np.array(self.observe(state))
        columns: list[tuple[Array, ...]] = []
        for step in range(self.horizon):
            seen = self.observe(state)
            chances = policy.probabilities(seen)
            actions = sample_actions(chances, rng)
            state, rewards, costs, ended = self.step(state, actions, rng)
            final[alive] = self.observe(state)
            cut = ~ended & (step == self.horizon - 1)
            chosen = chances[np.arange(len(alive)), actions]
            columns.append((alive, seen, actions, rewards, costs, ended, cut, chosen))
            state, alive = state[~ended], alive[~ended]
            if not len(alive):
                break
        episode, *rows = (np.concatenate(column) for column in zip(*columns, strict=True))
        order = np.argsort(episode, kind="stable")
        seen, actions, rewards, costs, ended, cut, chosen = (column[order] for column in rows)
        return gs.Dataset.from_arrays(
            seen, actions, rewards, ended, cut,
            costs={self.cost: costs}, propensities=chosen, final_observations=final,
            n_actions=self.n_actions, horizon=self.horizon, return_range=self.return_range,
        )  # fmt: skip

    def truth(self, policy: Any, *, episodes: int = 400_000, seed: int = 10**6) -> dict[str, tuple[float, float]]:
        """Return the long Monte-Carlo value of each question, with its standard error."""
        totals = [
            self._totals(policy, min(20_000, episodes - block), seed + block) for block in range(0, episodes, 20_000)
        ]
        returns, costs = (np.concatenate(column) for column in zip(*totals, strict=True))
        whole = {"return": returns, f"probability:{self.cost}": (costs > 0).astype(np.float64)}
        return {q: (float(v.mean()), float(v.std(ddof=1) / np.sqrt(len(v)))) for q, v in whole.items()}

    def _totals(self, policy: Any, episodes: int, seed: int) -> tuple[Array, Array]:
        """Return the sums of rewards and of costs of the episodes that `simulate` would log, (E,) each."""
        rng = np.random.default_rng(seed)
        state, alive = self.start(episodes, rng), np.arange(episodes)
        returns, costs = np.zeros(episodes), np.zeros(episodes)
        for _ in range(self.horizon):
            actions = sample_actions(policy.probabilities(self.observe(state)), rng)
            state, rewards, harms, ended = self.step(state, actions, rng)
            returns[alive] += rewards
            costs[alive] += harms
            state, alive = state[~ended], alive[~ended]
        return returns, costs


class Softmax(DiscretePolicy):
    """A softmax of scores of the observation, mixed with a share of all actions alike."""

    def __init__(self, name: str, scores: Any, n_actions: int, *, sharpness: float = 1.0, noise: float = 0.0) -> None:
        self.name, self.scores, self.n_actions = name, scores, n_actions
        self.sharpness, self.noise = sharpness, noise

    def probabilities(self, observations: Any, *, masks: Any = None) -> Array:
        logits = self.sharpness * self.scores(np.asarray(observations, dtype=np.float64))
        weight = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = weight / weight.sum(axis=1, keepdims=True)
        return np.asarray((1.0 - self.noise) * chances + self.noise / self.n_actions)


class Where(DiscretePolicy):
    """One policy where a condition on the observation holds, another elsewhere."""

    def __init__(self, name: str, condition: Any, there: DiscretePolicy, elsewhere: DiscretePolicy) -> None:
        self.name, self.n_actions = name, elsewhere.n_actions
        self.condition, self.there, self.elsewhere = condition, there, elsewhere

    def probabilities(self, observations: Any, *, masks: Any = None) -> Array:
        inside = self.condition(np.asarray(observations, dtype=np.float64))
        return np.where(
            inside[:, None], self.there.probabilities(observations), self.elsewhere.probabilities(observations)
        )


class CartPole(World):
    """Gymnasium's CartPole-v1 (Barto, Sutton & Anderson 1983), cut at a short horizon; the cost is the fall.

    The dynamics are deterministic, the first state is drawn from a small box: a policy's states lie near a thin set.
    """

    name, cost = "cartpole", "fall"
    n_actions = 2

    def __init__(self, horizon: int = 60) -> None:
        self.horizon = horizon
        self.return_range = (0.0, float(horizon))

    def start(self, n: int, rng: np.random.Generator) -> Array:
        return rng.uniform(-0.05, 0.05, (n, 4))

    def observe(self, state: Array) -> Array:
        return state.astype(np.float32)

    def step(self, state: Array, actions: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
        x, speed, angle, spin = state.T
        force = np.where(actions == 1, 10.0, -10.0)
        cos, sin = np.cos(angle), np.sin(angle)
        push = (force + 0.05 * np.square(spin) * sin) / 1.1
        turn = (9.8 * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * np.square(cos) / 1.1))
        pull = push - 0.05 * turn * cos / 1.1
        tau = 0.02
        state = np.stack([x + tau * speed, speed + tau * pull, angle + tau * spin, spin + tau * turn], axis=1)
        fell = (np.abs(state[:, 0]) > 2.4) | (np.abs(state[:, 2]) > 12 * 2 * np.pi / 360)
        return state, np.ones(len(state)), fell.astype(np.float64), fell

    def targets(self) -> dict[str, DiscretePolicy]:
        def balance(observations: Array) -> Array:
            right = observations @ np.array([0.3, 0.8, 8.0, 2.0])
            return np.stack([-right, right], axis=1)

        def leaning(observations: Array) -> Array:
            right = observations @ np.array([0.3, 0.8, 8.0, 2.0]) + 0.7
            return np.stack([-right, right], axis=1)

        def policy(name: str, scores: Any, sharpness: float, noise: float) -> DiscretePolicy:
            return Softmax(name, scores, 2, sharpness=sharpness, noise=noise)

        logger = policy("logger", balance, 0.8, 0.2)
        leap = Softmax("leap", lambda o: np.stack([0 * o[:, 0], 6 + 0 * o[:, 0]], axis=1), 2)
        return {
            "logger": logger,
            "milder": policy("milder", balance, 0.6, 0.25),
            "sharper": policy("sharper", balance, 1.0, 0.1),
            "safer": policy("safer", balance, 2.0, 0.1),
            "dangerous": policy("dangerous", leaning, 0.8, 0.2),
            "uniform": policy("uniform", balance, 0.0, 1.0),
            "hidden": Where("hidden", lambda o: o[:, 0] > 0.12, leap, policy("sharper", balance, 1.0, 0.1)),
        }


class PointMass(World):
    """A point in the plane with thrusters and noise: a goal to reach, and a hazard on the straight way to it.

    Parameters
    ----------
    ends : bool
        Whether entering the hazard ends the episode, or only costs 1 a step inside.
    """

    cost = "hazard"
    n_actions = 5
    goal, goal_radius = np.array([1.0, 1.0]), 0.2
    hazard, hazard_radius = np.array([0.55, 0.45]), 0.22

    def __init__(self, *, ends: bool = True, horizon: int = 40) -> None:
        self.ends, self.horizon = ends, horizon
        self.name = "point_mass" if ends else "point_mass_passing"
        self.return_range = (-6.0 - (0.0 if ends else 0.2 * horizon), 5.0)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        return np.concatenate([rng.normal(0.0, 0.1, (n, 2)), rng.normal(0.0, 0.02, (n, 2))], axis=1)

    def step(self, state: Array, actions: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
        thrust = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[actions]
        speed = 0.75 * state[:, 2:] + 0.03 * thrust + rng.normal(0.0, 0.01, (len(state), 2))
        place = np.clip(state[:, :2] + speed, -1.5, 1.5)
        harmed = np.linalg.norm(place - self.hazard, axis=1) < self.hazard_radius
        arrived = np.linalg.norm(place - self.goal, axis=1) < self.goal_radius
        distance = np.linalg.norm(place - self.goal, axis=1)
        rewards = -0.025 * np.minimum(distance, 2.0) + 5.0 * arrived - (4.0 if self.ends else 0.2) * harmed
        ended = arrived | harmed if self.ends else arrived
        return np.concatenate([place, speed], axis=1), rewards, harmed.astype(np.float64), ended

    def _steer(self, respect: float) -> Any:
        """Return scores that pull toward the goal and push off the hazard, the latter times `respect`."""

        def scores(observations: Array) -> Array:
            place, speed = observations[:, :2], observations[:, 2:4]
            ahead = place + 3.0 * speed
            to_goal = self.goal - ahead
            pull = to_goal / np.maximum(np.linalg.norm(to_goal, axis=1, keepdims=True), 0.3)
            off = ahead - self.hazard
            gap = np.linalg.norm(off, axis=1, keepdims=True)
            side = np.stack([-off[:, 1], off[:, 0]], axis=1) / np.maximum(gap, 1e-9)
            side *= np.sign(np.sum(side * pull, axis=1, keepdims=True) + 1e-9)
            near = np.exp(-np.square(gap / 0.45))
            wish = pull + respect * near * (1.2 * off / np.maximum(gap, 1e-9) + 0.8 * side)
            return np.stack([np.full(len(wish), 0.1), wish[:, 0], -wish[:, 0], wish[:, 1], -wish[:, 1]], axis=1)

        return scores

    def targets(self) -> dict[str, DiscretePolicy]:
        def policy(name: str, respect: float, sharpness: float, noise: float) -> DiscretePolicy:
            return Softmax(name, self._steer(respect), 5, sharpness=sharpness, noise=noise)

        logger = policy("logger", 1.0, 2.0, 0.15)
        return {
            "logger": logger,
            "milder": policy("milder", 1.0, 1.7, 0.2),
            "sharper": policy("sharper", 1.0, 2.5, 0.1),
            "safer": policy("safer", 1.4, 2.5, 0.1),
            "dangerous": policy("dangerous", 0.5, 2.0, 0.15),
            "uniform": policy("uniform", 1.0, 0.0, 1.0),
            "hidden": Where(
                "hidden",
                lambda o: (o[:, 1] - o[:, 0] > 0.35) & (o[:, 0] < 0.45),
                Softmax("dive", lambda o: np.eye(5)[np.full(len(o), 1)] * 8.0, 5),
                policy("sharper", 1.0, 2.5, 0.1),
            ),
        }


WORLDS: dict[str, World] = {world.name: world for world in (CartPole(), PointMass(), PointMass(ends=False))}
