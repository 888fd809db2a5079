"""Where the target goes that the logger hardly went.

What a pair of a state and an action brings is known only where the logger was expected to take it some times: the
count that matters is the expected one, visits to the state times the propensity, for the logged one is high where the
log was lucky. A target that goes to such pairs hardly more often than the logger asks nothing of them that the
logger's own average does not answer; what it does beyond that is its excess, and the excess alone speaks against an
estimate, for a rule that refuses the logger is wrong.

The limits were set on HazardGrid layouts, FrozenLake, Taxi and random processes of 10 to 200 states, with 500 and
5,000 episodes: see the page on off-policy evaluation in the documentation.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from groundschool.evaluation.diagnostics.support_shares import by_expected
from groundschool.evaluation.estimate import Diagnosis
from groundschool.evaluation.finite_horizon import SHRINKAGE, Counts, Model, count
from groundschool.evaluation.problem import BoolArray, FloatArray, Problem

AS_OFTEN = 2.0  # times as often as the logger
SELDOM, FEW = 1.0, 3.0  # expected rows of a pair
MOST_SELDOM, MOST_FEW, MOST_CLIPPED = 0.01, 0.04, 0.10  # shares of the target's visits
MOST_LEFT = 0.05  # share of its episodes
ESTIMABLE = 0.05


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
        What the target does beyond `AS_OFTEN` times what the logger does.
    """

    expected: FloatArray
    target: FloatArray
    logger: FloatArray
    excess: FloatArray

    def share(self, pairs: BoolArray) -> float:
        """Return the share of the target's visits that are excess, on some pairs."""
        total = float(self.target.sum())
        return float(self.excess[pairs].sum()) / total if total > 0 else 0.0


def support_of(problem: Problem, behavior: FloatArray, clip: float, shrinkage: float = SHRINKAGE) -> Diagnosis:
    """Hold what the target would do against what the log could hold of it.

    Parameters
    ----------
    problem : Problem
        With states.
    behavior : (S, A) float64
        The behavior policy's probabilities.
    clip : float
        The largest marginal ratio.
    shrinkage : float

    Returns
    -------
    Diagnosis
        Facts: ``seldom``, ``few``, ``clipped``: shares of the target's visits that are excess on pairs of which less
        than 1, less than 3 rows were expected, or whose ratio is clipped; ``left``: the probability that an episode
        ever does such a thing on a pair of which less than 1 was expected; ``left_few``: that it is ever on a pair of
        which less than 3 were expected and that the target visits more than `AS_OFTEN` times as often as the logger:
        bounds must have room for it; ``estimable_steps``: steps before 5 % of the
        episodes have; ``by_expected``: where the target's visits are, by how many rows were expected there.
    """
    states = problem.states
    assert states is not None
    counts = count(problem, np.zeros(problem.n_episodes, np.int64), 1).counts
    model = Model(counts, states.target, problem.horizon, 1.0, shrinkage)
    found = compare(problem, counts, model, behavior, shrinkage)
    seldom, few = found.expected < SELDOM, found.expected < FEW
    ratio = np.divide(found.target, found.logger, out=np.full(found.target.shape, np.inf), where=found.logger > 0)
    shares = {
        "seldom": found.share(seldom),
        "few": found.share(few),
        "clipped": found.share(ratio > clip),
    }
    left = leaves(problem, counts, found, seldom, shrinkage)
    # Of fewer than three expected rows the log may well hold none, or none that went wrong.
    unseen = leaves(problem, counts, dataclasses.replace(found, excess=_whole(found)), few, shrinkage)
    steps = int(np.searchsorted(left, ESTIMABLE, side="right"))
    facts: dict[str, Any] = {
        **shares,
        "left": float(left[-1]),
        "left_few": float(unseen[-1]),
        "estimable_steps": steps,
        "horizon": problem.horizon,
        "states": states.count,
        "by_expected": by_expected(found.expected, found.target, found.excess),
    }
    return Diagnosis("support", facts, _reasons(problem, facts, clip))


def _whole(found: Support) -> FloatArray:
    """Return all of the target's visits to pairs on which it has any excess."""
    return np.where(found.excess > 0.0, found.target, 0.0)


def _reasons(problem: Problem, facts: dict[str, Any], clip: float) -> tuple[str, ...]:
    found = []
    if facts["left"] > MOST_LEFT:
        found.append(
            f"In {facts['left']:.1%} of its episodes the target does something in a state where less than one logged "
            f"row of that was to be expected, and more than {AS_OFTEN:g} times as often as the logger (at most "
            f"{MOST_LEFT:.0%} may). What happens then the log does not know: in the worst case, everything."
        )
    if facts["seldom"] > MOST_SELDOM:
        found.append(
            f"{facts['seldom']:.1%} of the target's steps are where less than one logged row was to be expected (at "
            f"most {MOST_SELDOM:.0%} may be)."
        )
    if facts["few"] > MOST_FEW:
        found.append(
            f"{facts['few']:.1%} of the target's steps are where less than three logged rows were to be expected (at "
            f"most {MOST_FEW:.0%} may be)."
        )
    if facts["clipped"] > MOST_CLIPPED:
        found.append(
            f"{facts['clipped']:.1%} of the target's steps are such that it does them more than {clip:.4g} times as "
            f"often as the logger (at most {MOST_CLIPPED:.0%} may be): a handful of episodes would speak for all."
        )
    return tuple(found)


def compare(
    problem: Problem, counts: Counts, model: Model, behavior: FloatArray, shrinkage: float = SHRINKAGE
) -> Support:
    """Compare a target's visits with the logger's, both in a model counted from the whole log."""
    states = problem.states
    assert states is not None
    expected = counts.visits[0][:, None] * behavior
    logger = Model(counts, behavior, problem.horizon, 1.0, shrinkage).visits[0][:, None] * behavior
    target = model.visits[0][:, None] * states.target
    return Support(expected, target, logger, np.maximum(target - AS_OFTEN * logger, 0.0))


def leaves(
    problem: Problem, counts: Counts, found: Support, pairs: BoolArray, shrinkage: float = SHRINKAGE
) -> FloatArray:
    """Return the probability that an episode of the target has shown excess on some pairs after each step, (H,)."""
    states = problem.states
    assert states is not None
    leak = np.divide(found.excess, found.target, out=np.zeros_like(found.target), where=pairs & (found.target > 0))
    inside = Model(counts, states.target * (1.0 - leak), problem.horizon, 1.0, shrinkage)
    lost = (inside.flow[:, 0] * (states.target * leak).sum(axis=1)).sum(axis=1)
    return np.asarray(np.minimum(np.cumsum(lost), 1.0))


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
    untaken = (taken == 0).reshape(S, A)
    if problem.masks is not None:
        allowed = np.zeros((S, A), np.bool_)
        allowed[states.code] = problem.masks
        untaken &= allowed
    left = np.maximum(1.0 - table.sum(axis=1), 0.0)
    table += np.where(untaken, (left / np.maximum(untaken.sum(axis=1), 1))[:, None], 0.0)
    if states.behavior is not None:
        table = np.where(np.isfinite(states.behavior), states.behavior, table)
    return table
