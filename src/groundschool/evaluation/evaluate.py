"""Off-policy evaluation: how good, and how dangerous, a policy is, from a log of another."""

from __future__ import annotations

from typing import Any

from groundschool.data import Dataset
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.evaluator import Evaluator


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
    """Estimate what a policy would do, from episodes of another policy.

    To ask several questions about one log, or about several policies, make one `Evaluator`: what depends on the log
    alone is then worked out once.

    Parameters
    ----------
    log : Dataset
        Episodes that the policy was not trained on; discrete actions.
    policy : Policy
        The target. Anything that `groundschool.wrap` takes can be judged the same way.
    of : str
        "return" (the expected sum of rewards), "cost:NAME" (the expected sum of a cost) or "probability:NAME" (of the
        cost being above zero in any step), each of an episode of at most ``log.horizon`` steps.
    method : str
        "auto", which chooses by rules that stand in the notes of the result, or "logged", "is", "pdis", "wis", "pdwis",
        "dr", "fqe", "marginal_dr", "betting", "empirical_bernstein", "complement", "rejection" or "censored_weight".
    confidence : float
        Of the two-sided interval, from 0.5 to below 1. One-sided bounds: ``estimate.lower_bound(confidence)``.
    discount : float
        In (0, 1]; 1 for probabilities.
    behavior : Policy, optional
        The policy that wrote the log. Without it the logged propensities are used; without those they are estimated,
        and the result is labelled "heuristic".
    seed : int
        Of folds and of whatever else is drawn; the same seed gives the same result.
    **options
        Of the method; an unknown one is refused with the names of those there are.

    Returns
    -------
    Estimate
        One that is not trusted has its reasons, its value, and the interval that a reader may rely on: all that is
        possible.

    Raises
    ------
    InputError
        For a policy over other actions or observations, an unknown question, method or option, probabilities that are
        no distribution, a behavior policy that could not have taken a logged action, and continuous actions.
    """
    evaluator = Evaluator(log, behavior=behavior, discount=discount, seed=seed)
    return evaluator.evaluate(policy, of=of, method=method, confidence=confidence, **options)
