"""Logs sampled from an exact model: whole episodes of a policy, all of them stepped at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError, whole_number
from groundschool.evaluation._checks import checked_probabilities, require_actions
from groundschool.evaluation.tabular import TabularModel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sampler:
    """A model and a policy, made ready to draw logs; many of them where that is wanted.

    What can happen in a state is one of its outcomes, a pair (action, next state) of positive probability. All
    outcomes of all states lie one after another, so that a step of every episode is one search in one sorted array,
    and memory goes with the outcomes there are, not with S * A * S.

    Attributes
    ----------
    model : TabularModel
    policy : (S, A) float64
        Action probabilities.
    masks : (S, A) bool or None
    reward_noise : float
        Standard deviation of the normal noise on each reward.
    state, action, arrival : (K,) int
        The outcomes, in the order of their states.
    upto : (K,) float64
        Probability of all outcomes up to and including each one.
    first : (S + 1,) int
        Where the outcomes of each state begin; a terminal state has none.
    """

    model: TabularModel
    policy: FloatArray
    masks: BoolArray | None
    reward_noise: float
    state: IntArray
    action: IntArray
    arrival: IntArray
    upto: FloatArray
    first: IntArray

    @classmethod
    def of(
        cls, model: TabularModel, policy: Any, *, masks: ArrayLike | None = None, reward_noise: float = 0.0
    ) -> Sampler:
        """Make ready; takes and raises what `sample_log` does."""
        allowed = _masks(masks, model)
        if not (isinstance(reward_noise, int | float) and math.isfinite(reward_noise) and reward_noise >= 0.0):
            raise InputError(f"reward_noise is {reward_noise!r}, expected a standard deviation, a number >= 0.")
        table = _table(model, policy, allowed)
        possible = (model.transitions > 0) & (table > 0)[:, :, None] & ~model.terminal[:, None, None]
        state, action, arrival = np.nonzero(possible)
        probability = table[state, action] * model.transitions[state, action, arrival]
        first = np.searchsorted(state, np.arange(model.n_states + 1))
        return cls(model, table, allowed, float(reward_noise), state, action, arrival, np.cumsum(probability), first)

    def log(self, episodes: int, seed: int = 0) -> Dataset:
        """Draw a log.

        Parameters
        ----------
        episodes : int
            At least 1.
        seed : int
            At least 0. Episode ids are ``"{seed}-{i}"``.

        Returns
        -------
        Dataset
        """
        episodes, seed = whole_number(episodes, "episodes", 1), whole_number(seed, "seed", 0)
        rng = np.random.default_rng(seed)
        outcome, lengths = self._walk(episodes, rng)
        model, last = self.model, np.cumsum(lengths) - 1
        state, action, arrival = self.state[outcome], self.action[outcome], self.arrival[outcome]
        ended = model.terminal[arrival]
        cut = np.zeros(len(outcome), np.bool_)
        cut[last] = ~ended[last]
        rewards = model.rewards[state, action, arrival]
        if self.reward_noise:
            rewards = rewards + rng.normal(0.0, self.reward_noise, len(rewards))
        seen = np.asarray(model.observations)
        masks = self.masks
        return Dataset.from_arrays(
            seen[state],
            action,
            rewards,
            ended,
            cut,
            costs={name: cost[state, action, arrival] for name, cost in model.costs.items()},
            propensities=self.policy[state, action],
            action_masks=None if masks is None else masks[state],
            final_observations=seen[arrival[last]],
            final_action_masks=None if masks is None else masks[arrival[last]],
            n_actions=model.n_actions,
            horizon=model.horizon,
            episode_ids=np.array([f"{seed}-{i}" for i in range(episodes)]),
        )

    def _walk(self, episodes: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Return the outcomes of all steps in the order of episodes, (N,), and the episodes' lengths, (E,)."""
        base = np.concatenate([np.zeros(1), self.upto])[self.first]
        low, mass, high = base[:-1], np.diff(base), self.first[1:] - 1
        over = self.model.terminal[self.arrival]
        lengths = np.full(episodes, self.model.horizon, np.intp)
        active, state = np.arange(episodes), _draw(self.model.initial, episodes, rng)
        walkers: list[IntArray] = []
        outcomes: list[IntArray] = []
        for step in range(self.model.horizon):
            at = low[state] + rng.random(len(state)) * mass[state]
            # Rounding may carry a draw to the border of the next state's outcomes.
            outcome = np.minimum(np.searchsorted(self.upto, at, side="right"), high[state])
            walkers.append(active)
            outcomes.append(outcome)
            ended = over[outcome]
            lengths[active[ended]] = step + 1
            active, state = active[~ended], self.arrival[outcome[~ended]]
            if not len(active):
                break
        steps = np.repeat(np.arange(len(outcomes)), [len(outcome) for outcome in outcomes])
        ordered = np.empty(len(steps), np.intp)
        ordered[(np.cumsum(lengths) - lengths)[np.concatenate(walkers)] + steps] = np.concatenate(outcomes)
        return ordered, lengths


def sample_log(
    model: TabularModel,
    policy: Any,
    episodes: int,
    seed: int = 0,
    *,
    masks: ArrayLike | None = None,
    reward_noise: float = 0.0,
) -> Dataset:
    """Draw a log of a policy from an exact model.

    Parameters
    ----------
    model : TabularModel
        Its ``observations`` are what is logged, state numbers by default.
    policy : Policy, or array of shape (S, A)
        A policy is asked once, for its probabilities in every state.
    episodes : int
        How many, at least 1.
    seed : int
        At least 0. The same arguments give the same log.
    masks : (S, A) bool, optional
        Which actions each state allows, for the log and for the policy.
    reward_noise : float
        Standard deviation of normal noise that is added to every reward; no other noise than the model's by default.

    Returns
    -------
    Dataset
        With the propensity of each action, the model's costs and horizon, and the observation that each episode ended
        on. An episode is terminated where it arrives in a terminal state, and truncated after the horizon.

    Raises
    ------
    InputError
        For a policy, a mask or a number that does not fit.
    """
    return Sampler.of(model, policy, masks=masks, reward_noise=reward_noise).log(episodes, seed)


def _table(model: TabularModel, policy: Any, masks: BoolArray | None) -> FloatArray:
    if hasattr(policy, "probabilities"):
        require_actions(policy, model.n_actions, "the model")
        return checked_probabilities(policy, np.asarray(model.observations), masks, model.n_actions)
    table = np.asarray(policy, dtype=np.float64)
    shape = (model.n_states, model.n_actions)
    if table.shape != shape:
        raise InputError(f"the policy table has shape {table.shape}, expected {shape}: action probabilities by state.")
    running = table[~model.terminal]
    if not (np.isfinite(running).all() and (running >= 0).all() and np.allclose(running.sum(axis=1), 1, atol=1e-9)):
        raise InputError("the policy table: every row of a state that is not terminal must be >= 0 and sum to 1.")
    if masks is not None and (running[~masks[~model.terminal]] > 0).any():
        raise InputError("the policy table gives probability to actions that the masks forbid.")
    return np.where(model.terminal[:, None], 0.0, table)


def _masks(masks: ArrayLike | None, model: TabularModel) -> BoolArray | None:
    if masks is None:
        return None
    allowed = np.asarray(masks)
    shape = (model.n_states, model.n_actions)
    if allowed.shape != shape or allowed.dtype != np.bool_:
        raise InputError(f"masks: expected bool of shape {shape}, got {allowed.dtype} of shape {allowed.shape}.")
    if not allowed[~model.terminal].any(axis=1).all():
        raise InputError("masks: some state that is not terminal allows no action.")
    # Nobody acts in a terminal state, and a log may not hold a mask that forbids everything.
    return allowed | ~allowed.any(axis=1, keepdims=True)


def _draw(distribution: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    support = np.flatnonzero(distribution)
    upto = np.cumsum(distribution[support])
    place = np.searchsorted(upto, rng.random(n) * upto[-1], side="right")
    return np.asarray(support[np.minimum(place, len(support) - 1)])
