"""Worlds with exact answers, on which off-policy evaluation is calibrated: each is a table, with a noisy logger.

* HazardGrid: the tutorial's layout and three others, from our own transition tables; the cost is a hazard.
* FrozenLake 4x4 and 8x8, slippery, from Gymnasium's table; the cost is a hole.
* Taxi from Gymnasium's table, dry and in the rain, where one move in five goes astray, with masks that forbid driving
  into walls; the cost is an illegal pickup or dropoff, which ends nothing. Cut after 60 steps. In the dry nothing is
  left to chance but the first state, so that the efficiency bound is next to nothing: what needs to be seen only once
  counts as known.
* A family of random processes (Garnets: Archibald, McKinnon & Thomas 1995): every action in every state leads to a few
  random states, sometimes to a goal, and some actions sometimes to a hazard. Nine sizes, horizons and degrees of noise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from numpy.typing import ArrayLike, NDArray

import groundschool as gs
from groundschool.evaluation.sampling import Sampler
from groundschool.evaluation.tabular import TabularModel
from groundschool.policies.policy import DiscretePolicy, apply_masks

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class World:
    """A process as a table, and who logs in it.

    Attributes
    ----------
    name, family : str
    model : TabularModel
        With one cost.
    intent : (S, A)
        What the logger means to do.
    epsilon : float
        The share of its actions that are noise instead.
    masks : (S, A) bool or None
    reward_noise : float
        Standard deviation of the noise on each reward.
    noise : (S, A) or None
        What the logger does where it does not do what it means to; by default anything that is allowed, alike.
    """

    name: str
    family: str
    model: TabularModel
    intent: Table
    epsilon: float
    masks: NDArray[np.bool_] | None = None
    reward_noise: float = 0.0
    noise: Table | None = None

    @property
    def cost(self) -> str:
        """The name of the one cost."""
        return next(iter(self.model.costs))

    @property
    def uniform(self) -> Table:
        """Every allowed action alike, (S, A)."""
        allowed = np.ones(self.intent.shape, np.bool_) if self.masks is None else self.masks
        return np.asarray(allowed / allowed.sum(axis=1, keepdims=True))

    def noisy(self, epsilon: float) -> Table:
        """Return the intent with another share of noise, (S, A)."""
        return (1.0 - epsilon) * self.intent + epsilon * (self.uniform if self.noise is None else self.noise)

    @property
    def logger(self) -> Table:
        """The policy that writes the logs, (S, A)."""
        return self.noisy(self.epsilon)

    @functools.cached_property
    def sampler(self) -> Sampler:
        """Draws logs."""
        return Sampler.of(self.model, self.logger, masks=self.masks, reward_noise=self.reward_noise)

    @functools.cached_property
    def state_of(self) -> dict[bytes, int]:
        """The state of each observation, by its bytes."""
        return {row.tobytes(): state for state, row in enumerate(np.asarray(self.model.observations))}

    def states(self, observations: NDArray[Any]) -> NDArray[np.int64]:
        """Return the states that observations show, (N,)."""
        if observations.ndim == 1:
            return observations
        table = np.asarray(self.model.observations)
        kind = table.dtype
        return np.array([self.state_of[row.tobytes()] for row in np.asarray(observations, kind)], np.int64)

    def policy(self, table: ArrayLike, name: str) -> WorldPolicy:
        """Return a table of action probabilities by state, (S, A), as a policy that reads observations."""
        return WorldPolicy(self, np.asarray(table, np.float64), name)


class WorldPolicy(DiscretePolicy):
    """Action probabilities by state, for what is observed in it."""

    def __init__(self, world: World, table: Table, name: str) -> None:
        self.world, self.table, self.name = world, table, name
        self.n_actions = table.shape[1]

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> Table:
        return apply_masks(self.table[self.world.states(np.asarray(observations))], masks)


def one_hot(actions: ArrayLike, n_actions: int) -> Table:
    return np.eye(n_actions)[np.asarray(actions, np.int64)]


def plan(
    model: TabularModel,
    allowed: NDArray[np.bool_] | None,
    signal: NDArray[np.float64] | None = None,
    *,
    fallback: Table | None = None,
) -> Table:
    """Return the actions that are best with the whole horizon to go, (S, A), among the allowed ones.

    A signal, broadcastable to (S, A, S), takes the place of the rewards; the first of several best actions is taken.
    A fallback, (S, A), acts in the states that allow no action, and the plan reckons with it.
    """
    reward = model.rewards if signal is None else np.broadcast_to(signal, model.transitions.shape)
    expected = np.einsum("sao,sao->sa", model.transitions, reward)
    kernel = model.transitions.reshape(-1, model.n_states)
    values = np.zeros(model.n_states)
    best = np.zeros(model.n_states, np.int64)
    bare = np.zeros(model.n_states, np.bool_) if allowed is None else ~allowed.any(axis=1)
    for _ in range(model.horizon):
        gain = expected + (kernel @ values).reshape(expected.shape)
        open_to = gain if allowed is None else np.where(allowed | bare[:, None], gain, -np.inf)
        best = np.argmax(open_to, axis=1)
        values = gain[np.arange(len(gain)), best]
        if fallback is not None:
            values = np.where(bare, (fallback * gain).sum(axis=1), values)
        values = values * ~model.terminal
    return one_hot(best, model.n_actions)


def hazard_grid(name: str, **options: Any) -> World:
    grid = gs.HazardGrid(**options)
    return World(name, "HazardGrid", grid.model(), grid.logger(0.0).table, 0.22)


def from_gymnasium(
    table: Mapping[int, Mapping[int, list[tuple[float, int, float, bool]]]],
    initial: NDArray[np.float64],
    horizon: int,
    cost: Callable[[int, int, int, float], bool],
    cost_name: str,
) -> TabularModel:
    """Turn Gymnasium's ``P[state][action] = [(probability, next state, reward, terminated), ...]`` into a model."""
    n_states, n_actions = len(table), len(table[0])
    transitions = np.zeros((n_states, n_actions, n_states))
    rewards, costs = np.zeros_like(transitions), np.zeros_like(transitions)
    terminal = np.zeros(n_states, np.bool_)
    ends = [(s, a, o) for s in table for a in table[s] for _, o, _, over in table[s][a] if over]
    terminal[[o for _, _, o in ends]] = True
    for s in table:
        for a in table[s]:
            for probability, o, reward, _ in table[s][a]:
                transitions[s, a, o] += probability
                rewards[s, a, o] = reward
                costs[s, a, o] = cost(s, a, o, reward)
    return TabularModel(transitions, rewards, {cost_name: costs}, terminal, initial, horizon)


def frozen_lake(name: str, size: str, horizon: int, epsilon: float) -> World:
    env = FrozenLakeEnv(map_name=size)
    hole = env.desc.ravel() == b"H"
    model = from_gymnasium(env.P, env.initial_state_distrib, horizon, lambda s, a, o, r: bool(hole[o]), "hole")
    return World(name, "FrozenLake", model, plan(model, None), epsilon)


def taxi(name: str, horizon: int, epsilon: float, *, rain: bool = False) -> World:
    env = TaxiEnv(is_rainy=rain) if rain else TaxiEnv()
    masks = np.array([env.action_mask(state) for state in range(len(env.P))], np.bool_)
    masks[:, 4:] = True  # pickup and dropoff are allowed anywhere: where there is nothing to do, that is the cost
    initial = np.asarray(env.initial_state_distrib, np.float64)
    model = from_gymnasium(env.P, initial, horizon, lambda s, a, o, r: r == -10, "illegal")
    return World(name, "Taxi", model, plan(model, masks), epsilon, masks)


def random_world(
    name: str,
    states: int,
    actions: int,
    branches: int,
    horizon: int,
    epsilon: float,
    *,
    ending: float,
    reward_noise: float = 0.0,
    seed: int = 0,
) -> World:
    """Draw a process; the last two states are a goal and a hazard.

    A fifth of all pairs of a state and an action are dangerous, with a risk of .02 to .3. One action in a tenth of the
    states is a trap, with a risk of .9, which the logger knows and hardly ever takes. It means to take the actions
    that look best on rewards seen through noise, so that better policies than its own are left to be found.
    """
    rng = np.random.default_rng([states, actions, branches, horizon, seed])
    goal, hazard = states - 2, states - 1
    shape = (states, actions)
    risk = np.where(rng.random(shape) < 0.2, rng.uniform(0.02, 0.3, shape), 0.0)
    trapped = rng.permutation(states - 2)[: max(states // 10, 2)]
    trap = np.zeros(shape, np.bool_)
    trap[trapped, rng.integers(actions, size=len(trapped))] = True
    risk[trap] = 0.9
    finish = np.where(trap, 0.0, rng.exponential(ending, shape).clip(0.0, 0.5))
    transitions = np.zeros((states, actions, states))
    for s in range(states - 2):
        for a in range(actions):
            reached = rng.choice(states - 2, size=branches, replace=False)
            transitions[s, a, reached] = rng.dirichlet(np.ones(branches)) * (1.0 - risk[s, a] - finish[s, a])
    transitions[:-2, :, goal], transitions[:-2, :, hazard] = finish[:-2], risk[:-2]
    transitions[-2:] = np.eye(states)[-2:, None]
    rewards = rng.normal(size=(*shape, 1)) + rng.normal(scale=0.5, size=(*shape, states))
    rewards[:, :, goal] += 5.0
    rewards[:, :, hazard] -= 10.0
    initial = np.zeros(states)
    initial[: max(states // 10, 2)] = rng.dirichlet(np.ones(max(states // 10, 2)))
    terminal = np.arange(states) >= states - 2
    model = TabularModel(transitions, rewards, {"hazard": np.eye(states)[hazard]}, terminal, initial, horizon)
    blurred = model.rewards + rng.normal(scale=1.5, size=(*shape, 1))
    noise = np.where(trap, 0.002, 1.0)
    intent = plan(model, ~trap, blurred)
    return World(
        name,
        "random",
        model,
        intent,
        epsilon,
        reward_noise=reward_noise,
        noise=noise / noise.sum(axis=1, keepdims=True),
    )


WORLDS: dict[str, Callable[[str], World]] = {
    "grid-tutorial": lambda name: hazard_grid(name),
    "grid-10": lambda name: hazard_grid(name, size=10, n_hazards=5, hazard_seed=100, slip=0.1, horizon=60),
    "grid-12": lambda name: hazard_grid(name, size=12, n_hazards=8, hazard_seed=101, slip=0.02),
    "grid-18": lambda name: hazard_grid(name, size=18, n_hazards=10, hazard_seed=103, slip=0.05, horizon=100),
    "lake-4": lambda name: frozen_lake(name, "4x4", 100, 0.3),
    "lake-8": lambda name: frozen_lake(name, "8x8", 200, 0.3),
    "taxi": lambda name: taxi(name, 60, 0.2),
    "taxi-rain": lambda name: taxi(name, 60, 0.2, rain=True),
    "random-10x2": lambda name: random_world(name, 10, 2, 3, 10, 0.5, ending=0.05),
    "random-10x4": lambda name: random_world(name, 10, 4, 3, 20, 0.3, ending=0.05, reward_noise=1.0),
    "random-10x8": lambda name: random_world(name, 10, 8, 4, 50, 0.6, ending=0.02),
    "random-50x2": lambda name: random_world(name, 50, 2, 4, 30, 0.4, ending=0.05),
    "random-50x4": lambda name: random_world(name, 50, 4, 4, 50, 0.25, ending=0.03),
    "random-50x8": lambda name: random_world(name, 50, 8, 3, 20, 0.5, ending=0.05, reward_noise=1.0),
    "random-200x2": lambda name: random_world(name, 200, 2, 5, 50, 0.3, ending=0.03),
    "random-200x4": lambda name: random_world(name, 200, 4, 4, 20, 0.15, ending=0.05),
    "random-200x8": lambda name: random_world(name, 200, 8, 4, 30, 0.4, ending=0.05),
}


@functools.cache
def world(name: str) -> World:
    """Return the world of a name, made once a process."""
    return WORLDS[name](name)
