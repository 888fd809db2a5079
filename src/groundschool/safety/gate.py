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
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.estimate import Bounds, Estimate
from groundschool.evaluation.evaluator import Evaluator
from groundschool.safety.constraints import Constraint
from groundschool.safety.criteria import LOGGER, STRENGTH, Criteria, Required
from groundschool.safety.further import (
    ASYMPTOTIC,
    WEIGHTED,
    logged_episodes,
    rolled_out_episodes,
    rolled_out_returns,
)
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
    tail = criteria.tail(look)
    following = criteria.tail(look + 1) if look < criteria.looks else tail
    n, spread = len(criteria.names), float(np.std(holdout.returns))
    levels = _Levels(tail, tail / n, following, following / n, spread)
    findings = [
        _finding(str(limit), limit.limit, estimates[limit.of], criteria, levels, limit=limit)
        for limit in criteria.constraints
    ]
    if criteria.baseline is not None:
        words, threshold = _asked_of_return(criteria)
        findings.append(_finding(words, threshold, estimates[criteria.names[-1]], criteria, levels))
    decision = _decision(findings)
    logged, rolled_out = _further(decision, findings)
    return Verdict(
        decision=decision,
        reasons=(
            conclusion(decision, policy_name(policy), findings, holdout.n_episodes, tail),
            *dict.fromkeys(reason for finding in findings for reason in finding.reasons),
            *_what_next(decision, logged, rolled_out),
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


@dataclasses.dataclass(frozen=True)
class _Levels:
    """How often bounds may miss: those that show a criterion and those against it, in this look and in the next.

    Beside them how far the logger's returns spread, for want of the policy's.
    """

    show: float
    against: float
    next_show: float
    next_against: float
    deviation: float = math.nan


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
    levels: _Levels,
    limit: Constraint | None = None,
) -> Finding:
    """Hold an estimate against a threshold: an upper bound of a cost, a lower bound of a return."""
    show, against = _sides(estimate.bounds, limit is not None, levels.show, levels.against)
    strong = STRENGTH[estimate.assurance] >= STRENGTH[criteria.assurance]
    sign = 1.0 if limit is not None else -1.0
    status: Status = "undecided"
    if estimate.trusted and sign * (against - threshold) > 0.0:
        status = "violated"
    elif estimate.trusted and strong and sign * (show - threshold) <= 0.0:
        status = "shown"
    finding = Finding(estimate.of, criterion, status, estimate.value, threshold, show, against, estimate, ())
    if status == "undecided":
        finding = _with_advice(finding, levels, strong)
    return dataclasses.replace(finding, reasons=about(finding, criteria, levels.show, levels.against, limit))


def _sides(bounds: Bounds, is_cost: bool, show: float, against: float) -> tuple[float, float]:
    """Return the bound that may show a criterion, and the one that may show its violation."""
    upper, lower = (bounds(show)[1], bounds(against)[0]) if is_cost else (bounds(against)[1], bounds(show)[0])
    return (upper, lower) if is_cost else (lower, upper)


def _with_advice(finding: Finding, levels: _Levels, strong: bool) -> Finding:
    """Say how many further episodes would plausibly decide, where the cut ones leave anything to decide."""
    estimate, threshold = finding.estimate, finding.threshold
    value = _value_that_matters(finding)
    if math.isnan(value):
        return finding
    good = (value <= threshold) if finding.is_cost else (value >= threshold)
    logged: int | None = None
    if estimate.trusted and (strong or not good):
        show, against = _sides(estimate.bounds, finding.is_cost, levels.next_show, levels.next_against)
        bound = show if good else against
        rate = WEIGHTED if estimate.assurance == "finite-sample" else ASYMPTOTIC
        error = estimate.standard_error
        logged = logged_episodes(value, bound, threshold, error, estimate.n_episodes, rate=rate)
    tail = levels.show if good else levels.against
    if finding.of.startswith("probability:"):
        rolled_out = rolled_out_episodes(value, threshold, tail)
    elif finding.of.startswith("cost:"):
        rolled_out = None
    else:
        rolled_out = rolled_out_returns(value, threshold, levels.deviation, tail)
    return dataclasses.replace(finding, logged=logged, rolled_out=rolled_out)


def _value_that_matters(finding: Finding) -> float:
    """Return the estimate; where episodes were cut, that end of what they leave open which is nearer the threshold.

    NaN where the threshold is between the ends: more such episodes do not bring them together.
    """
    cut = finding.estimate.diagnostics.get("censored")
    if not cut:
        return finding.value
    low, high = sorted((float(cut["value_if_least"]), float(cut["value_if_most"])))
    if low <= finding.threshold <= high:
        return math.nan
    return high if high < finding.threshold else low


def _decision(findings: Sequence[Finding]) -> Decision:
    if any(finding.status == "violated" for finding in findings):
        return "NO-GO"
    if all(finding.status == "shown" for finding in findings):
        return "GO"
    return "INSUFFICIENT EVIDENCE"


def _further(decision: Decision, findings: Sequence[Finding]) -> tuple[int | None, int | None]:
    """Return what would decide: all that is undecided for GO; one violation that seems near is enough for NO-GO."""
    if decision != "INSUFFICIENT EVIDENCE":
        return None, None
    undecided = [finding for finding in findings if finding.status == "undecided"]
    return _needed([one.logged for one in undecided], undecided), _needed(
        [one.rolled_out for one in undecided], undecided
    )


def _needed(numbers: Sequence[int | None], findings: Sequence[Finding]) -> int | None:
    violations = [
        number for number, one in zip(numbers, findings, strict=True) if number is not None and _looks_violated(one)
    ]
    if violations:
        return min(violations)
    known = [number for number in numbers if number is not None]
    return max(known) if known and len(known) == len(numbers) else None


def _looks_violated(finding: Finding) -> bool:
    if not finding.estimate.trusted:
        return False
    return finding.value > finding.threshold if finding.is_cost else finding.value < finding.threshold


def _what_next(decision: Decision, logged: int | None, rolled_out: int | None) -> tuple[str, ...]:
    if decision != "INSUFFICIENT EVIDENCE":
        return ()
    if logged is None and rolled_out is None:
        return (
            "No number of further episodes of this logger would plausibly decide: another policy, another limit or "
            "another logger might.",
        )
    said = [] if logged is None else [f"about {logged:,} further episodes of the same logger"]
    said += [] if rolled_out is None else [f"about {rolled_out:,} episodes of this policy rolled out under control"]
    return (f"What would plausibly decide: {', or '.join(said)}.",)


def require_judgeable(holdout: Dataset, policy: Any, criteria: Criteria, *, behavior: Any = None) -> None:
    """Raise `InputError` where a gate cannot be opened: to ask before a look is counted.

    Parameters are those of `judge`.
    """
    require_answerable(holdout, criteria, behavior=behavior)
    for one in (policy, *(() if criteria.policy is None else (criteria.policy,))):
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
