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
    for question in questions:
        question["repeats"] = _repeats(question, questions)
    mains = [question["main"] for question in questions]
    others = [one for question in questions for one in question["estimates"][1:]]
    return {
        "questions": questions,
        "n_estimates": len(mains) + len(others),
        "n_trusted": sum(one["trusted"] for one in mains + others),
        "reasons": grouped(mains, "reasons"),
        "other_reasons": grouped(others, "reasons"),
        "notes": grouped(mains + others, "notes"),
        "support": _first(mains, "support"),
        "supported": _supported(_first(mains, "support") or {}),
        "weights": _weights(mains + others),
        "overlap": _first(mains, "overlap"),
        "problems": list(answers.problems),
    }


def heading(data: ReportData) -> dict[str, Any] | None:
    """Return what holds for the off-policy evaluation of all policies; None where there was none."""
    judged = [(policy.name, policy.offline) for policy in data.policies if policy.offline is not None]
    if not judged:
        return None
    found = [one for _, answers in judged for one in answers.estimates]
    logged = [estimate(one) for one in judged[0][1].logged]
    return {
        "on": data.evaluated_on,
        "episodes": found[0].n_episodes,
        "horizon": found[0].horizon,
        "confidence": found[0].confidence,
        "discount": min(one.discount for one in found),  # a probability has none
        "assurances": {name: words for name, words in ASSURANCES.items() if name in {one.assurance for one in found}},
        "logged": logged,
        "n_estimates": len(found),
        "n_untrusted": sum(not one.trusted for one in found),
        "self_tests": _self_tests(found),
        "history": _history(found),
        "notes": _shared_notes([answers.estimates for _, answers in judged]),
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
        "quantity": words_of(found.of)["words"],
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
    words = {"return": "return", "cost": f"sum of “{question.cost}”", "probability": f"any “{question.cost}”"}
    shown = words[question.kind]
    where = "of an episode" if question.kind == "return" else "in an episode"
    return {
        "of": of,
        "kind": question.kind,
        "cost": question.cost,
        "words": shown,
        "title": f"{shown[0].upper()}{shown[1:]} {where}",
        "unit": {"return": "reward units", "cost": "cost units", "probability": "share of episodes"}[question.kind],
        "higher_is_better": question.higher_is_better,
    }


def grouped(estimates: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return sentences once each, with the questions and methods that they are about."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    asked = {one["of"] for one in estimates}
    for one in estimates:
        for text in one[key]:
            found.setdefault(text, []).append(one)
    return [
        {
            "text": text,
            "about": list(dict.fromkeys(one["quantity"] for one in ones)),
            "about_all": {one["of"] for one in ones} == asked,
            "by": list(dict.fromkeys(one["method"] for one in ones)),
            "methods": list(dict.fromkeys(one["name"] for one in ones)),
        }
        for text, ones in found.items()
    ]


def _self_tests(found: Sequence[Estimate]) -> list[dict[str, Any]]:
    """Return the self-test of each question: it is about the log, and the same for all policies."""
    tests = {one.of: one.diagnostics["self_test"] for one in reversed(found) if one.diagnostics.get("self_test")}
    asked = [of for of in dict.fromkeys(one.of for one in found) if of in tests]
    nothing = {"observed": None, "reproduced": None, "z": None, "p_value": None, "cause": None, "verdict": "not run"}
    return [{"of": of, "quantity": words_of(of)["words"], **nothing, **tests[of]} for of in asked]


def _history(found: Sequence[Estimate]) -> list[dict[str, Any]]:
    """Return what was tested of the history: it is about the log, and the same for all."""
    facts: Mapping[str, Any] = next((one.diagnostics["history"] for one in found if one.diagnostics.get("history")), {})
    names = {
        "observation": ("the next observation", "what came before"),
        "action": ("the action", "what came before"),
        "time": ("the reward, the costs and the end", "the time in the episode"),
    }
    nothing = {"tested": False, "found": False, "gain": None, "p_value": None}
    return [
        {"about": about, **nothing, "history": history, **facts[name]}
        for name, (about, history) in names.items()
        if name in facts
    ]


def _shared_notes(by_policy: Sequence[Sequence[Estimate]]) -> list[dict[str, Any]]:
    """Return the notes that every policy has: they are about the log or a method, and are said once."""
    if len(by_policy) < 2:
        return []
    held = [{note for one in found for note in one.notes} for found in by_policy]
    every = grouped([estimate(one) for found in by_policy for one in found], "notes")
    return [note for note in every if all(note["text"] in notes for notes in held)]


def _supported(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return in words what is known of the log's support; shares but for the last, a number of steps."""
    words = {
        "seldom": "steps where less than one logged row was expected, beyond twice what the logger does",
        "few": "the same, where less than three were expected",
        "clipped": "steps so much more frequent than the logger’s that their weight is cut",
        "left": "episodes that ever take a step of the first kind",
        "estimable_steps": "steps of an episode that the log can tell about",
    }
    return [{"fact": name, "words": text, "value": facts[name]} for name, text in words.items() if name in facts]


def _repeats(question: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the sum of a cost is its probability: then no episode has more than one, and a picture is enough."""
    if question["kind"] != "cost":
        return False
    shares = [one for one in questions if one["kind"] == "probability" and one["cost"] == question["cost"]]
    return any(_same(one["main"], question["main"]) and _same(one["logged"], question["logged"]) for one in shares)


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    if one is None or other is None or one["value"] is None or other["value"] is None:
        return False
    return one["trusted"] == other["trusted"] and math.isclose(one["value"], other["value"], abs_tol=1e-9)


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
