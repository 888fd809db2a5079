"""What the report says about its data: what was found wrong, what was looked for, and what the log supports."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from groundschool.report.words import number, percent

if TYPE_CHECKING:
    from groundschool.data.checks.finding import Finding
    from groundschool.data.coverage import Coverage
    from groundschool.report.facts import LogFacts

SEVERITIES = ("error", "warning", "note")

_TOLD = 4
_REGIONS = 8
_NOT_MARKOV = (
    "the observation does not carry all that matters: what came before it predicts what comes next. "
    "Values and estimates that treat it as the state can be wrong"
)
_EPISODE = r"\bepisode (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+)"


def section(log: LogFacts) -> dict[str, Any] | None:
    """Return everything the section shows, JSON-ready; None where the log was not looked at."""
    if not log.findings and not log.checks and log.coverage is None:
        return None
    coverage = named_coverage(log)
    ran = [name for name, reason in log.checks.items() if not reason]
    return {
        "findings": findings(log.findings),
        "counts": {severity: sum(f.severity == severity for f in log.findings) for severity in SEVERITIES},
        "ran": ran,
        "n_ran": len(ran),
        "not_applicable": [{"check": name, "reason": reason} for name, reason in log.checks.items() if reason],
        "false_alarm": log.false_alarm,
        "coverage": None if coverage is None else {**coverage.to_json(), "thin": thin_regions(coverage)},
    }


def findings(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return findings JSON-ready, errors first, without the identity of any episode."""
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return [
        {key: anonymous(value, finding) for key, value in finding.to_json().items() if key != "first_episode"}
        for finding in ordered
    ]


def anonymous(value: Any, finding: Finding) -> Any:
    """Return a text of a finding without the ids of episodes; other values as they are."""
    if not isinstance(value, str):
        return value
    text = re.sub(_EPISODE, "an episode", value)
    label = finding.first_episode
    if isinstance(label, str) and len(label) > 2:
        text = re.sub(rf"(?<!\w){re.escape(label)}(?!\w)", "…", text)
    return text


def named_coverage(log: LogFacts) -> Coverage | None:
    """Return the coverage with the report's own words for actions, where it has any."""
    found = log.coverage
    if found is None or found.binned or len(log.action_names) != len(found.actions):
        return found
    return dataclasses.replace(found, actions=tuple(log.action_names))


def thin_regions(coverage: Coverage) -> list[dict[str, Any]]:
    """Return the most visited regions with at most one supported action although several are possible."""
    thin = (coverage.choices <= 1) & (coverage.possible.sum(axis=1) > 1)
    absent = coverage.possible & (coverage.counts == 0)
    rows = coverage.to_json()["regions"]
    told = []
    for i in thin.nonzero()[0][:_REGIONS].tolist():
        never = [name for name, is_absent in zip(coverage.actions, absent[i], strict=True) if is_absent]
        told.append({"number": i + 1, **rows[i], "never": never[:_TOLD], "never_more": len(never[_TOLD:])})
    return told


def coverage_alt(coverage: Coverage) -> str:
    """Return what the picture shows, for readers who do not see it."""
    least = min(
        (row for row in coverage.to_json()["actions"] if row["supported_share"] is not None),
        key=lambda row: row["supported_share"],
    )
    return (
        f"{number(len(coverage.actions))} rows of actions by {number(len(coverage.regions))} columns of "
        f"{coverage.places}. {percent(coverage.never_share)} of the pairs never occur. The least supported, "
        f"{least['action']}, occurs often enough in {percent(least['supported_share'])} of the places."
    )


def doubts(checked: Mapping[str, Any]) -> str:
    """Return what the findings do to what may be believed, in plain sentences; empty where nothing was checked."""
    if not checked["findings"] and not checked["ran"]:
        return ""
    counts = checked["counts"]
    serious = [finding for finding in checked["findings"] if finding["severity"] != "note"]
    if not serious:
        return f"{counted(checked['n_ran'], 'check')} ran and found no error and no warning."
    # Errors first, then the one that undermines every number about a policy, then the rest as they come.
    serious.sort(key=lambda f: (f["severity"] != "error", f["check"] != "not-markov"))
    told = [_told(finding) for finding in serious[:_TOLD]]
    more = len(serious) - len(told)
    rest = f" And {number(more)} more, in “The data, checked”." if more else ""
    found = " and ".join(counted(counts[severity], severity) for severity in ("error", "warning") if counts[severity])
    return f"{found} to settle before what follows is believed. {' '.join(told)}{rest}"


def _told(finding: Mapping[str, Any]) -> str:
    what = _NOT_MARKOV if finding["check"] == "not-markov" else finding["what"].rstrip(".")
    return f"{finding['where']}: {what}."


def counted(n: int, noun: str) -> str:
    """Return ``1 error`` or ``12 errors``."""
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"
