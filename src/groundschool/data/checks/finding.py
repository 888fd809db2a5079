"""What a check says, and the checks' common form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from groundschool.data.checks.view import View

Severity = Literal["error", "warning", "note"]
Harms = Literal["learning", "evaluation", "both"]


@dataclass(frozen=True)
class Finding:
    """One problem, or one thing to know, about a log.

    Attributes
    ----------
    check : str
        The check's name, such as ``cost-timing``; stable, for machines.
    severity : "error", "warning" or "note"
        An error makes the log unusable or wrong as it stands; a warning needs a person's decision; a note is a fact.
    where : str
        The column, or the part of the log.
    what : str
        One sentence with the figures.
    why : str
        One sentence: what it does to learning or to evaluation.
    do : str
        One sentence: what to do about it.
    harms : "learning", "evaluation" or "both"
    rows, episodes : int
        How many are concerned; 0 where that is not the unit.
    first_row : int or None
        Position in the source.
    first_episode : int, str or None
        Its id.
    measured : mapping from name to number
        The statistics behind it, p values and thresholds included.
    """

    check: str
    severity: Severity
    where: str
    what: str
    why: str
    do: str
    harms: Harms = "both"
    rows: int = 0
    episodes: int = 0
    first_row: int | None = None
    first_episode: int | str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the finding, JSON-ready; a measured value that is not finite is left out."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        facts["measured"] = {k: v for k, v in self.measured.items() if abs(v) < float("inf")}
        return facts


@dataclass(frozen=True)
class Check:
    """One check: what it looks for, and how often it may cry wolf.

    Attributes
    ----------
    name : str
    about : str
        What it looks for, in a few words.
    run : callable
        From a `View` to its findings, none when all is well.
    false_alarm : float or None
        The rate at which it may warn on a log without the fault, over all its columns; None for exact checks.
    needs : callable or None
        From a `View` to the reason it does not apply, or an empty string.
    """

    name: str
    about: str
    run: Callable[[View], Iterable[Finding]]
    false_alarm: float | None = None
    needs: Callable[[View], str] | None = None
