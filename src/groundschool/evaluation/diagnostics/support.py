"""Where the target goes that the logger hardly went."""

from __future__ import annotations

import dataclasses

import numpy as np

from groundschool.evaluation.finite_horizon import Counts, Model
from groundschool.evaluation.problem import BoolArray, FloatArray, Problem

EXPECTED = (1.0, 3.0)  # logged rows expected of a pair below which it is hardly supported


@dataclasses.dataclass(frozen=True, eq=False)
class Support:
    """What the logger was expected to log of each pair of a state and an action, against what the target would do.

    Attributes
    ----------
    expected : (S, A) float64
        Rows of the log: visits to the state times the logger's probability.
    target, logger : (S, A) float64
        Visits to the pair in an episode.
    excess : (S, A) float64
        What the target does more often than the logger.
    """

    expected: FloatArray
    target: FloatArray
    logger: FloatArray
    excess: FloatArray

    def share(self, pairs: BoolArray) -> float:
        """Return the share of the target's visits that are on some pairs, and beyond what the logger does there."""
        total = float(self.target.sum())
        return float(self.excess[pairs].sum()) / total if total > 0 else 0.0


def behavior_by_state(problem: Problem) -> FloatArray:
    """Return what is known of the behavior policy by state, (S, A).

    Where all of its probabilities are known, those. Elsewhere the mean of the logged propensities of each action that
    was taken in the state; what is left to 1 goes in equal parts to the allowed actions that were not.
    """
    states = problem.states
    assert states is not None
    S, A = states.count, problem.n_actions
    pair = states.code * A + problem.actions
    taken = np.bincount(pair, minlength=S * A)
    sums = np.bincount(pair, weights=problem.propensities, minlength=S * A)
    table = np.divide(sums, taken, out=np.zeros(S * A), where=taken > 0).reshape(S, A)
    open_ = (taken == 0).reshape(S, A)
    if problem.masks is not None:
        allowed = np.zeros((S, A), np.bool_)
        allowed[states.code] = problem.masks
        open_ &= allowed
    left = np.maximum(1.0 - table.sum(axis=1), 0.0)
    table = table + np.where(open_, (left / np.maximum(open_.sum(axis=1), 1))[:, None], 0.0)
    if states.behavior is not None:
        table = np.where(np.isfinite(states.behavior), states.behavior, table)
    return table


def support(problem: Problem, counts: Counts, model: Model) -> Support:
    """Compare a target's visits with the logger's, in a model counted from the whole log."""
    states = problem.states
    assert states is not None
    seen = counts_of_states(counts)
    behavior = behavior_by_state(problem)
    expected = seen[:, None] * behavior
    target = model.visits[0][:, None] * states.target
    logger = expected / problem.n_episodes
    return Support(expected, target, logger, np.maximum(target - logger, 0.0))


def counts_of_states(counts: Counts) -> FloatArray:
    """Return the rows logged in each state, (S,)."""
    return np.bincount(counts.state, weights=counts.steps.sum(axis=0), minlength=counts.n_states)


def leaves(problem: Problem, counts: Counts, found: Support, pairs: BoolArray) -> FloatArray:
    """Return the probability that the target has left the log's support after each step, (H,).

    Parameters
    ----------
    pairs : (S, A) bool
        Hardly supported pairs; of what the target does there, the part that the logger does too stays supported.
    """
    states = problem.states
    assert states is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        leak = np.where(pairs & (found.target > 0), found.excess / found.target, 0.0)
    inside = Model(counts, states.target * (1.0 - leak), problem.horizon, 1.0)
    lost = (inside.flow[:, 0] * (states.target * leak).sum(axis=1)).sum(axis=1)
    return np.asarray(np.cumsum(lost))
