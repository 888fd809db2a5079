"""Logs with one statistical fault each, by the name of the check that must find it.

A maker is called with a random generator and a number of episodes; it chooses among the environments and the variants
of the fault at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from clean_logs import cartpole, hazard_grid, pendulum, tabular

from groundschool.data.raw import RawLog

SIZES = (200, 500, 2_000)  # episodes at which every check claims to find these

Maker = Callable[[np.random.Generator, int], RawLog]


def seed_of(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def one_of(rng: np.random.Generator, *makers: Callable[..., RawLog]) -> Callable[..., RawLog]:
    return makers[int(rng.integers(len(makers)))]


def with_columns(raw: RawLog, *columns: np.ndarray) -> RawLog:
    """Return the log with further numbers in its observations, anywhere; the final ones repeat their last."""
    last = raw.starts[1:] - 1
    more = np.column_stack(columns)
    observations = np.hstack([raw.observations, more]).astype(np.float64)
    final = np.hstack([raw.final_observations, more[last]]).astype(np.float64)
    return replace(raw, observations=observations, final_observations=final, features=None)


def cost_timing(rng, size):
    """The cost is read off the observation of its own row."""
    make = one_of(rng, cartpole, pendulum, tabular)
    raw = make(seed_of(rng), size)
    if make is tabular:
        n = int(raw.observations.max()) + 1
        harmful = rng.permutation(n - 1)[:3]
        # The process rests nowhere for sure, so that the state after does not tell the cost of the state before.
        return replace(raw, costs={"harm": np.isin(raw.observations, harmful).astype(np.float64)})
    column = raw.observations[:, 2]
    high = column > np.quantile(column, rng.uniform(0.9, 0.97))
    amount = column if rng.random() < 0.5 else np.ones(len(column))
    return replace(raw, costs={"harm": np.where(high, np.abs(amount), 0.0)})


def propensity_ones(rng, size):
    raw = one_of(rng, hazard_grid, cartpole, tabular)(seed_of(rng), size)
    return replace(raw, propensities=np.ones(raw.n_rows))


def propensity_calibration(rng, size):
    """Propensities of other rows, of a uniform logger, of the likeliest action, halved, or of a bolder logger."""
    raw = one_of(rng, hazard_grid, cartpole, tabular)(seed_of(rng), size)
    given = raw.propensities
    variant = int(rng.integers(4))
    if variant == 0:
        wrong = rng.permutation(given)
    elif variant == 1:
        wrong = np.full(len(given), 1.0 / raw.n_actions)
    elif variant == 2:
        wrong = np.full(len(given), given.max())
    else:
        wrong = given / 2.0
    return replace(raw, propensities=wrong)


def propensity_of_1(rng, size):
    raw = cartpole(seed_of(rng), size)
    of_1 = np.where(raw.actions == 1, raw.propensities, 1.0 - raw.propensities)
    return replace(raw, propensities=of_1)


def deterministic_logging(rng, size):
    """A logger without exploration; half of them say so in their propensities."""
    make = one_of(rng, hazard_grid, cartpole, pendulum)
    raw = make(seed_of(rng), size, noise=0.0) if make is pendulum else make(seed_of(rng), size, epsilon=0.0)
    return raw if rng.random() < 0.5 else replace(raw, propensities=None)


def reward_repeats_cost(rng, size):
    raw = one_of(rng, hazard_grid, pendulum, tabular)(seed_of(rng), size)
    (cost,) = raw.costs.values()
    return replace(raw, rewards=rng.normal() - rng.uniform(0.5, 50.0) * cost)


def reward_leaks_outcome(rng, size):
    """The outcome in every row, or sums of what is to come or of what came."""
    raw = one_of(rng, hazard_grid, pendulum)(seed_of(rng), size)
    variant = int(rng.integers(4))
    parts = np.split(raw.rewards, raw.starts[1:-1])
    if variant == 0:
        return replace(raw, rewards=np.concatenate([np.full(len(part), part.sum()) for part in parts]))
    if variant == 1:
        return replace(raw, rewards=np.concatenate([np.cumsum(part) for part in parts]))
    discount = 1.0 if variant == 2 else rng.uniform(0.95, 0.999)
    return replace(raw, rewards=np.concatenate([to_go(part, discount) for part in parts]))


def to_go(rewards: np.ndarray, discount: float) -> np.ndarray:
    """Return the discounted sum over the rest of the episode, for each row."""
    out, rest = np.empty(len(rewards)), 0.0
    for t in range(len(rewards) - 1, -1, -1):
        rest = rewards[t] + discount * rest
        out[t] = rest
    return out


def observation_leaks(rng, size):
    """A number of the observation is the reward, the cost, the action, or the outcome of the episode."""
    make = one_of(rng, hazard_grid, pendulum)
    raw = make(seed_of(rng), size)
    (cost,) = raw.costs.values()
    returns = np.add.reduceat(raw.rewards, raw.starts[:-1])
    leaks = (raw.rewards, cost, raw.actions.reshape(raw.n_rows, -1)[:, 0], np.repeat(returns, raw.lengths))
    leaked = leaks[int(rng.integers(len(leaks)))]
    return with_columns(raw, rng.normal(size=raw.n_rows), rng.uniform(0.1, 10.0) * leaked + rng.normal())


def not_markov(rng, size):
    """A part of the state is not observed."""
    make = one_of(rng, hazard_grid, cartpole, pendulum)
    # The more at random the agent walks, the less its past tells about the coordinate that is hidden.
    options = {"epsilon": rng.uniform(0.05, 0.2)} if make is hazard_grid else {}
    raw = make(seed_of(rng), size, **options)
    kept = {hazard_grid: [int(rng.integers(2))], cartpole: [0, 2], pendulum: [0, 1]}[make]
    return replace(
        raw,
        observations=np.ascontiguousarray(raw.observations[:, kept]),
        final_observations=np.ascontiguousarray(raw.final_observations[:, kept]),
    )


def drift(rng, size):
    """The logger, or a sensor, changes half-way, or all the time."""
    if rng.random() < 0.5:
        make = one_of(rng, hazard_grid, cartpole)
        raw = concatenate(make(seed_of(rng), size // 2, epsilon=0.1), make(seed_of(rng), size - size // 2, epsilon=0.9))
    else:
        raw = pendulum(seed_of(rng), size)
        spread = raw.observations[:, 0].std()
        moved = np.linspace(0.0, 1.5 * spread, raw.n_episodes)
        seen = raw.observations + np.repeat(moved, raw.lengths)[:, None]
        raw = replace(raw, observations=seen, final_observations=raw.final_observations + moved[:, None])
    if rng.random() < 0.5:
        return raw
    order = rng.permutation(raw.n_episodes)  # the log is shuffled, but says when each episode was
    return replace(take(raw, order), times=order.astype(np.float64) * 3600.0)


def concatenate(one: RawLog, other: RawLog) -> RawLog:
    """Return the episodes of both logs, which have the same columns."""

    def both(name):
        return np.concatenate([getattr(one, name), getattr(other, name)])

    columns = ("observations", "actions", "rewards", "terminated", "truncated", "propensities", "final_observations")
    return replace(
        one,
        **{name: both(name) for name in columns},
        costs={name: np.concatenate([one.costs[name], other.costs[name]]) for name in one.costs},
        starts=np.concatenate([one.starts[:-1], one.n_rows + other.starts]),
        episode_ids=np.arange(one.n_episodes + other.n_episodes),
    )


def take(raw: RawLog, order: np.ndarray) -> RawLog:
    """Return the episodes in another order."""
    rows = np.concatenate([np.arange(raw.starts[e], raw.starts[e + 1]) for e in order])
    columns = ("observations", "actions", "rewards", "terminated", "truncated", "propensities")
    return replace(
        raw,
        **{name: getattr(raw, name)[rows] for name in columns},
        costs={name: cost[rows] for name, cost in raw.costs.items()},
        starts=np.concatenate([[0], np.cumsum(raw.lengths[order])]),
        final_observations=raw.final_observations[order],
        episode_ids=raw.episode_ids[order],
    )


FAULTS: dict[str, Maker] = {
    "cost-timing": cost_timing,
    "propensity-ones": propensity_ones,
    "propensity-calibration": propensity_calibration,
    "propensity-of-1": propensity_of_1,
    "deterministic-logging": deterministic_logging,
    "reward-repeats-cost": reward_repeats_cost,
    "reward-leaks-outcome": reward_leaks_outcome,
    "observation-leaks": observation_leaks,
    "not-markov": not_markov,
    "drift": drift,
}
