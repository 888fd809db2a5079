"""One log, many questions: what depends on the log alone is worked out once."""

from __future__ import annotations

import dataclasses
import inspect
import math
from functools import cached_property
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError, suggest, whole_number
from groundschool.evaluation import pairing
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.behavior import resolve_behavior
from groundschool.evaluation.diagnostics.agreement import ALARM, COMPARED, LEAST_EFFECTIVE, agreement
from groundschool.evaluation.diagnostics.history import history_signs
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.diagnostics.self_test import self_test
from groundschool.evaluation.diagnostics.weights import weight_diagnosis
from groundschool.evaluation.estimate import Bounds, Diagnosis, Estimate, Estimation, one_sided_tail
from groundschool.evaluation.estimators import METHODS, estimator
from groundschool.evaluation.pose import Behavior, Censoring, pose
from groundschool.evaluation.problem import Problem
from groundschool.evaluation.question import Question
from groundschool.evaluation.states import count_states

_MOST_COMPARED = 1_000_000  # rows up to which other estimators are asked too

Cases = tuple[tuple[Problem, Estimation], ...]  # what was asked, and answered: the worst case last, where there are two


class Evaluator:
    """Off-policy evaluation of any number of policies on one log.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    behavior : Policy, optional
        The policy that wrote the log; by default the logged propensities, or a model of them.
    discount : float
        In (0, 1].
    seed : int
    """

    def __init__(self, log: Dataset, *, behavior: Any = None, discount: float = 1.0, seed: int = 0) -> None:
        if not isinstance(log, Dataset):
            raise InputError(
                f"log is a {type(log).__name__}, expected a Dataset. Read it with groundschool.read, or make one with "
                "Dataset.from_arrays."
            )
        if not log.is_discrete:
            raise InputError("the log has continuous actions, and only discrete actions can be evaluated so far.")
        self.log = log
        self.discount = _discount(discount)
        self.seed = whole_number(seed, "seed", 0)
        self._given = behavior
        self._self_tests: dict[Question, Diagnosis] = {}

    @cached_property
    def behavior(self) -> Behavior:
        """The logger's probabilities: given, logged or estimated."""
        return resolve_behavior(self.log, self._given, seed=self.seed)

    @cached_property
    def history(self) -> Diagnosis:
        """Signs that the observation does not hold all that matters."""
        return history_signs(self.log, known=self.behavior.known, seed=self.seed)

    @cached_property
    def counted(self) -> bool:
        """Whether there are few enough distinct observations to be counted as states."""
        return count_states(self.log.observations, self.log.action_masks) is not None

    def self_test(self, question: Question) -> Diagnosis:
        """Return whether evaluating the logger reproduces what it was seen to do."""
        if question not in self._self_tests:
            self._self_tests[question] = self_test(self.log, question, self.behavior, seed=self.seed)
        return self._self_tests[question]

    def evaluate(
        self, policy: Any, *, of: str = "return", method: str = "auto", confidence: float = 0.95, **options: Any
    ) -> Estimate:
        """Estimate one number about one policy; parameters and errors as in `groundschool.evaluate`."""
        question = Question.parse(of, self.log)
        if question.kind == "probability" and self.discount != 1.0:
            raise InputError(f"of={of!r}: a probability has no discount. Use discount=1, or ask for the cost.")
        one_sided_tail(confidence)
        name, choice = self._choose(method)
        settings = _checked(name, options, self.seed)
        cases, found = self._answer(policy, question, name, settings)
        possible = question.possible(self.log, self.discount)
        diagnoses = self._diagnoses(policy, question, name, cases)
        found = dataclasses.replace(found, notes=(*choice, *found.notes))
        return self._judged(of, policy, name, found, diagnoses, possible, confidence)

    def gain(
        self, policy: Any, *, assurance: str = "finite-sample", confidence: float = 0.95, **options: Any
    ) -> Estimate:
        """Estimate how much more return a policy gets than the logger; as in `groundschool.gain`."""
        one_sided_tail(confidence)
        question = Question.parse("return", self.log)
        low, high = question.possible(self.log, self.discount)
        name, choice = self._choose(pairing.method_of(assurance, self.log, self.discount))
        settings = _checked(name, options, self.seed)
        cases, found = self._answer(policy, question, name, settings)
        found = pairing.paired(assurance, cases, found, settings)
        found = dataclasses.replace(found, notes=(*choice, *found.notes))
        diagnoses = self._diagnoses(policy, question, name, cases)
        return self._judged("gain", policy, name, found, diagnoses, (low - high, high - low), confidence)

    def _judged(
        self,
        of: str,
        policy: Any,
        name: str,
        found: Estimation,
        diagnoses: list[Diagnosis],
        possible: tuple[float, float],
        confidence: float,
    ) -> Estimate:
        """Put together what was found, and take the bounds back where anything speaks against them."""
        tail = one_sided_tail(confidence) / 2.0
        reasons = (*found.reasons, *(reason for d in diagnoses for reason in d.reasons))
        notes = (*found.notes, *(note for d in diagnoses for note in d.notes))
        bounds: Bounds = found.bounds if not reasons else lambda tail: possible
        claimed, (lower, upper) = found.bounds(tail), bounds(tail)
        facts = {d.name: dict(d.facts) for d in diagnoses}
        ess = found.diagnostics.get("ess", facts.get("weights", {}).get("ess", math.nan))
        return Estimate(
            of=of,
            policy=policy_name(policy),
            method=name,
            value=float(found.value),
            lower=float(lower),
            upper=float(upper),
            standard_error=float(found.standard_error),
            confidence=float(confidence),
            assurance=found.assurance,
            interval=found.interval,
            discount=self.discount,
            horizon=self.log.horizon,
            n_episodes=self.log.n_episodes,
            ess=math.nan if ess is None else float(ess),
            trusted=not reasons,
            reasons=tuple(dict.fromkeys(reasons)),
            notes=tuple(dict.fromkeys(notes)),
            diagnostics={
                "claimed": {"lower": float(claimed[0]), "upper": float(claimed[1])},
                **found.diagnostics,
                **facts,
            },
            possible=possible,
            bounds=bounds,
            values=found.values,
            forecast=found.forecast,
        )

    def _choose(self, method: str) -> tuple[str, tuple[str, ...]]:
        if method != "auto":
            estimator(method)
            return method, ()
        if not self.counted:
            return "dr", (
                "Chosen by rule: per-decision doubly robust, for observations that are measured and cannot be counted.",
            )
        if self.history.facts.get("observation", {}).get("found"):
            return "dr", (
                "Chosen by rule: per-decision doubly robust, since the history predicts what the observation does not, "
                "and this estimator weighs whole histories.",
            )
        return "marginal_dr", (
            "Chosen by rule: marginal doubly robust, for observations that can be counted and show no sign of a hidden "
            "state.",
        )

    def _answer(self, policy: Any, question: Question, name: str, settings: dict[str, Any]) -> tuple[Cases, Estimation]:
        """Ask the estimator; twice, for the best and the worst case, where episodes were cut and a sum is bounded."""

        def asked(censoring: Censoring) -> tuple[Problem, Estimation]:
            problem = pose(self.log, policy, question, self.behavior, discount=self.discount, censoring=censoring)
            return problem, estimator(name)(problem, **settings)

        low, high = question.possible(self.log, self.discount)
        if self._cut and math.isfinite(low) and math.isfinite(high):
            cases: Cases = (asked("low"), asked("high"))
            found = _worst_of(cases[0][1], cases[1][1], self._cut, cases[1][0])
        else:
            cases = (asked("open"),)
            found = cases[0][1]
        if METHODS[name].propensities and not self.behavior.known:
            why = "The log has no propensities: they"
            if self._given is not None:
                why = "The policy given as behavior= was trained on this log and did not write it: propensities"
            note = f"{why} were estimated from it, so the assurance is heuristic."
            found = dataclasses.replace(found, assurance="heuristic", notes=(*found.notes, note))
        return cases, found

    @cached_property
    def _cut(self) -> int:
        """How many episodes were cut before the horizon."""
        log = self.log
        return int((~log.terminated[log.starts[1:] - 1] & (log.lengths < log.horizon)).sum())

    def _diagnoses(self, policy: Any, question: Question, name: str, cases: Cases) -> list[Diagnosis]:
        """Return what is looked at for every estimate; what does not speak against this method is kept as facts."""
        method, looks, problem = METHODS[name], [], cases[-1][0]
        if method.target:
            weights = weight_diagnosis(problem)
            looks += [overlap(self.log, policy), _if(method.weights, weights)]
            if (
                self.behavior.known
                and name in COMPARED
                and weights.facts["ess"] >= LEAST_EFFECTIVE
                and problem.n_rows <= _MOST_COMPARED
            ):
                looks.append(_agreement(name, cases))
        if method.propensities:
            looks.append(self.self_test(question))
        if method.target:
            confounded = not self.behavior.known and self.history.facts.get("action", {}).get("found")
            looks.append(_if(method.markov or bool(confounded), self.history))
        return looks


def _worst_of(least: Estimation, most: Estimation, cut: int, problem: Problem) -> Estimation:
    """Put together what is known if cut episodes came to the least, and if they came to the most."""
    return dataclasses.replace(
        most,
        value=(least.value + most.value) / 2.0,
        standard_error=max(least.standard_error, most.standard_error),
        bounds=lambda tail: (least.bounds(tail)[0], most.bounds(tail)[1]),
        values=None if least.values is None or most.values is None else (least.values + most.values) / 2.0,
        forecast=None,
        reasons=tuple(dict.fromkeys((*least.reasons, *most.reasons))),
        diagnostics={
            **most.diagnostics,
            "censored": {"episodes": cut, "value_if_least": least.value, "value_if_most": most.value},
        },
        notes=(
            *most.notes,
            f"{cut:,} of {problem.n_episodes:,} episodes were cut before the horizon of {problem.horizon} steps. The "
            f"bounds hold whatever would have happened in them; the value is halfway between {least.value:.4g} and "
            f"{most.value:.4g}.",
        ),
    )


def _agreement(name: str, cases: Cases) -> Diagnosis:
    """Compare with other estimators of the same number: a cut log's best and worst case are two."""
    looks = []
    for problem, found in cases:
        others = {other: estimator(other)(problem) for other in ("dr", "pdis") if other != name}
        looks.append(agreement(problem, {name: found, **others}, alarm=ALARM / len(cases)))
    if len(looks) == 1:
        return looks[0]
    return dataclasses.replace(
        looks[-1],
        facts={
            "level": ALARM,
            "compared": [
                {"case": case, **pair}
                for case, look in zip(("least", "most"), looks, strict=True)
                for pair in look.facts["compared"]
            ],
            "left_out": {key: why for look in looks for key, why in look.facts["left_out"].items()},
        },
        reasons=tuple(reason for look in looks for reason in look.reasons),
        notes=tuple(note for look in looks for note in look.notes),
    )


def _if(counts: bool, found: Diagnosis) -> Diagnosis:
    """Keep a diagnosis as facts alone where it does not speak against the method."""
    return found if counts else dataclasses.replace(found, reasons=(), notes=())


def _checked(name: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    known = [key for key in inspect.signature(estimator(name)).parameters if key != "problem"]
    for key in options:
        if key not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"{key} is not an option of method {name!r}.{suggest(key, known)} It has: {there}.")
    return {**({"seed": seed} if "seed" in known else {}), **options}


def _discount(discount: float) -> float:
    if isinstance(discount, bool) or not isinstance(discount, int | float | np.number) or not 0.0 < discount <= 1.0:
        raise InputError(f"discount is {discount!r}, expected a number above 0 and at most 1.")
    return float(discount)
