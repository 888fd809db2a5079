"""Every question that a log allows, asked of policies by several methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.question import Question

BASELINE = "logged"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a log says about one policy.

    Attributes
    ----------
    estimates : tuple of Estimate
        Question by question, and for each the methods in the order they were asked for, each once.
    logged : tuple of Estimate
        What the logger itself did in the same episodes, one a question.
    problems : tuple of str
        What could not be estimated, and why: one sentence each.
    """

    estimates: tuple[Estimate, ...]
    logged: tuple[Estimate, ...]
    problems: tuple[str, ...] = ()


def questions(log: Dataset, of: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return what is asked, checked against the log: by default the return, and both questions of every cost.

    Raises
    ------
    InputError
        If a question is no question, or about a cost that the log does not have.
    """
    if of is None:
        return ("return", *(f"{kind}:{name}" for name in log.costs for kind in ("probability", "cost")))
    return tuple(dict.fromkeys(str(Question.parse(one, log)) for one in of))


def checked_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the names of methods, each once; raise `InputError` if one is not known."""
    asked = tuple(dict.fromkeys(methods))
    for name in asked:
        if name != "auto":
            estimator(name)
    return asked


def answers(
    log: Dataset,
    policies: Mapping[str, Any],
    *,
    of: Sequence[str] | None = None,
    methods: Sequence[str] = ("auto",),
    confidence: float = 0.95,
    discount: float = 1.0,
    behavior: Any = None,
    seed: int = 0,
) -> dict[str, Answers]:
    """Ask everything of every policy, and of the logger beside them.

    Parameters
    ----------
    log : Dataset
        Episodes that the policies were not trained on.
    policies : mapping of str to Policy
    of : sequence of str, optional
        As in `groundschool.evaluate`; all that the log allows unless said.
    methods : sequence of str
        As in `groundschool.evaluate`. What a method cannot answer leaves a sentence in ``problems``.
    confidence, discount, behavior, seed
        As in `groundschool.evaluate`. A probability is never discounted.

    Returns
    -------
    dict of str to Answers
        By the names of the policies.

    Raises
    ------
    InputError
        For a question, a method, a setting or a log that cannot be used.
    """
    asked, names = questions(log, of), checked_methods(methods)
    discounted = Evaluator(log, behavior=behavior, discount=discount, seed=seed)
    plain = discounted if discount == 1.0 else Evaluator(log, behavior=behavior, seed=seed)
    by_question = {one: plain if one.startswith("probability:") else discounted for one in asked}
    return {name: _about(policy, by_question, names, confidence) for name, policy in policies.items()}


def _about(policy: Any, by_question: Mapping[str, Evaluator], methods: Sequence[str], confidence: float) -> Answers:
    logged = tuple(
        evaluator.evaluate(policy, of=of, method=BASELINE, confidence=confidence)
        for of, evaluator in by_question.items()
    )
    found: dict[tuple[str, str], Estimate] = {}
    problems: list[str] = []
    for of, evaluator in by_question.items():
        for method in methods:
            try:
                estimate = evaluator.evaluate(policy, of=of, method=method, confidence=confidence)
            except InputError as error:  # a method that does not apply to this question
                problems.append(str(error))
            else:  # "auto" may have chosen what is asked for by name too
                found.setdefault((of, estimate.method), estimate)
    if not found:
        raise InputError(problems[0])
    return Answers(tuple(found.values()), logged, tuple(dict.fromkeys(problems)))
