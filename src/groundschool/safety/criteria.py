"""What a policy must show to be let out, fixed and hashed before the holdout is opened."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError, suggest
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.estimate import Assurance
from groundschool.safety.constraints import Constraint, checked_constraints
from groundschool.safety.identity import fingerprint

Required = Literal["finite-sample", "asymptotic"]
STRENGTH: Mapping[Assurance, int] = {"heuristic": 0, "asymptotic": 1, "finite-sample": 2, "exact": 3}
LOGGER = "logger"


@dataclass(frozen=True)
class Criteria:
    """Limits, a baseline, and how surely both must be shown.

    Parameters
    ----------
    constraints : sequence of Constraint
    baseline : "logger", a number, a Policy or None
        What the return is held against: the logger in the same episodes, a fixed return, another policy in the same
        episodes; None asks nothing of the return.
    margin : float
        By how much the return must be above the baseline's; a negative one lets it be below.
    confidence : float
        From 0.5 to below 1: of each one-sided bound. The chance of a GO that is wrong is at most one less this.
    assurance : "asymptotic" or "finite-sample"
        The least that every bound must rest on. What is heuristic never shows anything.
    discount : float
        In (0, 1], of return; costs are not discounted.
    looks : int
        How many times the verdict may be asked for, on ever more episodes. Of several, look k has the share 2 ** -k of
        what may go wrong in all of them.

    Raises
    ------
    InputError
        If a value is not valid, nothing is asked, or a constraint is asked twice.
    """

    constraints: Sequence[Constraint] = ()
    baseline: Any = LOGGER
    margin: float = 0.0
    confidence: float = 0.95
    assurance: Required = "asymptotic"
    discount: float = 1.0
    looks: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraints", _constraints(self.constraints))
        object.__setattr__(self, "margin", _number(self.margin, "margin", -math.inf, math.inf, "0 or 1.5"))
        object.__setattr__(self, "confidence", _number(self.confidence, "confidence", 0.5, 1.0, "0.95", least=True))
        object.__setattr__(self, "discount", _number(self.discount, "discount", 0.0, 1.0, "1 or 0.99", most=True))
        if self.assurance not in ("asymptotic", "finite-sample"):
            if self.assurance in ("heuristic", "exact"):
                why = {
                    "heuristic": "what is heuristic never shows that a policy may go",
                    "exact": "nothing read from a log is exact",
                }[self.assurance]
                raise InputError(f"assurance is {self.assurance!r}: {why}. Use 'asymptotic' or 'finite-sample'.")
            known = ("asymptotic", "finite-sample")
            raise InputError(
                f"assurance is {self.assurance!r}, expected 'asymptotic' or 'finite-sample'."
                f"{suggest(str(self.assurance), known)}"
            )
        if isinstance(self.looks, bool) or not isinstance(self.looks, int | np.integer) or not 1 <= self.looks <= 50:
            raise InputError(f"looks is {self.looks!r}, expected a whole number from 1 to 50.")
        object.__setattr__(self, "baseline", self._checked_baseline())
        if self.baseline is None and not self.constraints:
            raise InputError("nothing is asked: give at least one constraint, or a baseline for the return.")

    def _checked_baseline(self) -> Any:
        given = self.baseline
        if given is None or given == LOGGER if isinstance(given, str | None) else hasattr(given, "probabilities"):
            return given
        if isinstance(given, int | float | np.number) and not isinstance(given, bool) and math.isfinite(given):
            return float(given)
        raise InputError(
            f"baseline is {given!r}, expected 'logger', a number, a policy, or None to ask nothing of the return."
        )

    @property
    def policy(self) -> Any:
        """The policy that is the baseline; None where the logger, a number or nothing is."""
        return None if isinstance(self.baseline, str | float | None) else self.baseline

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked, in order: the questions of the constraints, then "gain" or "return"."""
        last = () if self.baseline is None else ("return",) if isinstance(self.baseline, float) else ("gain",)
        return (*(limit.of for limit in self.constraints), *last)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it: two gates with one fingerprint asked the same."""
        return hash_of(self.to_json())

    def tail(self, look: int = 1) -> float:
        """Return how often a bound may miss in a look, counted from 1.

        Raises
        ------
        InputError
            If the plan has no such look.
        """
        if isinstance(look, bool) or not isinstance(look, int | np.integer) or not 1 <= look <= self.looks:
            planned = "one look is" if self.looks == 1 else f"{self.looks} looks are"
            raise InputError(
                f"look is {look!r}, but {planned} planned. A plan of several is declared before the first: "
                "looks=5, for one."
            )
        missed = 1.0 - self.confidence
        return missed if self.looks == 1 else missed * 0.5**look

    def require(self, log: Dataset) -> None:
        """Raise `InputError` where the log cannot be asked."""
        for limit in self.constraints:
            limit.require(log)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; a policy that is the baseline stands with its name and fingerprint."""
        return {
            "constraints": [limit.to_json() for limit in self.constraints],
            "baseline": self.baseline if self.policy is None else _told(self.policy),
            "margin": self.margin,
            "confidence": self.confidence,
            "assurance": self.assurance,
            "discount": self.discount,
            "looks": int(self.looks),
        }


def hash_of(criteria: Mapping[str, Any]) -> str:
    """Return the SHA-256 of criteria as `Criteria.to_json` gives them."""
    return hashlib.sha256(json.dumps(criteria, sort_keys=True).encode()).hexdigest()


def _told(policy: Any) -> dict[str, str]:
    return {"policy": policy_name(policy), "fingerprint": fingerprint(policy)}


def _constraints(given: Any) -> tuple[Constraint, ...]:
    limits = checked_constraints(given)
    asked = [limit.of for limit in limits]
    for of in asked:
        if asked.count(of) > 1:
            raise InputError(f"constraints: {of!r} is limited twice. Keep the tighter limit.")
    return limits


def _number(
    value: Any, name: str, low: float, high: float, example: str, *, least: bool = False, most: bool = False
) -> float:
    """Check that a number lies between `low` and `high`, ends excluded unless said."""
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
    if good and (low < value or (least and low == value)) and (value < high or (most and value == high)):
        return float(value)
    within = f" {'from' if least else 'above'} {low:g} to {'at most' if most else 'below'} {high:g}"
    raise InputError(
        f"{name} is {value!r}, expected a number{within if math.isfinite(high) else ''}, such as {example}."
    )
