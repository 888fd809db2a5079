"""Fifty-two candidates for selection on hazard grids: what somebody might really try on one log."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import groundschool as gs
from groundschool.envs.layout import Layout
from groundschool.policies.policy import DiscretePolicy, FloatArray

SMALL = {"hidden": (32, 32), "batch_size": 128}


def population(layout: Layout) -> dict[str, Any]:
    """Return candidates by name, as `gs.select` takes them."""
    found: dict[str, Any] = {}
    for weight in (0.1, 0.5, 2.0):
        for rate in (1e-3, 3e-3):
            for seed in (0, 1):
                for support, steps in (("counts", 4_000), ("none", 2_000), ("counts", 500)):
                    found[f"CQL α={weight:g} rate {rate:g} support {support} steps {steps} seed {seed}"] = (
                        "cql",
                        {"conservative_weight": weight, "learning_rate": rate, "support": support, "steps": steps,
                         "seed": seed, **SMALL},
                    )  # fmt: skip
    clones = Clones()
    for rate in (1e-3, 3e-3):
        found[f"BC rate {rate:g} sampled"] = lambda log, seed, rate=rate: clones(log, seed, rate)
        found[f"BC rate {rate:g} greedy"] = lambda log, seed, rate=rate: clones(log, seed, rate).greedy()
    for least in (1, 3, 10):
        for penalty in (0.0, 5.0, 20.0):
            found[f"planner on pairs logged {least}×, penalty {penalty:g}"] = _planned(layout, least, penalty)
    for share in (0.25, 0.5, 0.75):
        found[f"planner mixed with {share:.0%} BC"] = _mixed(layout, share, clones)
    return found


class Counted(DiscretePolicy):
    """The best usable action in each cell of a grid, by action values (S, A)."""

    def __init__(self, name: str, layout: Layout, values: FloatArray, usable: Any, discount: float) -> None:
        self.name, self.n_actions, self.discount = name, values.shape[1], discount
        self.layout, self.by_state, self.usable = layout, values, usable
        self.table = np.eye(self.n_actions)[np.where(usable, values, -np.inf).argmax(axis=1)]

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        return self.table[self.layout.states(observations)]

    def values(self, observations: ArrayLike) -> FloatArray:
        """Return action values, (N, A)."""
        return self.by_state[self.layout.states(observations)]

    def support(self, observations: ArrayLike) -> Any:
        """Return which actions the planner may use, (N, A)."""
        return self.usable[self.layout.states(observations)]


def plan(log: gs.Dataset, layout: Layout, least: int, penalty: float, discount: float = 0.99) -> Counted:
    """Value iteration on counts, over pairs logged `least` times, each fined by `penalty` over its count's root."""
    n_states, n_actions = layout.n_states, 4
    moves = log.transitions()
    state, action = layout.states(moves.observations), moves.actions
    then = np.where(moves.terminated, 0, layout.states(np.where(moves.terminated[:, None], 0, moves.next_observations)))
    goes = ~moves.terminated
    pair = state * n_actions + action
    count = np.bincount(pair, minlength=n_states * n_actions)
    reward = np.bincount(pair, weights=moves.rewards, minlength=n_states * n_actions) / np.maximum(count, 1)
    kernel = np.zeros((n_states * n_actions, n_states))
    np.add.at(kernel, (pair[goes], then[goes]), 1.0)
    kernel /= np.maximum(count, 1)[:, None]
    fine = penalty / np.sqrt(np.maximum(count, 1))
    table = count.reshape(n_states, n_actions)
    usable = (table >= least) | (table == table.max(axis=1, keepdims=True))
    usable &= (table > 0) | (table.max(axis=1, keepdims=True) == 0)
    worth = np.zeros(n_states)
    for _ in range(300):
        values = (reward - fine + discount * kernel @ worth).reshape(n_states, n_actions)
        worth = np.where(usable, values, -np.inf).max(axis=1)
    return Counted(f"planner {least} {penalty:g}", layout, values, usable, discount)


def _planned(layout: Layout, least: int, penalty: float) -> Any:
    return lambda log, seed: plan(log, layout, least, penalty)


class Clones:
    """Cloned policies, each trained once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, float], Any] = {}

    def __call__(self, log: gs.Dataset, seed: int, rate: float) -> Any:
        key = (log.fingerprint, seed, rate)
        if key not in self._made:
            self._made[key] = gs.train(log, "bc", seed=seed, steps=2_000, learning_rate=rate, **SMALL)
        return self._made[key]


class Mixture(DiscretePolicy):
    """At every step one of two policies."""

    def __init__(self, first: Any, second: Any, share: float) -> None:
        self.name, self.n_actions = f"{first.name} with {share:.0%} {second.name}", first.n_actions
        self.first, self.second, self.share = first, second, share

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        one, two = (policy.probabilities(observations, masks=masks) for policy in (self.first, self.second))
        return np.asarray((1.0 - self.share) * one + self.share * two)


def _mixed(layout: Layout, share: float, clones: Clones) -> Any:
    return lambda log, seed: Mixture(plan(log, layout, 3, 0.0), clones(log, seed, 3e-3), share)
