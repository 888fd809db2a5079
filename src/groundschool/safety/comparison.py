"""Ordering policies that are trained already, on episodes that none of them studied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundschool.data import Dataset
from groundschool.safety.candidates import LOGGER
from groundschool.safety.constraints import Constraint
from groundschool.safety.examination import Examination
from groundschool.safety.ranking import Judgement, Standing, rank

LEAST_CONFIDENCE = 0.75  # below, two-sided intervals of that much cannot be asked


def compare(
    part: Dataset,
    policies: Mapping[str, Any],
    *,
    constraints: Sequence[Constraint] = (),
    confidence: float = 0.95,
    discount: float = 1.0,
    method: str = "auto",
    behavior: Any = None,
    seed: int = 0,
    strict: bool = False,
) -> tuple[Standing, ...]:
    """Order policies by cautious returns, subject to upper bounds of costs, the logger among them.

    What `groundschool.select` does in each of its splits, once, with policies as they are. The first may be taken to
    the gate, on other episodes.

    Parameters
    ----------
    part : Dataset
        The selection part.
    policies : mapping of str to Policy
    constraints, confidence, discount, method, behavior, seed, strict
        As in `groundschool.select`.

    Returns
    -------
    tuple of Standing
        Everybody in order.
    """
    examined = Examination(
        part,
        method=method,
        confidence=max(confidence, LEAST_CONFIDENCE),
        discount=discount,
        behavior=behavior,
        seed=seed,
    )
    found = []
    for of in dict.fromkeys(("return", *(limit.of for limit in constraints))):
        found.append(Judgement(LOGGER, 0, of, examined.logger(of)))
        found += [Judgement(name, 0, of, examined.judge(policy, of)) for name, policy in policies.items()]
    return rank(found, constraints, strict=strict)


def best(standings: Sequence[Standing]) -> Standing:
    """Return who stands best of those that estimates speak for; where they speak for nobody, the logger."""
    known = [standing for standing in standings if standing.status != "untrusted"]
    return known[0] if known else next(standing for standing in standings if standing.candidate == LOGGER)
