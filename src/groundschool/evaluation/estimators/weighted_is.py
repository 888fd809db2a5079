"""Weighted (self-normalized) importance sampling of whole episodes."""

from __future__ import annotations

import math

import numpy as np

from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._weighted import answer
from groundschool.evaluation.problem import Problem
from groundschool.evaluation.weights import episode_log_weights, scaled

NAME = "wis"


def estimate(problem: Problem, *, clip: float | None = None) -> Estimation:
    """Average the logged sums by the weights of whole episodes, which are made to add up to 1 (Precup et al. 2000).

    Biased toward what was logged while few episodes carry the weight, consistent. Its influence values are those of a
    ratio of means: value + w (sum - value) / mean weight (delta method).

    Parameters
    ----------
    problem : Problem
    clip : float, optional
        The largest weight that counts; see `weights.step_log_weights`.

    Returns
    -------
    Estimation
        The value is NaN, and nothing is bounded, where every weight is zero.
    """
    logs = episode_log_weights(problem)
    weights = scaled(episode_log_weights(problem, clip))
    total = float(weights.sum())
    if total == 0.0:
        return answer(problem, math.nan, np.zeros(problem.n_episodes), logs, clip=clip)
    value = float(weights @ problem.returns) / total
    pull = weights * (problem.returns - value)
    values = value + pull * (problem.n_episodes / total)
    return answer(problem, value, values, logs, clip=clip)
