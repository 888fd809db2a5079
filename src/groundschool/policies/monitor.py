"""Counts of what a guarded policy decided and why, and the limits beyond which it is suspended."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections import deque
from collections.abc import Sequence
from typing import Any

from groundschool.errors import InputError
from groundschool.policies.decision import Reason


@dataclasses.dataclass(frozen=True)
class Limit:
    """How often the guard may intervene.

    Parameters
    ----------
    rate : float
        In (0, 1): the largest share of interventions.
    window : int
        Among so many latest decisions, at least 1. It need not be full: once more than ``rate * window`` of the latest
        decisions were interventions, no later ones can undo that.
    reasons : sequence of Reason or str
        Which interventions count; all if left out.

    Raises
    ------
    InputError
        If a value is not valid.
    """

    rate: float
    window: int
    reasons: tuple[Reason, ...] = ()

    def __post_init__(self) -> None:
        rate = float(self.rate) if isinstance(self.rate, numbers.Real) and not isinstance(self.rate, bool) else math.nan
        if not 0.0 < rate < 1.0:
            raise InputError(f"limit: rate is {self.rate!r}, expected a share above 0 and below 1.")
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 1:
            raise InputError(f"limit: window is {self.window!r}, expected a whole number of decisions, at least 1.")
        given = (self.reasons,) if isinstance(self.reasons, str) else tuple(self.reasons)
        allowed = [reason.value for reason in Reason if reason not in (Reason.POLICY, Reason.SUSPENDED)]
        for reason in given:
            if reason not in allowed:
                raise InputError(f"limit: {reason!r} is no reason to intervene. Expected some of {', '.join(allowed)}.")
        object.__setattr__(self, "reasons", tuple(Reason(reason) for reason in given))

    def __str__(self) -> str:
        why = f" for {' or '.join(self.reasons)}" if self.reasons else ""
        return f"interventions{why} in more than {self.rate:.1%} of {self.window:,} decisions in a row"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"rate": self.rate, "window": self.window, "reasons": [reason.value for reason in self.reasons]}


class Monitor:
    """Counts decisions by reason since it was made, and suspends where a limit is passed.

    It belongs to one stream of decisions in one thread, and starts anew with each loaded bundle.

    Attributes
    ----------
    counts : dict of Reason to int
    suspended : Limit or None
        The limit that was passed.
    """

    def __init__(self, limits: Sequence[Limit] = ()) -> None:
        self.limits = tuple(limits)
        self.counts = dict.fromkeys(Reason, 0)
        self.suspended: Limit | None = None
        self._clear()

    def _clear(self) -> None:
        self._latest: list[deque[bool]] = [deque(maxlen=limit.window) for limit in self.limits]
        self._interventions = [0] * len(self.limits)

    def note(self, reason: Reason) -> None:
        """Count one decision."""
        self.counts[reason] += 1
        if reason is Reason.SUSPENDED:
            return
        for index, limit in enumerate(self.limits):
            latest = self._latest[index]
            counts = reason is not Reason.POLICY and (not limit.reasons or reason in limit.reasons)
            if len(latest) == limit.window:
                self._interventions[index] -= latest[0]
            latest.append(counts)
            self._interventions[index] += counts
            if self._interventions[index] > limit.rate * limit.window:
                self.suspended = self.suspended or limit

    @property
    def decisions(self) -> int:
        """How many decisions were counted."""
        return sum(self.counts.values())

    @property
    def interventions(self) -> int:
        """How many of them anybody but the policy made, those while suspended included."""
        return self.decisions - self.counts[Reason.POLICY]

    @property
    def rate(self) -> float:
        """The share of interventions, 0 before the first decision."""
        return self.interventions / self.decisions if self.decisions else 0.0

    def reset(self) -> None:
        """End a suspension, with empty windows; the counts stay."""
        self.suspended = None
        self._clear()

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "decisions": self.decisions,
            "interventions": self.interventions,
            "rate": self.rate,
            "counts": {reason.value: count for reason, count in self.counts.items() if count},
            "suspended": None if self.suspended is None else str(self.suspended),
        }
