"""How much better, or worse, each action is than what a policy does in the same state, by a counted model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.displacement import with_displacements
from groundschool.evaluation.finite_horizon import Model, count
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.problem import FloatArray, IntArray
from groundschool.evaluation.question import Question
from groundschool.evaluation.states import first_rows


@dataclasses.dataclass(frozen=True, eq=False)
class Advantages:
    """By state of a log.

    Attributes
    ----------
    rows : (S,) int64
        A row of the log in each state.
    advantages : (S, A) float64
        Expected sum with an action less that of the policy, over steps as the policy comes by.
    counts : (S, A) int64
        How often each pair was logged.
    target : (S, A) float64
        The policy's probabilities.
    start : float
        The policy's expected sum from the start.
    forecast_rows : float
        What a forecast from displacements counted for, in rows; see `with_displacements`.
    """

    rows: IntArray
    advantages: FloatArray
    counts: IntArray
    target: FloatArray
    start: float
    forecast_rows: float


def advantages(log: Dataset, policy: Any, question: Question, behavior: Behavior) -> Advantages:
    """Return the advantages of all actions in the states of a log, whose observations must be countable."""
    problem = pose(log, policy, question, behavior)
    states = problem.states
    if states is None:
        raise ValueError("observations that are not counted have no states")
    counts = count(problem, np.zeros(problem.n_episodes, np.int64), 1).counts
    counts, weight = with_displacements(log, problem, counts)
    model = Model(counts, states.target, problem.horizon)
    flow = model.flow[:, 0]
    total = flow.sum(axis=0)
    share = np.divide(flow, total, out=np.full_like(flow, 1.0 / len(flow)), where=total > 0.0)
    values = np.einsum("ts,tsa->sa", share, model.action_values(0))
    own = (states.target * values).sum(axis=1, keepdims=True)
    present = np.unique(states.code)
    pair = states.code * problem.n_actions + problem.actions
    rows = np.bincount(pair, minlength=states.count * problem.n_actions).reshape(states.count, -1)
    return Advantages(
        problem.rows[first_rows(states.code, states.count)][present],
        (values - own)[present],
        rows[present],
        states.target[present],
        float(model.start_value[0]),
        weight,
    )
