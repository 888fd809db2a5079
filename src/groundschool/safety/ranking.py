"""Ranking candidates by what is known of them: the lower bound of return, subject to upper bounds of costs.

Pure rules on numbers; nothing here trains or estimates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from groundschool.evaluation.intervals import finite_or_none
from groundschool.safety.constraints import Constraint

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
    value : float
        NaN where the candidate could not be trained.
    lower, upper : float
        One-sided bounds; the whole possible range where the estimate is not trusted.
    trusted : bool
    reasons : tuple of str
        Why it is not.
    """

    candidate: str
    split: int
    of: str
    value: float
    lower: float
    upper: float
    trusted: bool
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "candidate": self.candidate,
            "split": self.split,
            "of": self.of,
            **_numbers(self),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Average:
    """One question on one candidate over all splits.

    Attributes
    ----------
    value, lower, upper : float
        Means over the splits whose estimates are trusted. Where those are not the majority: the mean of all values, and
        the widest bounds.
    trusted : bool
        Whether most splits trust theirs.
    splits : int
        How many do.
    """

    value: float
    lower: float
    upper: float
    trusted: bool
    splits: int

    @classmethod
    def over(cls, judgements: Sequence[Judgement]) -> Average:
        """Average what the splits say."""
        good = [one for one in judgements if one.trusted]
        if 2 * len(good) > len(judgements):
            value, lower, upper = (
                math.fsum(getattr(one, name) for one in good) / len(good) for name in ("value", "lower", "upper")
            )
            return cls(value, lower, upper, True, len(good))
        values = [one.value for one in judgements if not math.isnan(one.value)]
        return cls(
            value=math.fsum(values) / len(values) if values else math.nan,
            lower=min(one.lower for one in judgements),
            upper=max(one.upper for one in judgements),
            trusted=False,
            splits=len(good),
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**_numbers(self), "splits": self.splits}


@dataclass(frozen=True)
class Standing:
    """A candidate's place.

    Attributes
    ----------
    candidate : str
    rank : int
        From 1.
    status : "feasible", "infeasible" or "untrusted"
        "infeasible" has trusted estimates that do not show that all limits are kept.
    answers : mapping of str to Average
        By question; "return" first.
    excess : float
        How far the worst upper bound of a cost is above its limit, as a share of the limit.
    reasons : tuple of str
        Why estimates are not trusted, each once.
    """

    candidate: str
    rank: int
    status: Status
    answers: Mapping[str, Average]
    excess: float
    reasons: tuple[str, ...]

    @property
    def lower(self) -> float:
        """The lower bound of return."""
        return self.answers["return"].lower

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "candidate": self.candidate,
            "rank": self.rank,
            "status": self.status,
            "answers": {of: average.to_json() for of, average in self.answers.items()},
            "excess": finite_or_none(self.excess),
            "reasons": list(self.reasons),
        }


def rank(judgements: Sequence[Judgement], constraints: Sequence[Constraint] = ()) -> tuple[Standing, ...]:
    """Order candidates.

    First those whose trusted upper bounds are within all limits, by the lower bound of return, largest first. Then
    those whose trusted bounds are not, by how far the worst of them exceeds its limit, least first; then by the lower
    bound of return. Last those without trusted estimates, by the same two rules on the estimates themselves, which
    only says where to look. Ties keep the order in which candidates first occur in `judgements`.

    Parameters
    ----------
    judgements : sequence of Judgement
        For every candidate "return" and each constraint's question, by split.
    constraints : sequence of Constraint

    Returns
    -------
    tuple of Standing
        The first is the best.
    """
    by_candidate: dict[str, dict[str, list[Judgement]]] = {}
    for one in judgements:
        by_candidate.setdefault(one.candidate, {}).setdefault(one.of, []).append(one)
    rows = []
    for name, by_question in by_candidate.items():
        answers = {of: Average.over(found) for of, found in by_question.items()}
        trusted = all(average.trusted for average in answers.values())
        excess = max((limit.excess(answers[limit.of].upper) for limit in constraints), default=0.0)
        status: Status = "untrusted" if not trusted else "feasible" if excess == 0.0 else "infeasible"
        reasons = tuple(dict.fromkeys(text for found in by_question.values() for one in found for text in one.reasons))
        rows.append(Standing(name, 0, status, answers, excess, reasons))
    rows.sort(key=lambda row: _key(row, constraints))
    return tuple(
        Standing(row.candidate, place, row.status, row.answers, row.excess, row.reasons)
        for place, row in enumerate(rows, start=1)
    )


def _key(row: Standing, constraints: Sequence[Constraint]) -> tuple[float, float, float]:
    if row.status != "untrusted":
        return _ORDER[row.status], row.excess, -row.lower
    value = row.answers["return"].value
    guess = max((limit.excess(row.answers[limit.of].value) for limit in constraints), default=0.0)
    return _ORDER[row.status], guess, math.inf if math.isnan(value) else -value


def _numbers(one: Judgement | Average) -> dict[str, Any]:
    return {
        "value": finite_or_none(one.value),
        "lower": finite_or_none(one.lower),
        "upper": finite_or_none(one.upper),
        "trusted": one.trusted,
    }
