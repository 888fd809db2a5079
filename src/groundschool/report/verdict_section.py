"""What the report opens with: the verdict, its claim, and the tree from claim to figures; JSON-ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groundschool.report import represented_section
from groundschool.report.evaluation_section import ASSURANCES, METHODS
from groundschool.safety.candidates import LOGGER

if TYPE_CHECKING:
    from groundschool.report.facts import Outcome
    from groundschool.safety.ranking import Standing
    from groundschool.safety.verdict import Finding, Verdict

KEPT = "KEEP THE LOGGER'S POLICY"
MARKS = {"GO": "go", "NO-GO": "no-go", "INSUFFICIENT EVIDENCE": "unknown", KEPT: "unknown"}


def section(outcome: Outcome | None) -> dict[str, Any] | None:
    """Return everything the page says about the gate; None where there was none."""
    if outcome is None:
        return None
    standings = [_standing(one, outcome.standings) for one in outcome.standings]
    certified = _certified(outcome)
    if outcome.verdict is None:
        logger = outcome.standings[0]
        return {
            "decision": KEPT,
            "mark": MARKS[KEPT],
            "claim": _why_kept(outcome.standings),
            "policy": logger.candidate,
            "arguments": [],
            "assumptions": [],
            "next": "",
            "standings": standings,
            "certified": certified,
            "guard": list(outcome.guard),
            "departures": [one.to_json() for one in outcome.departures],
            "represented": None,
            "criteria": None,
            "episodes": None,
            "confidence": None,
            "look": None,
            "looks": None,
            "fingerprints": {},
        }
    verdict = outcome.verdict
    decided = verdict.decision != "INSUFFICIENT EVIDENCE"
    return {
        "decision": verdict.decision,
        "mark": MARKS[verdict.decision],
        "claim": verdict.reasons[0],
        "policy": verdict.policy,
        "arguments": [_argument(one, verdict) for one in verdict.findings],
        "assumptions": list(verdict.assumptions),
        "next": "" if decided else verdict.reasons[-1],
        "standings": standings,
        "certified": certified,
        "guard": list(outcome.guard),
        "departures": [one.to_json() for one in outcome.departures],
        "represented": represented_section.section(outcome.represented, verdict),
        "criteria": verdict.criteria.to_json(),
        "episodes": verdict.episodes,
        "confidence": 1.0 - verdict.tail,
        "look": verdict.look,
        "looks": verdict.criteria.looks,
        "fingerprints": {
            "criteria": verdict.criteria.fingerprint,
            "policy": verdict.policy_fingerprint,
            "episodes": verdict.log,
        },
    }


def _argument(finding: Finding, verdict: Verdict) -> dict[str, Any]:
    """Return one criterion: what was asked, what was found, and the evidence that it rests on."""
    estimate = finding.estimate
    told = finding.to_json()
    told.pop("estimate")
    heading = f"{finding.criterion[:1].upper()}{finding.criterion[1:]}: {finding.status}. "
    return {
        **told,
        "reasons": [reason.removeprefix(heading) for reason in finding.reasons],  # the page has it as a heading
        "criterion": f"{finding.criterion[:1].upper()}{finding.criterion[1:]}",
        "is_cost": finding.is_cost,
        "side": "upper" if finding.is_cost else "lower",
        "method": METHODS.get(estimate.method, estimate.method),
        "rests_on": ASSURANCES[estimate.assurance],
        "ess": estimate.ess,
        "confidence": 1.0 - verdict.tail,
        "doubts": list(estimate.reasons),
        "notes": list(estimate.notes),
    }


def _why_kept(standings: Sequence[Standing]) -> str:
    """Say that nothing was taken to the gate, and what each candidate lacks, the best of them first."""
    lacks = {
        "untrusted": "estimates of {} cannot be relied on",
        "infeasible": "{} is not shown to keep the limits",
        "feasible": "{} promises no more than the logger",
    }
    said = [lacks[one.status].format(f"'{one.candidate}'") for one in standings if one.candidate != LOGGER]
    more = f"; and {len(said) - 3} more" if len(said) > 3 else ""
    why = f" ({'; '.join(said[:3])}{more})" if said else ""
    return (
        f"No candidate stands above the policy that wrote the log{why}. Nothing was taken to the gate, and its "
        "episodes were not opened."
    )


def _certified(outcome: Outcome) -> dict[str, Any] | None:
    """Return what finite-sample bounds show of the policy made for them, and of the one taken to the gate."""
    found = outcome.certified
    if found is None:
        return None
    verdict: Verdict = found.verdict
    taken = None if outcome.verdict is None else outcome.verdict.policy
    estimated = {} if outcome.verdict is None else {one.of: one.value for one in outcome.verdict.findings}
    rows = []
    for finding in verdict.findings:
        promised = found.promised.get(finding.of)
        tail = verdict.tail
        rows.append(
            {
                **_argument(finding, verdict),
                "promised": None
                if promised is None
                else {
                    "value": estimated.get(finding.of),
                    "bound": promised.bounds(tail)[1 if finding.is_cost else 0],
                },
            }
        )
    return {
        "decision": verdict.decision,
        "mark": MARKS[verdict.decision],
        "claim": verdict.reasons[0],
        "policy": verdict.policy,
        "studied": found.studied,
        "episodes": verdict.episodes,
        "confidence": 1.0 - verdict.tail,
        "beside": taken,
        "rows": rows,
        "reasons": list(verdict.reasons),
    }


def _standing(standing: Standing, everybody: Sequence[Standing]) -> dict[str, Any]:
    """Return one row of the comparison from which the best was taken."""
    told = standing.to_json()
    costs = {of: average for of, average in told["answers"].items() if of != "return"}
    return {
        "candidate": standing.candidate,
        "rank": standing.rank,
        "status": standing.status,
        "return": told["answers"]["return"],
        "costs": costs,
        "reasons": list(standing.reasons),
        "best": standing is everybody[0],
    }
