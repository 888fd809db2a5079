"""What the report says about policies that nobody ran: every number of its off-policy evaluation, JSON-ready."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from groundschool.evaluation.answers import BASELINE
from groundschool.evaluation.question import Kind, Question

if TYPE_CHECKING:
    from groundschool.evaluation.estimate import Estimate
    from groundschool.report.facts import PolicyFacts, ReportData

METHODS = {
    "logged": "the log itself",
    "is": "importance sampling",
    "pdis": "per-decision importance sampling",
    "wis": "weighted importance sampling",
    "pdwis": "weighted per-decision importance sampling",
    "dr": "doubly robust",
    "fqe": "fitted Q evaluation",
    "marginal_dr": "marginal doubly robust",
    "betting": "betting",
    "empirical_bernstein": "empirical Bernstein",
    "complement": "betting on the complement",
    "rejection": "rejection sampling",
    "censored_weight": "censored weights",
}
ASSURANCES = {
    "exact": "holds for any number of episodes, if they are independent",
    "finite-sample": "holds for any number of episodes, if the logged propensities and declared ranges are right",
    "asymptotic": "holds as the number of episodes grows, checked in simulations",
    "heuristic": "rests on a model, or on estimated propensities, being right",
}


def section(policy: PolicyFacts) -> dict[str, Any] | None:
    """Return everything the report shows of one policy's off-policy evaluation; None where there was none."""
    answers = policy.offline
    if answers is None:
        return None
    logged = {one.of: estimate(one) for one in answers.logged}
    asked = list(dict.fromkeys(one.of for one in answers.estimates))
    questions = []
    for of in asked:
        found = [estimate(one) for one in answers.estimates if one.of == of]
        questions.append(
            {
                **words_of(of),
                "estimates": found,
                "main": found[0],
                "logged": logged.get(of),
                "exact": _exact(policy, of),
                "rollout": _rollout(policy, of),
                "inside": _inside(found[0], _exact(policy, of)),
            }
        )
    mains = [question["main"] for question in questions]
    others = [one for question in questions for one in question["estimates"][1:]]
    return {
        "questions": questions,
        "n_estimates": len(mains) + len(others),
        "n_trusted": sum(one["trusted"] for one in mains + others),
        "reasons": grouped(mains, "reasons"),
        "other_reasons": grouped(others, "reasons"),
        "notes": grouped(mains, "notes"),
        "support": _first(mains, "support"),
        "weights": _weights(mains + others),
        "self_tests": [
            {"words": words_of(one["of"])["words"], "of": one["of"], **found}
            for one in mains
            if (found := one["diagnostics"].get("self_test"))
        ],
        "problems": list(answers.problems),
    }


def heading(data: ReportData) -> dict[str, Any] | None:
    """Return what holds for the off-policy evaluation of all policies; None where there was none."""
    judged = [(policy.name, policy.offline) for policy in data.policies if policy.offline is not None]
    if not judged:
        return None
    first = judged[0][1].estimates[0]
    found = [one for _, answers in judged for one in answers.estimates]
    return {
        "on": data.evaluated_on,
        "episodes": first.n_episodes,
        "horizon": first.horizon,
        "confidence": first.confidence,
        "discount": first.discount,
        "questions": [words_of(of) for of in dict.fromkeys(one.of for one in found)],
        "assurances": {name: ASSURANCES[name] for name in ASSURANCES if any(one.assurance == name for one in found)},
        "logged": [estimate(one) for one in judged[0][1].logged],
        "n_estimates": len(found),
        "n_untrusted": sum(not one.trusted for one in found),
    }


def estimate(found: Estimate) -> dict[str, Any]:
    """Return an estimate with its words and the one-sided bound that matters: a cost's upper, a return's lower."""
    question = asked_by(found.of)
    side = "lower" if question.higher_is_better else "upper"
    bound = found.lower_bound if side == "lower" else found.upper_bound
    one = found.to_json()
    value = bound(found.confidence)
    claimed = one["diagnostics"].get("claimed") or {}
    return {
        **one,
        "name": METHODS.get(found.method, found.method),
        "bound": {"side": side, "confidence": found.confidence, "value": value if math.isfinite(value) else None},
        "claimed": {"lower": claimed.get("lower", one["lower"]), "upper": claimed.get("upper", one["upper"])},
    }


def asked_by(of: str) -> Question:
    """Return a question that was checked against its log before."""
    kind, _, cost = of.partition(":")
    kinds: dict[str, Kind] = {"return": "return", "cost": "cost", "probability": "probability"}
    return Question(kinds[kind], cost or None)


def words_of(of: str) -> dict[str, Any]:
    """Return what is asked, in words and parts."""
    question = asked_by(of)
    name = f"“{question.cost}”"
    words = {
        "return": "return of an episode",
        "cost": f"{name}, sum of an episode",
        "probability": f"any {name} in an episode",
    }
    return {
        "of": of,
        "kind": question.kind,
        "cost": question.cost,
        "words": words[question.kind],
        "unit": {"return": "reward units", "cost": "cost units", "probability": "share of episodes"}[question.kind],
        "higher_is_better": question.higher_is_better,
    }


def grouped(estimates: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return sentences once each, with the questions and methods that they are about."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in estimates:
        for text in one[key]:
            found.setdefault(text, []).append(one)
    return [
        {
            "text": text,
            "about": list(dict.fromkeys(words_of(one["of"])["words"] for one in ones)),
            "methods": list(dict.fromkeys(one["name"] for one in ones)),
        }
        for text, ones in found.items()
    ]


def _exact(policy: PolicyFacts, of: str) -> float | None:
    if policy.exact is None:
        return None
    question = asked_by(of)
    if question.kind == "return":
        return policy.exact.return_
    of_costs = policy.exact.costs if question.kind == "cost" else policy.exact.probabilities
    return of_costs.get(str(question.cost))


def _rollout(policy: PolicyFacts, of: str) -> dict[str, Any] | None:
    if policy.rollout is None:
        return None
    question = asked_by(of)
    if question.kind == "return":
        found = policy.rollout.return_
    else:
        of_costs = policy.rollout.costs if question.kind == "cost" else policy.rollout.probabilities
        if question.cost not in of_costs:
            return None
        found = of_costs[question.cost]
    return {**found.to_json(), "episodes": policy.rollout.episodes}


def _inside(main: Mapping[str, Any], exact: float | None) -> bool | None:
    """Say whether the interval holds the exact value; only where nothing was discounted, for that has none."""
    if exact is None or not main["trusted"] or main["discount"] != 1.0:
        return None
    lower, upper = main["lower"], main["upper"]
    return bool((lower is None or lower <= exact) and (upper is None or exact <= upper))


def _first(estimates: Sequence[Mapping[str, Any]], key: str) -> Any:
    return next((one["diagnostics"][key] for one in estimates if one["diagnostics"].get(key)), None)


def _weights(estimates: Sequence[Mapping[str, Any]]) -> Any:
    """Return the weights of the first estimate that has any; those of the logger itself are all 1."""
    return _first([one for one in estimates if one["method"] != BASELINE], "weights")
