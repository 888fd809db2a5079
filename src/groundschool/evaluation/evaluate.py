"""Off-policy evaluation: how good, and how dangerous, a policy is, from a log of another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question


def evaluate(
    log: Dataset,
    policy: Any,
    *,
    of: str = "return",
    method: str = "auto",
    confidence: float = 0.95,
    discount: float = 1.0,
    behavior: Any = None,
    seed: int = 0,
    **options: Any,
) -> Estimate:
    """Estimate what a policy would do, from episodes of another that it was not trained on."""
    question = Question.parse(of, log)
    logged = Behavior(np.asarray(log.propensities), None, True)
    problem = pose(log, policy, question, logged, discount=discount)
    found = estimator("marginal_dr" if method == "auto" else method)(problem, **options)
    lower, upper = found.bounds((1 - confidence) / 2)
    return Estimate(
        of=of,
        policy=problem.policy,
        method=method,
        value=found.value,
        lower=lower,
        upper=upper,
        standard_error=found.standard_error,
        confidence=confidence,
        assurance=found.assurance,
        interval=found.interval,
        discount=discount,
        horizon=log.horizon,
        n_episodes=log.n_episodes,
        ess=math.nan,
        trusted=not found.reasons,
        reasons=found.reasons,
        notes=found.notes,
        diagnostics=found.diagnostics,
        possible=(problem.low, problem.high),
        bounds=found.bounds,
        values=found.values,
    )
