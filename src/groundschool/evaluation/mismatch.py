"""How often a policy acts otherwise than the log, beside how often the logger itself would."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._checks import checked_probabilities, policy_name, require_actions
from groundschool.evaluation.intervals import clustered_error, finite_or_none
from groundschool.policies.policy import Policy, sample_actions

# Counts stand in for the behavior policy where at least this share of the rows lies in states with so many rows.
_ROWS_IN_COUNTED_STATES = 0.8
_COUNTED_STATE = 10


@dataclass(frozen=True)
class Mismatch:
    """The share of logged rows where a policy chose another action, with its noise floors.

    Attributes
    ----------
    name : str
        Of the policy.
    value : float
        Share of rows, in [0, 1].
    standard_error : float
        Over episodes (rows of one episode go together); inf with one episode.
    n : int
        Rows compared.
    logger_floor : float or None
        What the logger, sampled anew in the same states, would score against its own log. A perfect clone scores this.
    deterministic_floor : float or None
        What the deterministic policy closest to the logger would score. No deterministic policy scores less on fresh
        episodes; one fitted to these very rows can, a little.
    floor_method : str
        Where the floors come from.
    notes : tuple of str
        What a reader must know.
    """

    name: str
    value: float
    standard_error: float
    n: int
    logger_floor: float | None
    deterministic_floor: float | None
    floor_method: str
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Return JSON-ready values: None for an infinite standard error."""
        return {
            "name": self.name,
            "value": self.value,
            "standard_error": finite_or_none(self.standard_error),
            "n": self.n,
            "logger_floor": self.logger_floor,
            "deterministic_floor": self.deterministic_floor,
            "floor_method": self.floor_method,
            "notes": list(self.notes),
        }


def mismatch(
    log: Dataset, policy: Policy, *, sample: int = 7_000, seed: int = 1, behavior: Policy | None = None
) -> Mismatch:
    """Compare a policy's actions with the logged ones.

    A stochastic policy is judged as it acts: its action is sampled. Both floors are taken over the same rows.

    The logger's floor is ``1 - E[sum_a b(a|s)^2]``: the chance that two draws from the behavior policy b differ.
    Without ``behavior`` it is one minus the mean propensity, which is unbiased for it: the logged action is itself
    drawn from b, so that the expected propensity of a row is ``sum_a b(a|s) b(a|s)``. The deterministic floor is
    ``1 - E[max_a b(a|s)]``.

    Parameters
    ----------
    log : Dataset
        Discrete actions. Its masks are handed to the policy.
    policy : Policy
        The policy compared.
    sample : int
        Rows to compare, drawn without replacement; all of them where the log has fewer.
    seed : int
        Of the rows drawn and the actions sampled.
    behavior : Policy, optional
        The logger, or a model of it, for exact floors. Without it the deterministic floor is counted where at least
        80 % of the rows lie in states with at least 10 rows, and is None elsewhere.

    Returns
    -------
    Mismatch

    Raises
    ------
    InputError
        For continuous actions, another number of actions, observations the policy cannot read, a sample below 1.
    """
    try:
        sample, seed = operator.index(sample), operator.index(seed)
    except TypeError:
        raise InputError(f"sample and seed are {sample!r} and {seed!r}, expected whole numbers.") from None
    if sample < 1 or seed < 0:
        raise InputError(f"sample is {sample} and seed is {seed}, expected sample >= 1 and seed >= 0.")
    require_actions(policy, log.n_actions, "the log")
    if behavior is not None:
        require_actions(behavior, log.n_actions, "the log")
    assert log.n_actions is not None
    rng = np.random.default_rng(seed)
    n = min(sample, log.n_steps)
    rows = np.sort(rng.choice(log.n_steps, size=n, replace=False))
    observations = log.observations[rows]
    masks = None if log.action_masks is None else log.action_masks[rows]
    chosen = sample_actions(checked_probabilities(policy, observations, masks, log.n_actions), rng)
    differs = (chosen != log.actions[rows]).astype(np.float64)
    notes = [] if n == sample else [f"the log has {n:,} rows, all of them were compared"]

    if behavior is not None:
        model = checked_probabilities(behavior, observations, masks, log.n_actions)
        own: float | None = float(1.0 - np.square(model).sum(axis=1).mean())
        best: float | None = float(1.0 - model.max(axis=1).mean())
        method = f"both floors from the probabilities of '{policy_name(behavior)}'"
    else:
        own = None if log.propensities is None else float(1.0 - log.propensities[rows].mean())
        own_method = "unknown, the log has no propensities" if own is None else "one minus the mean propensity"
        best = _counted_floor(log, rows)
        best_method = (
            "unknown, too few rows a state to count"
            if best is None
            else "the most frequent action of each state, counted: optimistic (low), most where rows are few"
        )
        method = f"logger: {own_method}; deterministic: {best_method}"
    return Mismatch(
        name=policy_name(policy),
        value=float(differs.mean()),
        standard_error=clustered_error(differs, log.episode_index[rows]),
        n=n,
        logger_floor=own,
        deterministic_floor=best,
        floor_method=method,
        notes=tuple(notes),
    )


def _counted_floor(log: Dataset, rows: NDArray[np.int64]) -> float | None:
    """Return one minus the mean share, over ``rows``, of the action most frequent in the row's state, or None."""
    state = _states(log)
    counts = np.bincount(state)
    if np.mean(counts[state] >= _COUNTED_STATE) < _ROWS_IN_COUNTED_STATES:
        return None
    assert log.n_actions is not None
    pairs = np.bincount(state * log.n_actions + log.actions, minlength=len(counts) * log.n_actions)
    share = pairs.reshape(len(counts), log.n_actions).max(axis=1) / counts
    return float(1.0 - share[state[rows]].mean())


def _states(log: Dataset) -> NDArray[np.int64]:
    """Return a state number for each row, shape (N,): equal where observation and mask are."""
    if log.observations.ndim == 1 and log.action_masks is None:
        return np.unique(log.observations, return_inverse=True)[1].astype(np.int64).reshape(-1)
    columns = [log.observations.reshape(log.n_steps, -1).astype(np.float64)]
    if log.action_masks is not None:
        columns.append(log.action_masks.astype(np.float64))
    return np.unique(np.hstack(columns), axis=0, return_inverse=True)[1].astype(np.int64).reshape(-1)
