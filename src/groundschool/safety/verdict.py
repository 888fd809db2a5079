"""A verdict: what was asked, what was found, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.intervals import finite_or_none
from groundschool.safety.criteria import Criteria

Decision = Literal["GO", "NO-GO", "INSUFFICIENT EVIDENCE"]
Status = Literal["shown", "violated", "undecided"]
EXIT_CODES: dict[Decision, int] = {"GO": 0, "NO-GO": 3, "INSUFFICIENT EVIDENCE": 4}


@dataclass(frozen=True, eq=False)
class Finding:
    """One criterion, and what the holdout says of it.

    Attributes
    ----------
    of : str
        "probability:NAME", "cost:NAME", "return" or "gain" (the return above the baseline's).
    criterion : str
        In words.
    status : "shown", "violated" or "undecided"
    value : float
        The estimate, also where it is not trusted.
    threshold : float
        What a cost may be at most, a return or a gain at least.
    bound : float
        One-sided, on the side that would show the criterion: the upper of a cost, the lower of a return.
    against : float
        One-sided, on the other side: it would show a violation.
    estimate : Estimate
    reasons : tuple of str
        Whole sentences with their figures.
    logged, rolled_out : int or None
        How many further episodes, logged by the same logger or rolled out under control, would plausibly decide; None
        where it is decided, or none would.
    """

    of: str
    criterion: str
    status: Status
    value: float
    threshold: float
    bound: float
    against: float
    estimate: Estimate = field(repr=False)
    reasons: tuple[str, ...]
    logged: int | None = None
    rolled_out: int | None = None

    @property
    def is_cost(self) -> bool:
        """Whether less is better."""
        return self.of not in ("return", "gain")

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; what is infinite or undefined is None."""
        return {
            "of": self.of,
            "criterion": self.criterion,
            "status": self.status,
            "value": finite_or_none(self.value),
            "threshold": self.threshold,
            "bound": finite_or_none(self.bound),
            "against": finite_or_none(self.against),
            "assurance": self.estimate.assurance,
            "trusted": self.estimate.trusted,
            "reasons": list(self.reasons),
            "further_logged": self.logged,
            "further_rolled_out": self.rolled_out,
            "estimate": self.estimate.to_json(),
        }


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a policy may be let out, by criteria that were fixed before the holdout was opened.

    Attributes
    ----------
    decision : "GO", "NO-GO" or "INSUFFICIENT EVIDENCE"
    reasons : tuple of str
        Whole sentences: the claim first, then each criterion with its figures, then what would change it.
    findings : tuple of Finding
        One a criterion.
    criteria : Criteria
    policy : str
        The name of what was judged: the whole composite, as it would be shipped.
    policy_fingerprint : str
    log : str
        Fingerprint of the holdout.
    episodes : int
        Of the holdout.
    look : int
        Which of ``criteria.looks`` this was.
    tail : float
        How often each bound may miss: in this look.
    assumptions : tuple of str
        What the verdict rests on besides the figures.
    logged, rolled_out : int or None
        How many further episodes would plausibly decide.
    """

    decision: Decision
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    criteria: Criteria
    policy: str
    policy_fingerprint: str
    log: str
    episodes: int
    look: int
    tail: float
    assumptions: tuple[str, ...]
    logged: int | None = None
    rolled_out: int | None = None

    def __str__(self) -> str:
        """The decision, and why, a sentence a line."""
        return "\n".join((self.decision, *(f"- {reason}" for reason in self.reasons)))

    @property
    def exit_code(self) -> int:
        """0 for GO, 3 for NO-GO, 4 for INSUFFICIENT EVIDENCE."""
        return EXIT_CODES[self.decision]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; no identity of an episode is in it."""
        return {
            "decision": self.decision,
            "reasons": list(self.reasons),
            "findings": [finding.to_json() for finding in self.findings],
            "criteria": self.criteria.to_json(),
            "criteria_fingerprint": self.criteria.fingerprint,
            "policy": self.policy,
            "policy_fingerprint": self.policy_fingerprint,
            "log": self.log,
            "episodes": self.episodes,
            "look": self.look,
            "tail": self.tail,
            "assumptions": list(self.assumptions),
            "further_logged": self.logged,
            "further_rolled_out": self.rolled_out,
        }
