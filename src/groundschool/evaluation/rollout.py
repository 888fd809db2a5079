"""The controlled online phase: a counted number of seeded episodes, and what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.intervals import Interval, clopper_pearson, finite_or_none, mean_t
from groundschool.evaluation.simulate import simulate
from groundschool.policies.policy import Policy


@dataclass(frozen=True, eq=False)
class Rollout:
    """What N seeded episodes of one policy showed. Each interval holds on its own, not all of them at once.

    Attributes
    ----------
    name : str
        Of the policy.
    episodes, seed : int
        How many, and where their seeds started.
    confidence : float
        Of every interval here, two-sided.
    returns, lengths, ends : ndarray
        Shape (E,): undiscounted return, number of steps and cause of the end of each episode.
    return_ : Interval
        Of the mean return, by Student's t.
    return_std : float
        Sample standard deviation of the returns (divisor E - 1); NaN for one episode.
    length_mean : float
        Steps an episode.
    costs : dict of Interval
        By cost name: the mean episode sum, by Student's t, never below 0. Where no cost was seen its upper bound is
        inf: the ``probabilities`` then hold the bound that the episodes do support.
    probabilities : dict of Interval
        By cost name: P(any cost > 0 in an episode), Clopper-Pearson.
    end_rates : dict of Interval
        By cause: P(an episode ends so), Clopper-Pearson.
    dataset : Dataset
        The episodes themselves.
    """

    name: str
    episodes: int
    seed: int
    confidence: float
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    ends: NDArray[np.str_]
    return_: Interval
    return_std: float
    length_mean: float
    costs: dict[str, Interval]
    probabilities: dict[str, Interval]
    end_rates: dict[str, Interval]
    dataset: Dataset

    def summary(self) -> dict[str, Any]:
        """Return every number but the rows, JSON-ready: None, its key present, for what is infinite or undefined."""
        return {
            "name": self.name,
            "episodes": self.episodes,
            "seed": self.seed,
            "confidence": self.confidence,
            "return": self.return_.to_json(),
            "return_std": finite_or_none(self.return_std),
            "length_mean": self.length_mean,
            "costs": {name: interval.to_json() for name, interval in self.costs.items()},
            "probabilities": {name: interval.to_json() for name, interval in self.probabilities.items()},
            "end_rates": {name: interval.to_json() for name, interval in self.end_rates.items()},
            "returns": self.returns.tolist(),
            "lengths": self.lengths.tolist(),
            "ends": self.ends.tolist(),
            "fingerprint": self.dataset.fingerprint,
        }


def rollout(
    env: gym.Env[Any, Any],
    policy: Policy,
    episodes: int = 30,
    seed: int = 0,
    confidence: float = 0.95,
    *,
    max_steps: int = 100_000,
) -> Rollout:
    """Run a policy for a fixed number of episodes and measure it.

    The number is fixed beforehand: looking at the result and adding episodes until it pleases voids the intervals.

    Parameters
    ----------
    env, policy, episodes, seed, max_steps
        As in `simulate`.
    confidence : float
        Of the two-sided intervals, in (0, 1).

    Returns
    -------
    Rollout
        Causes of an end are those that the environment declares in ``end_names``, so that a cause never seen has its
        interval too; else "terminated" and "truncated", and whatever was seen.

    Raises
    ------
    InputError
        As `simulate`, or a confidence outside (0, 1).
    """
    clopper_pearson(0, 1, confidence)  # a bad confidence is refused before the first episode
    simulation = simulate(env, policy, episodes, seed, max_steps=max_steps)
    log, ends = simulation.dataset, simulation.ends
    n = log.n_episodes

    def rate(happened: NDArray[np.bool_]) -> Interval:
        return clopper_pearson(int(happened.sum()), n, confidence)

    sums = {name: log.cost_sums(name) for name in log.costs}
    return Rollout(
        name=policy_name(policy),
        episodes=n,
        seed=int(seed),
        confidence=confidence,
        returns=log.returns,
        lengths=np.asarray(log.lengths, dtype=np.int64),
        ends=ends,
        return_=mean_t(log.returns, confidence),
        return_std=float(np.std(log.returns, ddof=1)) if n > 1 else math.nan,
        length_mean=float(np.mean(log.lengths)),
        costs={name: mean_t(cost, confidence, bounds=(0.0, math.inf)) for name, cost in sums.items()},
        probabilities={name: rate(cost > 0) for name, cost in sums.items()},
        end_rates={name: rate(ends == name) for name in _end_names(env, ends)},
        dataset=log,
    )


def _end_names(env: gym.Env[Any, Any], ends: NDArray[np.str_]) -> list[str]:
    seen = [str(end) for end in np.unique(ends)]
    declared = [str(end) for end in getattr(env.unwrapped, "end_names", ())]
    generic = [] if declared or not set(seen) <= {"terminated", "truncated"} else ["terminated", "truncated"]
    return list(dict.fromkeys([*declared, *generic, *seen]))
