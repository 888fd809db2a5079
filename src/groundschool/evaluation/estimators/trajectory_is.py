"""Ordinary importance sampling of whole episodes."""

from __future__ import annotations

from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._weighted import answer
from groundschool.evaluation.problem import Problem
from groundschool.evaluation.weights import episode_log_weights, linear

NAME = "is"


def estimate(problem: Problem, *, clip: float | None = None) -> Estimation:
    """Average the logged sums, each times the weight of its whole episode (Precup et al. 2000, section 2).

    Unbiased where the propensities are right and no weight is clipped.

    Parameters
    ----------
    problem : Problem
    clip : float, optional
        The largest weight that counts; see `weights.step_log_weights`.

    Returns
    -------
    Estimation
    """
    values = linear(episode_log_weights(problem, clip)) * problem.returns
    return answer(problem, float(values.mean()), values, episode_log_weights(problem), clip=clip)
