"""What the numbers say, in plain sentences; generated, so that they cannot say more than the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundschool.report.data_section import doubts
from groundschool.report.evaluation_reading import shortly
from groundschool.report.words import estimate, number, percent, rate


def read(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return sentences as ``{"about": ..., "text": ...}``: the log, each policy, and what the log cannot say.

    Parameters
    ----------
    facts
        The report's document, without its reading.
    """
    sentences = [{"about": "The log", "text": _log(facts["log"])}]
    checked = facts["log"].get("checked")
    if checked is not None and (text := doubts(checked)):
        sentences.append({"about": "The data, checked", "text": text})
    reference = _reference(facts)
    for policy in facts["policies"]:
        before = shortly(policy["offline"]) if policy.get("offline") else ""
        if text := " ".join(part for part in (before, _policy(policy, facts["events"])) if part):
            if policy["role"] == "learned" and reference is not None and (compared := _compare(policy, reference)):
                text = f"{text} {compared}"
            sentences.append({"about": policy["name"], "text": text})
    return sentences


def _log(log: Mapping[str, Any]) -> str:
    parts = [f"return {estimate(log['return'])} an episode"]
    parts += [f"{name} in {rate(interval)} of episodes" for name, interval in _events(log).items()]
    return f"{number(log['episodes'])} episodes, {number(log['steps'])} steps: {'; '.join(parts)}."


def _events(outcome: Mapping[str, Any]) -> dict[str, Any]:
    ends = outcome["end_rates"] if "end_rates" in outcome else outcome["ends"]
    return {**outcome["probabilities"], **{name: value for name, value in ends.items() if name != "timeout"}}


def _policy(policy: Mapping[str, Any], events: list[str]) -> str:
    rollout, exact = policy["rollout"], policy["exact"]
    if rollout is None and exact is None:
        return ""
    parts = []
    if rollout is not None:
        parts.append(f"return {estimate(rollout['return'])}")
        parts += [f"{name} {rate(interval)}" for name, interval in _events(rollout).items()]
        parts[-1] += f" in {number(rollout['episodes'])} rollouts"
    if exact is not None:
        shown = [f"return {number(exact['return'], 2)}"]
        shown += [f"{name} {percent(value)}" for name, value in _events(exact).items()]
        parts.append(f"exactly, in the model: {', '.join(shown)}")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _reference(facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((policy for policy in facts["policies"] if policy["role"] == "logger"), None)


def _compare(policy: Mapping[str, Any], logger: Mapping[str, Any]) -> str:
    """Say in which direction a policy differs from the logger: by exact values, else where intervals do not overlap."""
    if policy["exact"] is not None and logger["exact"] is not None:
        ours, theirs = policy["exact"], logger["exact"]
        words = [_order(ours["return"], theirs["return"], "return")]
        words += [_order(p, theirs["probabilities"][name], name) for name, p in ours["probabilities"].items() if name in theirs["probabilities"]]  # noqa: E501  # fmt: skip
        return f"Against {logger['name']}, by exact values: {', '.join(words)}."
    mine, theirs_rolled = policy["rollout"], logger["rollout"]
    if mine is None or theirs_rolled is None:
        return ""
    words = [_apart(mine["return"], theirs_rolled["return"], "return")]
    words += [
        _apart(interval, theirs_rolled["probabilities"][name], name)
        for name, interval in mine["probabilities"].items()
        if name in theirs_rolled["probabilities"]
    ]
    return f"Against {logger['name']}, by these rollouts: {', '.join(words)}."


def _order(ours: float, theirs: float, what: str) -> str:
    if abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs)):
        return f"the same {what}"
    return f"{'higher' if ours > theirs else 'lower'} {what}"


def _apart(ours: Mapping[str, Any], theirs: Mapping[str, Any], what: str) -> str:
    bounds = (ours["lower"], ours["upper"], theirs["lower"], theirs["upper"])
    if None not in bounds and ours["lower"] > theirs["upper"]:
        return f"higher {what} (intervals apart)"
    if None not in bounds and ours["upper"] < theirs["lower"]:
        return f"lower {what} (intervals apart)"
    return f"{what} cannot be told apart (intervals overlap)"
