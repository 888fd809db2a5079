"""Off-policy estimates in words: for a reader who knows no reinforcement learning; made from the report's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundschool.report.words import estimate, number, percent, rate, rounded

_WOULD = {
    "return": "It would earn {value} an episode",
    "probability": "It would meet {cost} in {value} of episodes",
    "cost": "{cost} would add up to {value} an episode",
}
_UNKNOWN = {
    "return": "What it would earn cannot be told from these episodes",
    "probability": "How often it would meet {cost} cannot be told from these episodes",
    "cost": "What {cost} would add up to cannot be told from these episodes",
}
_LOGGED = {
    "return": "The logger earned {value} there",
    "probability": "The logger’s own rate there: {value}",
    "cost": "The logger’s own sum there: {value}",
}


def sentences(question: Mapping[str, Any]) -> str:
    """Return what is known about one question: the estimate, the logger beside it, and the truth where it is known."""
    said = [_answer(question), _beside(question), _checked(question)]
    return " ".join(sentence for sentence in said if sentence)


def shortly(judged: Mapping[str, Any]) -> str:
    """Return one sentence on all questions but the sums of costs, for the head of the report."""
    parts = []
    for question in judged["questions"]:
        if question["kind"] == "cost":
            continue
        main, name = question["main"], "return" if question["kind"] == "return" else question["cost"]
        if not main["trusted"]:
            parts.append(f"{name} cannot be told")
        elif main["bound"]["value"] is None:
            parts.append(f"{name} {value(main)}")
        else:
            parts.append(f"{name} {value(main)}, {bound(main)}")
    return f"From the log alone: {'; '.join(parts)}." if parts else ""


def is_share(one: Mapping[str, Any]) -> bool:
    """Say whether an estimate is of a probability."""
    return str(one["of"]).startswith("probability:")


def value(one: Mapping[str, Any], other: float | None = None) -> str:
    """Return an estimate's value, or another number of the same quantity, as its interval deserves."""
    shown = one["value"] if other is None else other
    return percent(shown) if is_share(one) else rounded(shown, one)


def interval(one: Mapping[str, Any]) -> str:
    """Return value and two-sided interval."""
    return rate(one) if is_share(one) else estimate(one)


def bound(one: Mapping[str, Any]) -> str:
    """Return the one-sided bound that matters: ``at most 6.9 %``."""
    if one["bound"]["value"] is None:
        return "no bound"
    return f"{'at least' if one['bound']['side'] == 'lower' else 'at most'} {value(one, one['bound']['value'])}"


def reliable(one: Mapping[str, Any]) -> str:
    """Return what may be relied on of an estimate that is not trusted."""
    low, high = one["lower"], one["upper"]
    if low is None and high is None:
        return "nothing"
    form = (lambda end: percent(end, 0)) if is_share(one) else number
    if low is None or high is None:
        return f"at most {form(high)}" if low is None else f"at least {form(low)}"
    return f"{form(low)} to {form(high)}"


def _answer(question: Mapping[str, Any]) -> str:
    main, cost = question["main"], f"“{question['cost']}”"
    if not main["trusted"]:
        unknown = _UNKNOWN[question["kind"]].format(cost=cost)
        ignored = "" if main["value"] is None else f" The method’s own figure, {value(main)}, is not to be relied on."
        reliable_part = reliable(main)
        left = "no bound" if reliable_part == "nothing" else f"only {reliable_part}"
        return f"{unknown}: {left} may be relied on.{ignored}"
    text = _WOULD[question["kind"]].format(cost=cost, value=value(main))
    if main["bound"]["value"] is None:
        side = "upwards" if main["bound"]["side"] == "upper" else "downwards"
        return f"{text}; the data do not bound it {side} ({main['assurance']})."
    return f"{text}: {bound(main)} with {percent(main['confidence'], 0)} confidence ({main['assurance']})."


def _beside(question: Mapping[str, Any]) -> str:
    logged, main = question["logged"], question["main"]
    if logged is None:
        return ""
    text = _LOGGED[question["kind"]].format(value=interval(logged))
    compared = _apart(main, logged) if main["trusted"] and logged["trusted"] else ""
    return f"{text}{compared}."


def _apart(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    def beyond(lower: float | None, upper: float | None) -> bool:
        return lower is not None and upper is not None and lower > upper

    if beyond(ours["lower"], theirs["upper"]):
        return "; the policy’s is higher (intervals apart)"
    if beyond(theirs["lower"], ours["upper"]):
        return "; the policy’s is lower (intervals apart)"
    return "; the two cannot be told apart (intervals overlap)"


def _checked(question: Mapping[str, Any]) -> str:
    exact, rolled = question["exact"], question["rollout"]
    if exact is not None:
        where = {None: "", True: ", inside the interval", False: ", outside the interval"}[question["inside"]]
        return f"Exactly, in the model: {value(question['main'], exact)}{where}."
    if rolled is not None:
        shown = rate(rolled) if question["kind"] == "probability" else estimate(rolled)
        return f"In {number(rolled['episodes'])} rollouts: {shown}."
    return ""


FILTERS = {
    "sentences": sentences,
    "value_of": value,
    "interval_of": interval,
    "bound_of": bound,
    "reliable_of": reliable,
}
"""What the page's template says about estimates, by name."""
