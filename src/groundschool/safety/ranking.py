"""Ranking candidates by what is known of them: cautious returns, subject to upper bounds of costs.

Pure rules on numbers; nothing here trains or estimates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from groundschool.evaluation.intervals import finite_or_none
from groundschool.safety.constraints import Constraint
from groundschool.safety.examination import Answer

Status = Literal["feasible", "infeasible", "untrusted"]
_ORDER: dict[Status, int] = {"feasible": 0, "infeasible": 1, "untrusted": 2}


@dataclass(frozen=True)
class Judgement:
    """What one split says about one question on one candidate.

    Attributes
    ----------
    candidate : str
    split : int
        From 0.
    of : str
        "return", "probability:NAME" or "cost:NAME".
    answer : Answer
        Without a value where the candidate could not be trained.
    """

    candidate: str
    split: int
    of: str
    answer: Answer

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "candidate": self.candidate,
            "split": self.split,
            "of": self.of,
            **_numbers(self.answer),
            "trusted": self.answer.trusted,
            "concentrated": self.answer.concentrated,
            "reasons": list(self.answer.reasons),
            "cautious": None if self.answer.cautious is None else finite_or_none(self.answer.cautious),
        }


@dataclass(frozen=True)
class Average:
    """One question on one candidate over all splits.

    Attributes
    ----------
    value, lower, upper : float
        Means over all splits, the doubted ones as claimed, so that nobody is judged on friendlier halves than others.
    trusted : int
        Splits whose estimate is trusted.
    concentrated : int
        Splits whose estimate is doubted only because few logged episodes speak for the policy.
    splits : int
    cautious : float
        What candidates are compared by.
    """

    value: float
    lower: float
    upper: float
    trusted: int
    concentrated: int
    splits: int
    cautious: float

    @classmethod
    def over(cls, answers: Sequence[Answer]) -> Average:
        """Average what the splits say; one without an estimate leaves none."""
        n = len(answers)
        return cls(
            value=sum(one.value for one in answers) / n,
            lower=sum(one.lower for one in answers) / n,
            upper=sum(one.upper for one in answers) / n,
            trusted=sum(one.trusted for one in answers),
            concentrated=sum(one.concentrated for one in answers),
            splits=n,
            cautious=sum(one.lower if one.cautious is None else one.cautious for one in answers) / n,
        )

    def relied_on(self, *, strict: bool) -> bool:
        """Whether most splits trust their estimate, or, unless strict, have no doubt but that few episodes speak."""
        good = self.trusted + (0 if strict else self.concentrated)
        return 2 * good > self.splits and not math.isnan(self.value)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        counts = {"trusted": self.trusted, "concentrated": self.concentrated, "splits": self.splits}
        return {**_numbers(self), "cautious": finite_or_none(self.cautious), **counts}


@dataclass(frozen=True)
class Standing:
    """A candidate's place.

    Attributes
    ----------
    candidate : str
    rank : int
        From 1.
    status : "feasible", "infeasible" or "untrusted"
        "infeasible": there are estimates to rely on, and they do not show that all limits are kept.
    answers : mapping of str to Average
        By question; "return" first.
    excess : float
        How far the worst upper bound of a cost is above its limit, as a share of the limit.
    reasons : tuple of str
        Why estimates are not trusted, in whatever split, each once.
    """

    candidate: str
    rank: int
    status: Status
    answers: Mapping[str, Average]
    excess: float
    reasons: tuple[str, ...]

    @property
    def value(self) -> float:
        """The estimate of return."""
        return self.answers["return"].value

    @property
    def lower(self) -> float:
        """The lower bound of return."""
        return self.answers["return"].lower

    @property
    def cautious(self) -> float:
        """The cautious return."""
        return self.answers["return"].cautious

    @property
    def trusted(self) -> bool:
        """Whether most splits trust every estimate."""
        return all(average.relied_on(strict=True) for average in self.answers.values())

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "candidate": self.candidate,
            "rank": self.rank,
            "status": self.status,
            "trusted": self.trusted,
            "answers": {of: average.to_json() for of, average in self.answers.items()},
            "excess": finite_or_none(self.excess),
            "reasons": list(self.reasons),
        }


def rank(
    judgements: Sequence[Judgement], constraints: Sequence[Constraint] = (), *, strict: bool = False
) -> tuple[Standing, ...]:
    """Order candidates.

    1. Those whose upper bounds are within all limits, by the cautious return, largest first.
    2. Those whose bounds are not, by how far the worst of them exceeds its limit, least first; then by the cautious
       return.
    3. Those without estimates to rely on, by the same rules on the estimates themselves, which only says where to look.

    An estimate of a cost is relied on where most splits trust it. So is one of return; and, unless `strict`, where most
    splits either trust it or doubt it only because few logged episodes speak for the policy: such an estimate is noisy,
    and its bound is wide for that, but it is not blind to where the policy goes. A candidate that could not be trained
    in some split has none. Ties keep the order in which candidates first occur.

    Parameters
    ----------
    judgements : sequence of Judgement
        For every candidate "return" and each constraint's question, by split.
    constraints : sequence of Constraint
    strict : bool

    Returns
    -------
    tuple of Standing
        The first is the best.
    """
    by_candidate: dict[str, dict[str, list[Answer]]] = {}
    for one in judgements:
        by_candidate.setdefault(one.candidate, {}).setdefault(one.of, []).append(one.answer)
    rows = [_standing(name, found, constraints, strict) for name, found in by_candidate.items()]
    rows.sort(key=lambda row: _key(row, constraints))
    return tuple(dataclasses.replace(row, rank=place) for place, row in enumerate(rows, start=1))


def _standing(
    name: str, found: Mapping[str, Sequence[Answer]], constraints: Sequence[Constraint], strict: bool
) -> Standing:
    answers = {of: Average.over(each) for of, each in found.items()}
    known = all(average.relied_on(strict=strict or of != "return") for of, average in answers.items())
    excess = max((limit.excess(answers[limit.of].upper) for limit in constraints), default=0.0)
    status: Status = "untrusted" if not known else "feasible" if excess == 0.0 else "infeasible"
    reasons = tuple(dict.fromkeys(text for each in found.values() for one in each for text in one.reasons))
    return Standing(name, 0, status, answers, excess, reasons)


def _key(row: Standing, constraints: Sequence[Constraint]) -> tuple[float, float, float]:
    if row.status != "untrusted":
        return _ORDER[row.status], row.excess, -row.cautious
    guess = max((limit.excess(row.answers[limit.of].value) for limit in constraints), default=0.0)
    return _ORDER[row.status], guess, math.inf if math.isnan(row.value) else -row.value


def _numbers(one: Answer | Average) -> dict[str, Any]:
    return {
        "value": finite_or_none(one.value),
        "lower": finite_or_none(one.lower),
        "upper": finite_or_none(one.upper),
    }
