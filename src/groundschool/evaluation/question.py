"""What is asked of a policy: its return, a cost, or the probability of any cost in an episode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from groundschool.data import Dataset
from groundschool.errors import InputError, suggest

Kind = Literal["return", "cost", "probability"]


@dataclass(frozen=True)
class Question:
    """One number about a policy.

    Attributes
    ----------
    kind : "return", "cost" or "probability"
        The expected sum of rewards, the expected sum of a cost, or the probability that the cost is above zero in any
        step: of one episode of at most the log's horizon.
    cost : str or None
        Which cost.
    """

    kind: Kind
    cost: str | None = None

    def __str__(self) -> str:
        return self.kind if self.cost is None else f"{self.kind}:{self.cost}"

    @property
    def words(self) -> str:
        """The question in plain words."""
        if self.kind == "return":
            return "expected return"
        return f"expected {self.cost}" if self.kind == "cost" else f"probability of any {self.cost}"

    @property
    def higher_is_better(self) -> bool:
        """Whether more is good (return) or bad (costs)."""
        return self.kind == "return"

    @classmethod
    def parse(cls, of: str, log: Dataset) -> Question:
        """Read ``"return"``, ``"cost:NAME"`` or ``"probability:NAME"`` of a cost that the log has."""
        kind, colon, name = str(of).partition(":")
        if of == "return":
            return cls("return")
        if kind not in ("cost", "probability") or not colon:
            raise InputError(f"of={of!r}: expected 'return', 'cost:NAME' or 'probability:NAME'.")
        if name not in log.costs:
            have = ", ".join(map(repr, log.costs)) or "none"
            raise InputError(f"of={of!r}: the log has no cost {name!r} (it has: {have}).{suggest(name, log.costs)}")
        return cls("cost", name) if kind == "cost" else cls("probability", name)

    def possible(self, log: Dataset, discount: float = 1.0) -> tuple[float, float]:
        """Return the range that the sum over one episode can lie in, as far as it is declared."""
        if self.kind == "probability":
            return 0.0, 1.0
        if self.kind == "cost":
            return 0.0, math.inf
        if log.return_range is None or discount != 1.0:
            return -math.inf, math.inf
        return float(log.return_range[0]), float(log.return_range[1])
