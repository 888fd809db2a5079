"""A verdict in sentences that a safety reviewer can read: cause, figure, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundschool.data import Dataset
from groundschool.evaluation.estimators._bounded import OWN_ACTIONS
from groundschool.safety.constraints import Constraint
from groundschool.safety.criteria import STRENGTH, Criteria
from groundschool.safety.verdict import Decision, Finding

_RESTS_ON = {
    "exact": "no assumption",
    "finite-sample": "the logged propensities and the declared range, at every number of episodes",
    "asymptotic": "the logged propensities, and the number of episodes being large",
    "heuristic": "a model being right",
}


def conclusion(decision: Decision, policy: str, findings: Sequence[Finding], episodes: int, tail: float) -> str:
    """Say what was decided, in one sentence."""
    on = f"on {episodes:,} held-out episodes"
    if decision == "GO":
        weakest = min((finding.estimate.assurance for finding in findings), key=STRENGTH.__getitem__)
        return (
            f"'{policy}' may go: {on} every criterion was shown at {1.0 - tail:.4g} confidence, resting on "
            f"{_RESTS_ON[weakest]}."
        )
    if decision == "NO-GO":
        broken = _listed([finding.criterion for finding in findings if finding.status == "violated"])
        return f"'{policy}' must not go: {on} the evidence says that this does not hold: {broken}."
    open_ = _listed([finding.criterion for finding in findings if finding.status == "undecided"])
    return f"Nobody can tell yet whether '{policy}' may go: {on} this is neither shown nor refuted: {open_}."


def about(
    finding: Finding, criteria: Criteria, show: float, against: float, limit: Constraint | None
) -> tuple[str, ...]:
    """Say what was found of one criterion, and why."""
    estimate, figures = finding.estimate, _figures(finding)
    head = f"{_capital(finding.criterion)}:"
    if finding.status == "shown":
        side = "upper" if finding.is_cost else "lower"
        return (
            f"{head} shown. {figures}, its {1.0 - show:.4g} {side} bound {finding.bound:.4g} ({estimate.assurance}, "
            f"by {estimate.method}).",
        )
    if finding.status == "violated":
        side = "lower" if finding.is_cost else "upper"
        return (
            f"{head} violated. {figures}, and even its {1.0 - against:.4g} {side} bound is {finding.against:.4g} "
            f"({estimate.assurance}, by {estimate.method}).",
        )
    said = [f"{head} undecided. {figures}{_between(finding)}."]
    if not estimate.trusted:
        said.append(f"The estimate cannot be relied on: {_first(estimate.reasons)}")
    elif STRENGTH[estimate.assurance] < STRENGTH[criteria.assurance]:
        why = next((note for note in estimate.notes if "heuristic" in note or "censored" in note or "cut" in note), "")
        said.append(
            f"Its interval is {estimate.assurance}, and {criteria.assurance} is required: it rests on "
            f"{_RESTS_ON[estimate.assurance]}.{' ' + why if why else ''}"
        )
    elif not math.isfinite(finding.bound) and finding.estimate.assurance == "finite-sample":
        said.append("Nothing bounds it at every number of episodes without a declared range.")
    said += _cut(finding)
    said += _infeasible(limit, estimate.n_episodes, 1.0 - show)
    return tuple(said)


def assumptions(findings: Sequence[Finding], holdout: Dataset) -> tuple[str, ...]:
    """Say what a verdict rests on besides its figures, and what would break it."""
    told = [
        "The held-out episodes are independent draws of the situations in which the policy will act: another ward, "
        "season or machine is another question.",
        f"An episode ends after at most {holdout.horizon:,} steps; what happens later is not judged.",
    ]
    if holdout.propensities is not None:
        told.append(
            "The logged propensities are right: how probable each action was when it was taken. They are tested by "
            "reproducing the logger's own outcomes, which finds many errors and not all."
        )
    else:
        told.append(
            "The log has no propensities: they were estimated, and whatever the logger knew that the observation does "
            "not hold may bias every figure. On such a log nothing can be GO."
        )
    if any(finding.estimate.method in ("marginal_dr", "gain:marginal_dr") for finding in findings):
        told.append(
            "The observation is all that the next step depends on, besides the action. History is tested for signs "
            "of the contrary."
        )
    if any(OWN_ACTIONS in finding.estimate.notes for finding in findings):
        told.append(
            "The logger's probabilities depend on the observation alone. The policy is made from them, and its bounds "
            "use that; where a logged propensity disagrees they do not."
        )
    if holdout.groups is not None:
        told.append("Groups are independent of each other; episodes of one group need not be.")
    if holdout.return_range is not None and any(not finding.is_cost for finding in findings):
        low, high = holdout.return_range
        told.append(f"No episode can return less than {low:g} or more than {high:g}, as was declared.")
    return tuple(told)


def _figures(finding: Finding) -> str:
    asked = f"at {'most' if finding.is_cost else 'least'} {finding.threshold:g} is asked"
    value = "there is no estimate" if math.isnan(finding.value) else f"the estimate is {finding.value:.4g}"
    return f"{_capital(asked)}; {value}"


def _between(finding: Finding) -> str:
    if not finding.estimate.trusted:
        return ""
    low, high = sorted((finding.bound, finding.against))
    return f", and its one-sided bounds are {low:.4g} and {high:.4g}"


def _cut(finding: Finding) -> list[str]:
    """Say what episodes that were cut leave open, where that is why nobody can tell."""
    cut = finding.estimate.diagnostics.get("censored")
    if not cut or not math.isfinite(low := float(cut["value_if_least"])):
        return []
    low, high = sorted((low, float(cut["value_if_most"])))
    if not low <= finding.threshold <= high:
        return []
    return [
        f"{int(cut['episodes']):,} episodes were cut before the horizon: what is estimated lies between {low:.4g} and "
        f"{high:.4g}, depending on what would have happened in them, and no number of such episodes tells. Log "
        "episodes to their end, say in the column map that they ended, or declare a shorter horizon."
    ]


def _infeasible(limit: Constraint | None, episodes: int, confidence: float) -> list[str]:
    if limit is None:
        return []
    least = limit.smallest_provable(episodes, confidence)
    if limit.limit >= least:
        return []
    needed = math.ceil(math.log1p(-confidence) / math.log1p(-limit.limit))
    return [
        f"The limit cannot be shown with {episodes:,} episodes, even if none had an event (smallest provable: "
        f"{least:.4g} at {confidence:.4g}). That takes at least {needed:,}: log more, or raise the limit."
    ]


def _listed(items: Sequence[str]) -> str:
    return "; ".join(items)


def _first(reasons: Sequence[str]) -> str:
    more = f" ({len(reasons) - 1} more such reason{'s' * (len(reasons) > 2)}.)" if len(reasons) > 1 else ""
    return f"{reasons[0] if reasons else 'no reason was given.'}{more}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
