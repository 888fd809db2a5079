"""What an estimator answers, and what a reader gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import InputError
from groundschool.evaluation.forecast import Forecast
from groundschool.evaluation.intervals import finite_or_none

Assurance = Literal["exact", "finite-sample", "asymptotic", "heuristic"]
Bounds = Callable[[float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Estimation:
    """An estimator's answer to a `Problem`, before anybody asked whether it may be relied on.

    Attributes
    ----------
    value : float
    standard_error : float
        inf (or NaN) where it cannot be known.
    bounds : callable from tail to (lower, upper)
        Each bound alone misses with probability `tail` at most, in (0, 0.5]; infinite where the data bound nothing.
    interval : str
        How the bounds are made.
    assurance : "exact", "finite-sample", "asymptotic" or "heuristic"
        What they rest on, before the log's own shortcomings (estimated propensities) are taken into account.
    values : (E,) float64 or None
        One number an episode whose mean is the value: weighted returns, or influence values plus the value.
    diagnostics : mapping
        JSON-ready facts by name.
    reasons : tuple of str
        Why it may not be relied on: whole sentences with their figures. Empty where this estimator sees none.
    notes : tuple of str
        Assumptions and choices that a reader must know, and that do not speak against it.
    forecast : callable without parameters to (Forecast or None), or None
        How it would go on with more episodes; None where widths may be taken to shrink as those of means do.
    """

    value: float
    standard_error: float
    bounds: Bounds
    interval: str
    assurance: Assurance
    values: NDArray[np.float64] | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    forecast: Callable[[], Forecast | None] | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What one look at a problem, or at an answer to it, found.

    Attributes
    ----------
    name : str
        Its key in ``estimate.diagnostics``.
    facts : mapping
        JSON-ready.
    reasons, notes : tuple of str
        As in `Estimation`.
    """

    name: str
    facts: Mapping[str, Any]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Estimate:
    """How good, or how dangerous, a policy is, from a log of another.

    Attributes
    ----------
    of : str
        "return", "cost:NAME" or "probability:NAME".
    policy : str
    method : str
        The estimator.
    value : float
        Also where it is not trusted.
    lower, upper : float
        Two-sided at `confidence`: what may be relied on. The whole possible range where the estimate is not trusted.
    standard_error : float
    confidence : float
    assurance : "exact", "finite-sample", "asymptotic" or "heuristic"
    interval : str
        How the bounds are made.
    discount : float
    horizon : int
    n_episodes : int
    ess : float
        Effective number of episodes, at most `n_episodes`; NaN where the method has none.
    trusted : bool
    reasons : tuple of str
        Why it is not trusted.
    notes : tuple of str
        Assumptions, and how the method was chosen.
    diagnostics : mapping
        JSON-ready; ``claimed`` holds the interval as it was before trust was asked.
    possible : (low, high)
        The range that the quantity can lie in.
    bounds : callable from tail to (lower, upper)
        One-sided bounds as they may be relied on.
    values : (E,) float64 or None
        One number an episode whose mean is the value.
    forecast : callable without parameters to (Forecast or None), or None
        How it would go on with more episodes, where that is no matter of the root of their number.
    """

    of: str
    policy: str
    method: str
    value: float
    lower: float
    upper: float
    standard_error: float
    confidence: float
    assurance: Assurance
    interval: str
    discount: float
    horizon: int
    n_episodes: int
    ess: float
    trusted: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = field(repr=False)
    diagnostics: Mapping[str, Any] = field(repr=False)
    possible: tuple[float, float]
    bounds: Bounds = field(repr=False)
    values: NDArray[np.float64] | None = field(repr=False, default=None)
    forecast: Callable[[], Forecast | None] | None = field(repr=False, default=None)

    def __str__(self) -> str:
        """What a reader may rely on, in a few lines."""
        head = (
            f"{self.of} of policy '{self.policy}' by {self.method}, from {self.n_episodes:,} episodes: "
            f"{self.value:.4g}, {self.confidence:g} interval [{self.lower:.4g}, {self.upper:.4g}] ({self.assurance})."
        )
        if self.trusted:
            return head
        return "\n".join((f"{head} NOT TRUSTED:", *(f"- {reason}" for reason in self.reasons)))

    def lower_bound(self, confidence: float) -> float:
        """Return the one-sided lower bound at a confidence, e.g. 0.95."""
        return self.bounds(one_sided_tail(confidence))[0]

    def upper_bound(self, confidence: float) -> float:
        """Return the one-sided upper bound at a confidence, e.g. 0.95."""
        return self.bounds(one_sided_tail(confidence))[1]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values: what is infinite or undefined is None, its key present."""
        return {
            "of": self.of,
            "policy": self.policy,
            "method": self.method,
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "standard_error": finite_or_none(self.standard_error),
            "confidence": self.confidence,
            "assurance": self.assurance,
            "interval": self.interval,
            "discount": self.discount,
            "horizon": self.horizon,
            "n_episodes": self.n_episodes,
            "ess": finite_or_none(self.ess),
            "trusted": self.trusted,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "possible": [finite_or_none(end) for end in self.possible],
            "diagnostics": _finite(self.diagnostics),
        }


def one_sided_tail(confidence: float) -> float:
    """Return the probability with which a one-sided bound may miss; raise `InputError` for what is no confidence."""
    number = isinstance(confidence, int | float | np.number) and not isinstance(confidence, bool)
    if not number or not 0.5 <= confidence < 1.0:
        raise InputError(f"confidence is {confidence!r}, expected a number from 0.5 to below 1, such as 0.95.")
    return 1.0 - float(confidence)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _finite(value.tolist())
    return value if not isinstance(value, float) or math.isfinite(value) else None
