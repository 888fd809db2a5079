"""Checking a log as a careful colleague would: every problem at once, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from groundschool.data.checks.battery import CHECKS, EXACT
from groundschool.data.checks.duplicates import shared_episodes, shared_groups
from groundschool.data.checks.finding import Finding
from groundschool.data.checks.soundness import sound_part
from groundschool.data.checks.view import View
from groundschool.data.dataset import Dataset
from groundschool.data.raw import RawLog
from groundschool.data.read import ColumnMap, is_saved, read_raw
from groundschool.data.vouch import told

_ERRORS_FIRST = "statistics are taken once the errors are mended"
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, repr=False)
class Findings:
    """What the checks of a log found.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    ran : mapping from check name to text
        Every check there is: empty where it ran, else why it does not apply to this log.
    false_alarm : float
        At most how likely it is that any statistical check that ran warns of a fault that the log does not have (the
        sum of their rates). The other checks are exact.
    n_episodes, n_rows : int
    notes : tuple of str
        What was done to the rows on the way in.
    """

    findings: tuple[Finding, ...]
    ran: Mapping[str, str]
    false_alarm: float
    n_episodes: int
    n_rows: int
    notes: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the log unusable or wrong as it stands."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that need a person's decision."""
        return self._of("warning")

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready."""
        return {
            "n_episodes": self.n_episodes,
            "n_rows": self.n_rows,
            "counts": {severity: len(self._of(severity)) for severity in SEVERITIES},
            "findings": [finding.to_json() for finding in self.findings],
            "checks": dict(self.ran),
            "false_alarm": self.false_alarm,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self._of(severity))} {severity}s" for severity in SEVERITIES)
        lines = [f"{self.n_episodes:,} episodes, {self.n_rows:,} rows: {counts}"]
        lines += [f"{f.severity:8}{f.where}: {f.what} {f.why} {f.do}" for f in self.findings]
        return "\n".join(lines)

    def _of(self, severity: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


def check(
    data: Any,
    columns: ColumnMap = None,
    *,
    format: str = "auto",
    against: Any = None,
    against_columns: ColumnMap = None,
    seed: int = 0,
) -> Findings:
    """Check a log: report every problem at once, rather than refuse at the first.

    Parameters
    ----------
    data : Dataset, or as `groundschool.read`
    columns, format
        As `groundschool.read`.
    against : as `data`, optional
        Another log, such as the holdout: episodes with the same content in both are reported.
    against_columns : as `columns`, optional
        Of the other log; those of this one unless said, and none where that is a directory of `Dataset.save`.
    seed : int
        Of the samples that the statistical checks draw: the same log and seed give the same findings.

    Raises
    ------
    InputError
        If the log cannot be read at all, or its columns are not said.
    """
    raw = _raw(data, columns, format)
    view = View(raw, seed)
    found: list[Finding] = []
    ran: dict[str, str] = {}
    false_alarm = 0.0
    notes = told(raw.notes, raw.tally)
    sound = sound_part(raw)
    if sound is not None and sound is not raw:
        notes += (f"Statistics are of the {sound.n_episodes:,} of {raw.n_episodes:,} episodes without errors.",)
    sound_view = view if sound is raw else None if sound is None else View(sound, seed)
    for one in CHECKS:
        looked = view if one in EXACT else sound_view
        reason = _ERRORS_FIRST if looked is None else one.needs(looked) if one.needs is not None else ""
        ran[one.name] = reason
        if looked is not None and not reason:
            found += one.run(looked)
            false_alarm += one.false_alarm or 0.0
    if against is not None:
        own = isinstance(against, str | PathLike) and is_saved(against)
        shared = None if own else columns
        other = _raw(against, shared if against_columns is None else against_columns, "auto" if own else format)
        ran |= {"shared-episodes": "", "shared-groups": "" if raw.groups is not None else "the log has no groups"}
        found += [one for one in (shared_episodes(raw, other), shared_groups(raw, other)) if one is not None]
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return Findings(tuple(ordered), ran, false_alarm, raw.n_episodes, raw.n_rows, notes)


def _raw(data: Any, columns: ColumnMap, format: str) -> RawLog:
    if isinstance(data, RawLog):
        return data
    if isinstance(data, Dataset):
        return RawLog.of(data)
    return read_raw(data, format, columns, ask=False)
