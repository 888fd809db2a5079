"""How much more return a policy gets than the policy that wrote the log."""

from __future__ import annotations

from typing import Any

from groundschool.data import Dataset
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.evaluator import Evaluator


def gain(
    log: Dataset,
    policy: Any,
    *,
    assurance: str = "finite-sample",
    confidence: float = 0.95,
    discount: float = 1.0,
    behavior: Any = None,
    seed: int = 0,
    **options: Any,
) -> Estimate:
    """Estimate how much more return a policy gets than the logger, both on the same episodes.

    What happened to both in an episode cancels, so that a policy that differs from the logger in few decisions is told
    from it by far fewer episodes than two separate intervals would need.

    Parameters
    ----------
    log : Dataset
        Episodes that the policy was not trained on; discrete actions.
    policy : Policy
    assurance : "finite-sample" or "asymptotic"
        "finite-sample": bounds by betting on weighted episodes, valid at every number of episodes; needs the range of
        the return (``return_range`` of the log), declared beforehand. "asymptotic": the influence values of
        "marginal_dr" for the policy less those for the logger, with Student's t; where observations cannot be counted,
        those of "dr" less the episode's own return.
    confidence : float
        Of the two-sided interval, from 0.5 to below 1. One-sided: ``gain.lower_bound(0.95)``.
    discount : float
        In (0, 1]; 1 for finite-sample bounds.
    behavior : Policy, optional
        The policy that wrote the log; else the logged propensities. With all of its probabilities finite-sample bounds
        can be tighter. Without either they are estimated, and the result is labelled "heuristic".
    seed : int
        Of the order in which episodes are bet on, or of the folds.
    **options
        ``ratio_cap`` for finite-sample bounds, those of the chosen method for asymptotic ones.

    Returns
    -------
    Estimate
        ``of="gain"``, in units of reward. An episode that was cut before the horizon counts for the lower bound with
        the least that the policy, and the most that the logger, can have got in it; the other way for the upper bound.
        Groups are taken as units, and a policy that studied the log is not trusted, as in `evaluate`.

    Raises
    ------
    InputError
        As `evaluate`; and where finite-sample bounds are asked for without a range of the return.
    """
    evaluator = Evaluator(log, behavior=behavior, discount=discount, seed=seed)
    return evaluator.gain(policy, assurance=assurance, confidence=confidence, **options)
