"""What a policy may cost: a limit on a named cost."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from groundschool.data import Dataset
from groundschool.errors import InputError, suggest

ConstraintKind = Literal["probability", "expected"]


@dataclass(frozen=True)
class Constraint:
    """A limit on a cost, of one episode of at most the log's horizon.

    Parameters
    ----------
    name : str
        A cost of the log.
    kind : "probability" or "expected"
        What is limited: the probability that the cost is above zero in any step, or its expected sum.
    limit : float
        Above 0, as no number of episodes can show that something never happens; a probability is below 1.

    Raises
    ------
    InputError
        If a value is not valid.

    Examples
    --------
    >>> str(Constraint("hypotension", kind="probability", limit=0.05))
    'probability of any hypotension at most 0.05'
    """

    name: str
    kind: ConstraintKind = field(default="probability", kw_only=True)
    limit: float = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"constraint: {self.name!r} is no name. Expected that of a cost in the log, as text.")
        if self.kind not in get_args(ConstraintKind):
            kinds = " or ".join(map(repr, get_args(ConstraintKind)))
            hint = suggest(self.kind, get_args(ConstraintKind)) if isinstance(self.kind, str) else ""
            raise InputError(f"constraint {self.name!r}: kind is {self.kind!r}, expected {kinds}.{hint}")
        object.__setattr__(self, "limit", self._checked(self.limit))

    def __str__(self) -> str:
        what = f"probability of any {self.name}" if self.kind == "probability" else f"expected {self.name}"
        return f"{what} at most {self.limit:g}"

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``NAME<=LIMIT`` (the probability of any in an episode) or ``cost:NAME<=LIMIT`` (the expected sum).

        ``probability:NAME<=LIMIT`` is the first written out.

        Raises
        ------
        InputError
            If the text is none of these, or the limit is not valid.
        """
        asked, sign, limit = (part.strip() for part in text.rpartition("<="))
        kind, colon, name = asked.partition(":")
        kinds: dict[str, ConstraintKind] = {"probability": "probability", "cost": "expected"}
        if not colon or kind not in kinds:
            kind, name = "probability", asked
        try:
            number = float(limit)
        except ValueError:
            sign, number = "", math.nan
        if not sign or not name:
            raise InputError(
                f"limit {text!r}: expected NAME<=NUMBER, such as 'hazard<=0.05' (the probability of any in an episode) "
                "or 'cost:days<=3' (the expected sum)."
            )
        return cls(name, kind=kinds[kind], limit=number)

    @property
    def of(self) -> str:
        """The question to `groundschool.evaluate` whose upper bound must not exceed the limit."""
        return f"probability:{self.name}" if self.kind == "probability" else f"cost:{self.name}"

    def met_by(self, upper: float) -> bool:
        """Whether an upper bound shows that the limit is kept; an unbounded or undefined one does not."""
        return upper <= self.limit

    def excess(self, upper: float) -> float:
        """Return how far a bound is above the limit, as a share of the limit; 0 where it is met, inf where undefined.

        Being a share, it compares constraints on different costs.
        """
        return math.inf if math.isnan(upper) else max(upper / self.limit - 1.0, 0.0)

    def smallest_provable(self, episodes: int, confidence: float = 0.95) -> float:
        """Return the least limit that so many independent episodes can show, none of them with an event.

        The one-sided limit of Clopper & Pearson 1934 (doi:10.1093/biomet/26.4.404) at no event, ``1 - (1 -
        confidence) ** (1 / episodes)``: 3 / episodes, roughly, at 95 %. An expected cost has no such least limit
        unless it is bounded: 0.
        """
        return -math.expm1(math.log1p(-confidence) / episodes) if self.kind == "probability" else 0.0

    def require(self, log: Dataset) -> None:
        """Raise `InputError` unless the log has the cost."""
        if self.name not in log.costs:
            have = ", ".join(map(repr, log.costs)) or "none"
            raise InputError(
                f"constraint {self.name!r}: the log has no such cost (it has: {have}).{suggest(self.name, log.costs)}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"name": self.name, "kind": self.kind, "limit": self.limit}

    def _checked(self, limit: object) -> float:
        value = float(limit) if isinstance(limit, numbers.Real) and not isinstance(limit, bool) else math.nan
        if not (math.isfinite(value) and value > 0):
            raise InputError(
                f"constraint {self.name!r}: limit is {limit!r}, expected a number above 0. "
                "That something never happens can be shown by no number of episodes."
            )
        if self.kind == "probability" and value >= 1.0:
            raise InputError(
                f"constraint {self.name!r}: limit is {value:g}, expected a probability below 1. "
                'A limit on the expected sum of the cost is kind="expected".'
            )
        return value


def checked_constraints(given: Any) -> tuple[Constraint, ...]:
    """Return constraints as a tuple; raise `InputError` for what is no list of them."""
    if isinstance(given, Constraint | str | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"constraints: {given!r} is one {type(given).__name__}, expected a list of them.")
    limits = tuple(given)
    for limit in limits:
        if not isinstance(limit, Constraint):
            raise InputError(
                f"constraints: {limit!r} is a {type(limit).__name__}, expected a Constraint such as "
                'gs.Constraint("hypotension", kind="probability", limit=0.05).'
            )
    return limits
