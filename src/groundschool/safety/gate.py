"""The gate: one composite, one holdout, criteria that were fixed before, and an answer that can be no.

GO is an intersection-union test (Berger 1982, doi:10.1080/00401706.1982.10487790): where every bound at level delta
shows its criterion, a policy that violates any of them passes with probability delta at most, however many there are.
NO-GO is a union, so that its bounds share delta.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.behavior import resolve_behavior
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.estimate import Bounds, Estimate
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.safety.advice import advised, in_words, needed
from groundschool.safety.constraints import Constraint
from groundschool.safety.criteria import LOGGER, STRENGTH, Criteria, Required
from groundschool.safety.identity import fingerprint
from groundschool.safety.sentences import about, assumptions, conclusion
from groundschool.safety.verdict import Decision, Finding, Status, Verdict

METHODS: dict[Required, str] = {"asymptotic": "auto", "finite-sample": "betting"}


def gate(
    holdout: Dataset,
    policy: Any,
    *,
    constraints: Sequence[Constraint] = (),
    baseline: Any = LOGGER,
    margin: float = 0.0,
    confidence: float = 0.95,
    assurance: Required = "asymptotic",
    discount: float = 1.0,
    behavior: Any = None,
    seed: int = 0,
    looks: int = 1,
    look: int = 1,
) -> Verdict:
    """Decide whether a policy may be let out, on episodes that had no part in making or choosing it.

    Parameters
    ----------
    holdout : Dataset
        Discrete actions. To be opened once, for one policy: with what was chosen elsewhere.
    policy : Policy
        What would be shipped, guard and fallback included.
    constraints, baseline, margin, confidence, assurance, discount, looks
        As in `groundschool.safety.criteria.Criteria`.
    behavior : Policy, optional
        The policy that wrote the log. Without it the logged propensities are used; without those no verdict is GO.
    seed : int
        Of folds and of the order in which bets are made.
    look : int
        Which of the planned looks this is, from 1. This function keeps no ledger; ``groundschool gate`` does.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        For criteria that are not valid, a cost that the log does not have, a policy over other actions or observations,
        and a policy that was trained on these episodes.
    """
    criteria = Criteria(constraints, baseline, margin, confidence, assurance, discount, looks=looks)
    return judge(holdout, policy, criteria, behavior=behavior, seed=seed, look=look)


def judge(
    holdout: Dataset, policy: Any, criteria: Criteria, *, behavior: Any = None, seed: int = 0, look: int = 1
) -> Verdict:
    """Do what `gate` does, by criteria that were made before."""
    criteria.tail(look)
    require_judgeable(holdout, policy, criteria, behavior=behavior)
    estimates = ask(holdout, policy, criteria, behavior=behavior, seed=seed)
    return decide(holdout, policy, estimates, criteria, look=look)


def ask(
    holdout: Dataset, policy: Any, criteria: Criteria, *, behavior: Any = None, seed: int = 0
) -> dict[str, Estimate]:
    """Estimate what the criteria ask, by what they ask; no limit plays a part in it."""
    method = METHODS[criteria.assurance]
    costs = Evaluator(holdout, behavior=behavior, seed=seed)
    found = {limit.of: costs.evaluate(policy, of=limit.of, method=method) for limit in criteria.constraints}
    baseline = criteria.baseline
    if baseline is None:
        return found
    same = criteria.discount == 1.0
    returns = costs if same else Evaluator(holdout, behavior=behavior, discount=criteria.discount, seed=seed)
    if isinstance(baseline, float):
        return {**found, "return": returns.evaluate(policy, of="return", method=method)}
    if isinstance(baseline, str):
        return {**found, "gain": returns.gain(policy, assurance=criteria.assurance)}
    ours, theirs = (returns.evaluate(one, of="return", method=method) for one in (policy, baseline))
    return {**found, "gain": _difference(ours, theirs)}


def decide(
    holdout: Dataset, policy: Any, estimates: Mapping[str, Estimate], criteria: Criteria, *, look: int = 1
) -> Verdict:
    """Hold estimates against limits, and put the verdict in sentences."""
    tail, spread = criteria.tail(look), float(np.std(holdout.returns))
    findings = [
        _finding(str(limit), limit.limit, estimates[limit.of], criteria, look, spread, limit=limit)
        for limit in criteria.constraints
    ]
    if criteria.baseline is not None:
        words, threshold = _asked_of_return(criteria)
        findings.append(_finding(words, threshold, estimates[criteria.names[-1]], criteria, look, spread))
    decision = _decision(findings)
    undecided = decision == "INSUFFICIENT EVIDENCE"
    logged, rolled_out = needed(findings) if undecided else (None, None)
    return Verdict(
        decision=decision,
        reasons=(
            conclusion(decision, policy_name(policy), findings, holdout.n_episodes, tail),
            *dict.fromkeys(reason for finding in findings for reason in finding.reasons),
            *([in_words(logged, rolled_out)] if undecided else []),
        ),
        findings=tuple(findings),
        criteria=criteria,
        policy=policy_name(policy),
        policy_fingerprint=fingerprint(policy),
        log=holdout.fingerprint,
        episodes=holdout.n_episodes,
        look=int(look),
        tail=tail,
        assumptions=assumptions(findings, holdout),
        logged=logged,
        rolled_out=rolled_out,
    )


def _asked_of_return(criteria: Criteria) -> tuple[str, float]:
    """Return what is asked of the return, in words, and the least that it may be."""
    baseline, margin = criteria.baseline, f" by at least {criteria.margin:g}" if criteria.margin else ""
    if isinstance(baseline, float):
        least = baseline + criteria.margin
        return f"expected return at least {least:g}", least
    whose = "the logger's" if isinstance(baseline, str) else f"that of '{policy_name(baseline)}'"
    return f"expected return above {whose}{margin}", criteria.margin


def _difference(ours: Estimate, theirs: Estimate) -> Estimate:
    """Return the return of one policy above that of another, each bounded at half of what may be missed."""

    def bounds(tail: float) -> tuple[float, float]:
        (low, high), (least, most) = ours.bounds(tail / 2.0), theirs.bounds(tail / 2.0)
        return low - most, high - least

    lower, upper = bounds((1.0 - ours.confidence) / 2.0)
    return dataclasses.replace(
        ours,
        of="gain",
        value=ours.value - theirs.value,
        lower=lower,
        upper=upper,
        standard_error=math.hypot(ours.standard_error, theirs.standard_error),
        assurance=min(ours.assurance, theirs.assurance, key=STRENGTH.__getitem__),
        trusted=ours.trusted and theirs.trusted,
        reasons=tuple(dict.fromkeys((*ours.reasons, *theirs.reasons))),
        notes=tuple(dict.fromkeys((*ours.notes, *theirs.notes))),
        possible=(ours.possible[0] - theirs.possible[1], ours.possible[1] - theirs.possible[0]),
        bounds=bounds,
        values=None,
    )


def _finding(
    criterion: str,
    threshold: float,
    estimate: Estimate,
    criteria: Criteria,
    look: int,
    deviation: float,
    limit: Constraint | None = None,
) -> Finding:
    """Hold an estimate against a threshold: an upper bound of a cost, a lower bound of a return.

    Bounds against a criterion share what may be missed, so that one violation is found as seldom by mistake.
    """
    tail = criteria.tail(look)
    shared = tail / len(criteria.names)
    show, against = _sides(estimate.bounds, limit is not None, tail, shared)
    strong = STRENGTH[estimate.assurance] >= STRENGTH[criteria.assurance]
    sign = 1.0 if limit is not None else -1.0
    status: Status = "undecided"
    if estimate.trusted and sign * (against - threshold) > 0.0:
        status = "violated"
    elif estimate.trusted and strong and sign * (show - threshold) <= 0.0:
        status = "shown"
    finding = Finding(estimate.of, criterion, status, estimate.value, threshold, show, against, estimate, ())
    if status == "undecided":
        finding = advised(finding, criteria, look, can_show=strong, deviation=deviation)
    return dataclasses.replace(finding, reasons=about(finding, criteria, tail, shared, limit))


def _sides(bounds: Bounds, is_cost: bool, show: float, against: float) -> tuple[float, float]:
    """Return the bound that may show a criterion, and the one that may show its violation."""
    upper, lower = (bounds(show)[1], bounds(against)[0]) if is_cost else (bounds(against)[1], bounds(show)[0])
    return (upper, lower) if is_cost else (lower, upper)


def _decision(findings: Sequence[Finding]) -> Decision:
    if any(finding.status == "violated" for finding in findings):
        return "NO-GO"
    if all(finding.status == "shown" for finding in findings):
        return "GO"
    return "INSUFFICIENT EVIDENCE"


def require_judgeable(holdout: Dataset, policy: Any, criteria: Criteria, *, behavior: Any = None) -> None:
    """Raise `InputError` where a gate cannot be opened: to ask before a look is counted.

    Parameters are those of `judge`.
    """
    require_answerable(holdout, criteria, behavior=behavior)
    if behavior is not None or holdout.propensities is not None:
        resolve_behavior(holdout, behavior)
    nobody = Behavior(np.ones(holdout.n_steps), None, known=False)  # to see that each policy can be asked at all
    for one in (policy, *(() if criteria.policy is None else (criteria.policy,))):
        pose(holdout, one, Question("return"), nobody)
        require_unstudied(holdout, one)


def require_unstudied(holdout: Dataset, policy: Any) -> None:
    """Raise `InputError` where a policy was trained on episodes that it is to be judged on, or held against."""
    studied = overlap(holdout, policy)
    if studied.reasons:
        raise InputError(f"{studied.reasons[0]} A gate opens on no others.")


def require_answerable(holdout: Dataset, criteria: Criteria, *, behavior: Any = None) -> None:
    """Raise `InputError` where criteria ask what a log cannot be asked, whatever the policy."""
    Evaluator(holdout, behavior=behavior, discount=criteria.discount)
    criteria.require(holdout)
    if criteria.assurance == "asymptotic" or criteria.baseline is None:
        return
    if criteria.discount != 1.0:
        raise InputError(
            f"discount is {criteria.discount:g}: no range is declared for discounted returns, and without one no "
            "bound on them is finite-sample. Use discount=1, assurance='asymptotic', or ask nothing of the return."
        )
    if holdout.return_range is None:
        raise InputError(
            "the log declares no range of the return, and without one no bound on it is finite-sample. Declare "
            "return_range, use assurance='asymptotic', or ask nothing of the return."
        )
