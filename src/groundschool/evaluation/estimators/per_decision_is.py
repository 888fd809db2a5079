"""Per-decision importance sampling."""

from __future__ import annotations

from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._weighted import answer
from groundschool.evaluation.problem import Problem
from groundschool.evaluation.weights import episode_log_weights, linear, step_log_weights

NAME = "pdis"


def estimate(problem: Problem, *, clip: float | None = None) -> Estimation:
    """Weight the signal of each step by the actions up to it, not by later ones (Precup et al. 2000, section 3).

    Unbiased where the propensities are right and no weight is clipped.

    Parameters
    ----------
    problem : Problem
    clip : float, optional
        The largest weight that counts at any step; see `weights.step_log_weights`.

    Returns
    -------
    Estimation
    """
    weighted = linear(step_log_weights(problem, clip)) * problem.discounts * problem.signal
    values = problem.episode_sums(weighted)
    return answer(problem, float(values.mean()), values, episode_log_weights(problem), clip=clip)
