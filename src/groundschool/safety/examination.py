"""What one part of a log says about a policy, for comparing policies; nothing here certifies one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics.support import MOST_CLIPPED
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.finite_horizon import Model, count
from groundschool.evaluation.pose import Censoring, pose
from groundschool.evaluation.prior import by_state
from groundschool.evaluation.question import Question
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


@dataclass(frozen=True)
class Answer:
    """One number about one policy, as far as one part of a log tells it.

    Attributes
    ----------
    value : float
        NaN where there is no estimate.
    lower, upper : float
        One-sided bounds, as claimed: they are given also where they may not be relied on. That of a cost is cautious.
    trusted : bool
        Whether the estimate is trusted.
    concentrated : bool
        Whether the only reason against it is that few logged episodes speak for the policy. That makes an estimate
        noisy, not blind.
    reasons : tuple of str
    cautious : float or None
        What policies are compared by; None where that is the lower bound.
    """

    value: float
    lower: float
    upper: float
    trusted: bool
    concentrated: bool = False
    reasons: tuple[str, ...] = ()
    cautious: float | None = None


class Examiner(Protocol):
    """What answers questions about policies from one part of a log."""

    def logger(self, of: str) -> Answer:
        """Return what the logger was seen to do."""
        ...

    def judge(self, policy: Any, of: str) -> Answer:
        """Return what a policy would do."""
        ...


class Examination:
    """Estimates of any number of policies on one part of a log, with caution.

    Returns are compared by the estimate, or, where that is less, by what a policy would come to if every pair of a
    state and an action had been logged once more and had then turned out as the logger's steps from that state do on
    average; the logger by what it was seen to reach. An upper bound of a cost is at least what that comes to. A danger
    beside the path, which the log met when the logger took another action there, thereby counts against a policy whose
    own few steps there happened to go well. To order many policies by little data it matters more that this is steady
    than that it leans to the low side; a lower bound leans too, and is noisier. Where states cannot be counted, returns
    are compared by their lower bounds, without the room for the worst case of episodes that the log hardly holds, which
    would order policies by how little that is.

    Parameters
    ----------
    log : Dataset
    method : str
        As in `groundschool.evaluate`.
    confidence : float
        One-sided, from 0.75 to below 1.
    discount : float
        Of return; costs are not discounted.
    behavior : Policy or None
    seed : int
    """

    def __init__(
        self, log: Dataset, *, method: str, confidence: float, discount: float, behavior: Any, seed: int
    ) -> None:
        self._costs = Evaluator(log, behavior=behavior, seed=seed)
        same = discount == 1.0
        self._return = self._costs if same else Evaluator(log, behavior=behavior, discount=discount, seed=seed)
        self._log, self._method, self._two_sided = log, method, 2.0 * confidence - 1.0

    def logger(self, of: str) -> Answer:
        """Return what the logger was seen to do."""
        evaluator = self._evaluator(of)
        found = evaluator.evaluate(_Anyone(self._log), of=of, method="logged", confidence=self._two_sided)
        return _answer(found, found.value if evaluator.counted else math.nan)

    def judge(self, policy: Any, of: str) -> Answer:
        """Return what a policy would do."""
        evaluator = self._evaluator(of)
        found = evaluator.evaluate(policy, of=of, method=self._method, confidence=self._two_sided)
        return _answer(found, once_more(evaluator, policy, Question.parse(of, self._log)))

    def _evaluator(self, of: str) -> Evaluator:
        return self._return if of == "return" else self._costs


def once_more(evaluator: Evaluator, policy: Any, question: Question) -> float:
    """Return a policy's expected sum where every pair had been logged once more, as its state is on average.

    Parameters
    ----------
    evaluator : Evaluator
    policy : Policy
    question : Question

    Returns
    -------
    float
        NaN where states cannot be counted. Episodes that were cut before the horizon count as their worst case, where
        that is bounded.
    """
    worst: Censoring = "low" if question.higher_is_better else "high"
    discount = evaluator.discount
    problem = pose(evaluator.log, policy, question, evaluator.behavior, discount=discount, censoring=worst)
    if problem.states is None:
        return math.nan
    counts = count(problem, np.zeros(problem.n_episodes, np.int64), 1).counts
    model = Model(counts, problem.states.target, problem.horizon, discount, shrinkage=1.0, expected=by_state)
    return float(model.start_value[0])


def _answer(found: Estimate, caution: float = math.nan) -> Answer:
    claimed = found.diagnostics["claimed"]
    lower, upper = float(claimed["lower"]), float(claimed["upper"])
    lower = -math.inf if math.isnan(lower) else lower
    upper = math.inf if math.isnan(upper) else upper
    cautious: float | None = None
    if found.of != "return":
        upper = upper if math.isnan(caution) else max(upper, caution)
    elif math.isnan(caution):
        cautious = lower + float(found.diagnostics.get("room_for_the_worst", {}).get("down", 0.0))
    else:
        cautious = min(float(found.value), caution)
    # One reason, and this one is given: then it is the only one.
    clipped = float(found.diagnostics.get("support", {}).get("clipped", 0.0))
    concentrated = len(found.reasons) == 1 and clipped > MOST_CLIPPED
    return Answer(float(found.value), lower, upper, found.trusted, concentrated, found.reasons, cautious)


@dataclass(frozen=True, eq=False)
class _Anyone(DiscretePolicy):
    """Stands where a policy is asked for and none is meant: the logger's own outcomes depend on no target."""

    log: Dataset
    name: str = "logger"

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        assert self.log.n_actions is not None
        return self.log.n_actions

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        shape = (len(np.asarray(observations)), self.n_actions)
        return apply_masks(np.full(shape, 1.0 / self.n_actions), masks)
