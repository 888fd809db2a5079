"""Who is among the episodes that judged a policy, and who is not; JSON-ready, in sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groundschool.data.coverage import SMALL_CELL

if TYPE_CHECKING:
    from groundschool.evaluation.estimate import Estimate
    from groundschool.report.facts import Represented
    from groundschool.safety.representation import Group, Grouping
    from groundschool.safety.verdict import Verdict

UNDECLARED = (
    "Nobody declared groups of the persons or situations in this log, so that nobody knows who is missing among the "
    "judged episodes, nor whether the policy does worse by some. Declare them: [report] groups."
)
NOT_THE_VERDICT = (
    "None of this is part of the verdict, which holds on average over everybody. Each interval holds by itself: among "
    "several groups, one that looks bad may be chance, and one that looks good too."
)


def section(found: Represented | None, verdict: Verdict | None) -> dict[str, Any] | None:
    """Return what the page says about who is represented; None where nothing was taken to the gate."""
    if found is None or verdict is None:
        return None
    return {
        "sentences": list(_sentences(found)),
        "caveat": NOT_THE_VERDICT if found.groupings else "",
        "groupings": [_grouping(one, verdict) for one in found.groupings],
        "regions": str(found.rarity),
    }


def _sentences(found: Represented) -> Sequence[str]:
    said = [] if found.groupings else [UNDECLARED]
    if not found.groupings and found.own_groups is not None:
        said.append(
            f"The judged episodes belong to {found.own_groups:,} groups of the log's own; these say which episodes go "
            "together, and not of which kind anybody is."
        )
    return said + [_missing(one) for one in found.groupings]


def _missing(grouping: Grouping) -> str:
    """Say of whom too little is known."""
    few = [f"“{group.name}”" for group in grouping.groups if group.few]
    if not few:
        return f"By {grouping.by}: every group has at least {grouping.least} judged episodes."
    return (
        f"By {grouping.by}: too few judged episodes to say anything about {', '.join(few)} (at least {grouping.least} "
        "are needed)."
    )


def _grouping(grouping: Grouping, verdict: Verdict) -> dict[str, Any]:
    return {
        "by": grouping.by,
        "least": grouping.least,
        "asked": ["gain in return" if finding.of == "gain" else finding.of for finding in verdict.findings],
        "whole": [_answer(finding.estimate) for finding in verdict.findings],
        "episodes": verdict.episodes,
        "groups": [_group(one, verdict) for one in grouping.groups],
    }


def _group(group: Group, verdict: Verdict) -> dict[str, Any]:
    answers = {one.of: _answer(one) for one in group.answers}
    return {
        "name": group.name,
        "studied": _count(group.studied),
        "judged": f"fewer than {SMALL_CELL}" if group.small else _count(group.judged),
        "few": group.few,
        "answers": [answers.get(finding.of) for finding in verdict.findings],
    }


def _count(count: int | None) -> str:
    return "withheld" if count is None else f"{count:,}"


def _answer(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "trusted": estimate.trusted and (estimate.lower, estimate.upper) != estimate.possible,
        "assurance": estimate.assurance,
        "confidence": estimate.confidence,
    }
