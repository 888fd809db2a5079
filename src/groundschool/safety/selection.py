"""Choosing among candidates from a log alone, nobody being judged on what it studied.

Split, select, retrain (Nie et al. 2022, arXiv:2210.08642): the log is halved several times, every candidate is trained
on one half and evaluated offline on the other, and the candidate that stands best on average is trained anew on the
whole. What is ranked are ways to make a policy; the policy that is handed out was itself judged by nobody yet.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import DivergenceError, InputError, whole_number
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.evaluator import Evaluator
from groundschool.safety.candidates import LOGGER, Candidate, Candidates
from groundschool.safety.constraints import Constraint, checked_constraints
from groundschool.safety.examination import Answer, Examination, Examiner
from groundschool.safety.ranking import Judgement, Standing, rank
from groundschool.safety.reasoning import explain


@dataclass(frozen=True, eq=False)
class Selection:
    """Which candidate was chosen, why, and everything that was seen of the others.

    Attributes
    ----------
    chosen : str
        A candidate, or "logger": keep the policy that wrote the log.
    feasible : bool
        Whether the bounds show that the chosen one keeps all limits. Where they do for nobody, the chosen one is the
        least violating.
    policy : Policy or None
        The chosen candidate, trained on the whole log; None for the logger.
    why : tuple of str
        Whole sentences.
    standings : tuple of Standing
        Everybody in order, the logger among them.
    judgements : tuple of Judgement
        Everybody in every split.
    judged : (splits, E) bool
        Which episodes each split judged on; candidates studied the others.
    constraints : tuple of Constraint
    seed : int
    strict : bool
    log : str
        Fingerprint of the log.
    confidence : float
        One-sided, of each bound by itself. The best of many bounds is no longer a bound.
    discount : float
        Of return; costs are not discounted.
    method : str
    """

    chosen: str
    feasible: bool
    policy: Any
    why: tuple[str, ...]
    standings: tuple[Standing, ...]
    judgements: tuple[Judgement, ...]
    judged: NDArray[np.bool_] = field(repr=False)
    constraints: tuple[Constraint, ...]
    seed: int
    strict: bool
    log: str
    confidence: float
    discount: float = 1.0
    method: str = "auto"

    def __str__(self) -> str:
        return " ".join(self.why)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; what is infinite or undefined is None. No identity of an episode is in it."""
        return {
            "chosen": self.chosen,
            "feasible": self.feasible,
            "why": list(self.why),
            "standings": [standing.to_json() for standing in self.standings],
            "judgements": [judgement.to_json() for judgement in self.judgements],
            "splits": [{"judged": int(row.sum()), "studied": int((~row).sum())} for row in self.judged],
            "constraints": [constraint.to_json() for constraint in self.constraints],
            "method": self.method,
            "confidence": self.confidence,
            "discount": self.discount,
            "seed": self.seed,
            "strict": self.strict,
            "log": self.log,
        }


def select(
    log: Dataset,
    candidates: Mapping[str, Candidate],
    *,
    constraints: Sequence[Constraint] = (),
    splits: int = 5,
    confidence: float = 0.95,
    seed: int = 0,
    discount: float = 1.0,
    method: str = "auto",
    behavior: Any = None,
    strict: bool = False,
) -> Selection:
    """Choose among candidates by cautious returns, subject to upper bounds of costs, and retrain the choice.

    In each split every candidate is trained on half of the log and judged on the other half (the second split swaps the
    halves of the first, and so on). Those whose upper bounds of costs are within the limits are ranked by a cautious
    return, both averaged over splits. Candidates whose estimates cannot be relied on rank behind all others.
    The logger stands among the candidates, judged on the same halves; it is chosen where nobody is better, or no other
    estimate can be relied on. `groundschool.safety.ranking.rank` has the rules in full, and
    `groundschool.safety.examination.Examination` says what caution is.

    To choose is not to certify: of many candidates the best looks better than it is, and what is handed out is trained
    anew. `evaluate` it on other episodes.

    Parameters
    ----------
    log : Dataset
        Discrete actions. Keep the episodes out of it on which the chosen policy will be certified.
    candidates : mapping of str to (callable or (algorithm, options))
        ``callable(log, seed)`` returns a policy; ``("cql", {"conservative_weight": 2.0})`` is trained by
        `groundschool.train` with these options, those that one program can train side by side as one population.
    constraints : sequence of Constraint
    splits : int
        At least 1; an even number judges every episode equally often.
    confidence : float
        From 0.75 to below 1: one-sided, of each bound.
    seed : int
        Of the halves, of the estimates, and of every candidate whose options name no other.
    discount : float
        In (0, 1], of return.
    method, behavior
        As in `groundschool.evaluate`.
    strict : bool
        Rely on trusted estimates of return alone. Otherwise one also counts that is doubted only because few logged
        episodes speak for the policy; half of a log being what it is, the best candidates are often such.

    Returns
    -------
    Selection

    Raises
    ------
    InputError
        For a candidate, a constraint or a setting that is not valid, and a log of a single episode (or group).
    """
    _check(log, constraints, confidence, discount, method)

    def examiner(part: Dataset) -> Examiner:
        return Examination(part, method=method, confidence=confidence, discount=discount, behavior=behavior, seed=seed)

    found = select_with(
        examiner,
        log,
        candidates,
        constraints=constraints,
        splits=splits,
        seed=seed,
        strict=strict,
        confidence=confidence,
    )
    return dataclasses.replace(found, discount=discount, method=method)


def select_with(
    examiner: Callable[[Dataset], Examiner],
    log: Dataset,
    candidates: Mapping[str, Candidate],
    *,
    constraints: Sequence[Constraint] = (),
    splits: int = 5,
    seed: int = 0,
    strict: bool = False,
    confidence: float = 0.95,
) -> Selection:
    """Do what `select` does, with answers from another examiner of a part of a log."""
    named, limits = Candidates(candidates), tuple(constraints)
    seed = whole_number(seed, "seed", 0)
    judged = halves(log, whole_number(splits, "splits", 1), seed)
    judgements: list[Judgement] = []
    for split, held_out in enumerate(judged):
        examined = examiner(log.select(held_out))
        policies = {LOGGER: None, **named.train(log.select(~held_out), seed)}
        for of in dict.fromkeys(("return", *(limit.of for limit in limits))):
            for name, policy in policies.items():
                judgements.append(Judgement(name, split, of, _answer(name, policy, examined, of)))
    standings = rank(judgements, limits, strict=strict)
    chosen, policy, failures = _retrained(standings, named, log, seed)
    least = int(judged.sum(axis=1).min())
    return Selection(
        chosen=chosen.candidate,
        feasible=chosen.status == "feasible",
        policy=policy,
        why=(*failures, *explain(chosen, standings, limits, episodes=least, confidence=confidence)),
        standings=standings,
        judgements=tuple(judgements),
        judged=judged,
        constraints=limits,
        seed=seed,
        strict=strict,
        log=log.fingerprint,
        confidence=confidence,
    )


def halves(log: Dataset, splits: int, seed: int) -> NDArray[np.bool_]:
    """Halve a log several times, by episode, or by group where it has groups.

    Parameters
    ----------
    log : Dataset
    splits : int
    seed : int

    Returns
    -------
    (splits, E) bool
        True for the half that is judged on. Rows 0 and 1 swap the halves of one division, 2 and 3 those of another, and
        so on; of an odd number of units the larger half is studied first.
    """
    unit = np.arange(log.n_episodes) if log.groups is None else np.unique(log.groups, return_inverse=True)[1]
    n = int(unit.max()) + 1
    if n < 2:
        what = "one episode" if log.groups is None else "episodes of one group"
        raise InputError(f"the log has {what}: selection studies one part and judges on another. Log more of them.")
    rng = np.random.default_rng([seed, 1])
    rows = []
    for _ in range(-(-splits // 2)):
        second = np.zeros(n, np.bool_)
        second[rng.permutation(n)[: n // 2]] = True
        rows += [second[unit], ~second[unit]]
    return np.stack(rows[:splits])


def _answer(name: str, policy: Any, examiner: Examiner, of: str) -> Answer:
    if name == LOGGER:
        return examiner.logger(of)
    if isinstance(policy, DivergenceError):
        return Answer(math.nan, -math.inf, math.inf, trusted=False, reasons=(str(policy),))
    return examiner.judge(policy, of)


def _retrained(
    standings: Sequence[Standing], named: Candidates, log: Dataset, seed: int
) -> tuple[Standing, Any, tuple[str, ...]]:
    """Train the best on the whole log; where it diverges, the next best."""
    failures: list[str] = []
    for standing in _eligible(standings):
        if standing.candidate == LOGGER:
            return standing, None, tuple(failures)
        policy = named.train(log, seed, only=standing.candidate)[standing.candidate]
        if not isinstance(policy, DivergenceError):
            return standing, policy, tuple(failures)
        failures.append(f"{standing.candidate!r} stood best, and diverged when trained on the whole log: {policy}")
    raise AssertionError("the logger is always eligible")


def _eligible(standings: Sequence[Standing]) -> Iterator[Standing]:
    """Yield who may be chosen, best first: nobody untrusted, and behind all others the logger."""
    trusted = [standing for standing in standings if standing.status != "untrusted"]
    yield from trusted
    yield next(standing for standing in standings if standing.candidate == LOGGER)


def _check(log: Dataset, constraints: Sequence[Constraint], confidence: float, discount: float, method: str) -> None:
    Evaluator(log, discount=discount)
    for constraint in checked_constraints(constraints):
        constraint.require(log)
    number = isinstance(confidence, int | float | np.number) and not isinstance(confidence, bool)
    if not number or not 0.75 <= confidence < 1.0:
        raise InputError(f"confidence is {confidence!r}, expected a number from 0.75 to below 1, such as 0.95.")
    if method != "auto":
        estimator(method)
