"""What would decide where the evidence is insufficient: how many further episodes, logged or rolled out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from groundschool.safety.criteria import Criteria
from groundschool.safety.further import by_rate, logged_episodes, rolled_out_episodes, rolled_out_returns
from groundschool.safety.verdict import Finding

ROOT = 1 / 2
WEIGHTED = 1 / 3  # of bounds from weights, the largest of which are seen late: found in simulated studies


def advised(finding: Finding, criteria: Criteria, look: int, *, can_show: bool, deviation: float) -> Finding:
    """Say how many further episodes would plausibly decide a finding, where cut ones leave anything to decide.

    Parameters
    ----------
    finding : Finding
        Undecided.
    criteria : Criteria
    look : int
        Logged episodes are for the next one of the plan, or for another like the last.
    can_show : bool
        Whether more of this evidence could show the criterion, and not only a violation.
    deviation : float
        How far the logger's returns spread, for want of the policy's.
    """
    value = _value_that_matters(finding)
    if math.isnan(value):
        return finding
    estimate, threshold, is_cost = finding.estimate, finding.threshold, finding.is_cost
    logged: int | None = None
    if estimate.trusted:
        following = criteria.tail(min(look + 1, criteria.looks))
        show, against = following if can_show else None, following / len(criteria.names)
        below, above = (show, against) if is_cost else (against, show)
        forecast = estimate.forecast() if estimate.forecast is not None else None
        if forecast is None:
            forecast = by_rate(estimate, value, WEIGHTED if estimate.assurance == "finite-sample" else ROOT)
        logged = logged_episodes(forecast, threshold, estimate.n_episodes, below=below, above=above)
    tail = criteria.tail(look)
    if value > threshold if is_cost else value < threshold:
        tail /= len(criteria.names)
    rolled_out: int | None = None
    if finding.of.startswith("probability:"):
        rolled_out = rolled_out_episodes(value, threshold, tail)
    elif not is_cost:
        rolled_out = rolled_out_returns(value, threshold, deviation, tail)
    return dataclasses.replace(finding, logged=logged, rolled_out=rolled_out)


def needed(findings: Sequence[Finding]) -> tuple[int | None, int | None]:
    """Return what would decide: all that is undecided for GO; one violation that seems near is enough for NO-GO."""
    undecided = [finding for finding in findings if finding.status == "undecided"]
    return _needed([one.logged for one in undecided], undecided), _needed(
        [one.rolled_out for one in undecided], undecided
    )


def in_words(logged: int | None, rolled_out: int | None) -> str:
    """Say what would plausibly decide."""
    if logged is None and rolled_out is None:
        return (
            "No number of further episodes of this logger that can be foreseen would plausibly decide: another policy, "
            "another limit or another logger might."
        )
    said = [] if logged is None else [f"about {logged:,} further episodes of the same logger"]
    said += [] if rolled_out is None else [f"about {rolled_out:,} episodes of this policy rolled out under control"]
    return f"What would plausibly decide: {', or '.join(said)}."


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
