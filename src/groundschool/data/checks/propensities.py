"""Propensities that are not the probabilities with which the logged actions were chosen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks._comparable import Comparable, comparable
from groundschool.data.checks._misfit import ALPHA, MATERIAL_NATS, Misfit, misfit
from groundschool.data.checks._sample import LEAST_UNITS, Sample
from groundschool.data.checks._statistics import rate_above
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

LEAST_ROWS = 1_000
ONE = 0.999

_SURPRISES, _DISAGREEMENT, _DISAGREEMENT_REPEATED = 0.015, 0.3, 0.05

_WHY = "Every importance weighted estimate divides by the propensities, so it would be wrong without a sign of it."


def propensity_ones(view: View) -> Iterator[Finding]:
    """All propensities are 1, but the logger evidently took different actions in equal or near situations."""
    sample, given = _rows(view)
    if given.min() < ONE:
        return
    seen = comparable(sample, _n_actions(view), view.seed)
    evidence = varies(sample, seen)
    if not evidence:
        return
    same = "the same observation" if seen.repeated else "nearly the same observation"
    yield Finding(
        check="propensity-ones",
        severity="error" if seen.repeated else "warning",
        where=view.raw.name("propensities"),
        what=f"All propensities are 1, but different actions were taken at {same}: {evidence}.",
        why="A propensity of 1 says that no other action could be taken. " + _WHY,
        do="Log the probability that the logger gave to its action; if it is unknown, leave the column out.",
        harms="evaluation",
        rows=view.raw.n_rows,
    )


def varies(sample: Sample, seen: Comparable) -> str:
    """Return the evidence that actions differ in comparable rows, or an empty string.

    Near a border of a deterministic rule comparable rows disagree too, unless they are the same. So what counts is a
    row that disagrees with comparable rows that all agree; where they hardly ever agree, that alone is the evidence.
    """
    if not seen.is_near or len(seen.at) < LEAST_ROWS:
        return ""
    own = seen.counts[np.arange(len(seen.at)), sample.actions[seen.at]]
    agreed = (seen.counts > 0).sum(axis=1) == 1
    surprises, n = int((own[agreed] == 0).sum()), int(agreed.sum())
    if n >= 100 and rate_above(surprises, n, ALPHA) >= _SURPRISES:
        return f"{surprises:,} of {n:,} rows differ from comparable rows that all agree"
    disagreement = 1.0 - float(np.mean(own / seen.counts.sum(axis=1)))
    if (seen.repeated and disagreement >= _DISAGREEMENT_REPEATED) or (n < 100 and disagreement >= _DISAGREEMENT):
        return f"two comparable rows differ in {disagreement:.0%} of cases"
    return ""


def propensity_calibration(view: View) -> Iterator[Finding]:
    """The actions contradict the propensities, and no other reading of the column explains it."""
    sample, given = _rows(view)
    if given.min() >= ONE or _reads_as_1(view) is not None:
        return
    found = misfit(sample, given, _n_actions(view), view.seed, of_1=_of_1(view, sample, given))
    if not (found.beaten or found.unbalanced):
        return
    said = []
    if found.beaten:
        said.append(f"a model fitted to other episodes predicts the actions better, by {found.gain:.3f} nats a row")
    if found.unbalanced:
        said.append(f"actions weighted by 1/propensity are off by {found.imbalance:.0%} on average in comparable rows")
    yield Finding(
        check="propensity-calibration",
        severity="error",
        where=view.raw.name("propensities"),
        what=f"The propensities are not the probabilities of the logged actions: {', and '.join(said)}.",
        why=_WHY,
        do="Log the probability that the logger gave to the action taken, at that moment; do not reuse the probability "
        "of another action, of another version of the logger, or of another row.",
        harms="evaluation",
        rows=view.raw.n_rows,
        measured=_measured(found),
    )


def propensity_of_1(view: View) -> Iterator[Finding]:
    """The column does not fit as the probability of the action taken, and fits as the probability of action 1."""
    found = _reads_as_1(view)
    if found is None:
        return
    declared, other = found
    yield Finding(
        check="propensity-of-1",
        severity="error",
        where=view.raw.name("propensities"),
        what="The propensities contradict the actions when read as the probability of the action taken "
        f"(a model fitted to other episodes gains {declared.gain:.3f} nats a row), and agree with them when read as "
        f"the probability of action 1 ({max(other.gain, 0.0):.3f}).",
        why=_WHY,
        do='Declare propensity_is="probability_of_1".',
        harms="evaluation",
        rows=view.raw.n_rows,
        measured=_measured(declared) | {"gain_read_as_1": other.gain},
    )


def _reads_as_1(view: View) -> tuple[Misfit, Misfit] | None:
    """Return the misfit as declared and when read as P(A = 1), where the first is one and the second is none."""
    if _needs_two_actions(view):
        return None
    sample, given = _rows(view, zero=True)
    if given.min() >= ONE:
        return None
    floor = 1e-6
    readings = []
    for of_1 in (np.where(sample.actions == 1, given, 1.0 - given), given):
        p = np.clip(np.where(sample.actions == 1, of_1, 1.0 - of_1), floor, 1.0)
        readings.append(misfit(sample, p, 2, view.seed, of_1=of_1))
    declared, other = readings
    wrong = declared.beaten or declared.unbalanced
    fits = other.gain < MATERIAL_NATS and not other.unbalanced
    return (declared, other) if wrong and fits else None


def _measured(found: Misfit) -> dict[str, float]:
    return {
        "gain": found.gain,
        "gain_threshold": MATERIAL_NATS,
        "log_e_value": found.log_evidence,
        "imbalance": found.imbalance,
        "imbalance_p": found.imbalance_p,
        "imbalance_threshold": found.margin,
    }


def _of_1(view: View, sample: Sample, given: Array) -> Array | None:
    return np.where(sample.actions == 1, given, 1.0 - given) if _n_actions(view) == 2 else None


def _n_actions(view: View) -> int:
    logged = int(view.raw.actions.max()) + 1
    return max(view.raw.n_actions or 0, logged)


def _rows(view: View, *, zero: bool = False) -> tuple[Sample, Array]:
    """Return the rows with an observation, an action and a propensity in (0, 1], and those propensities."""
    sample = Sample.of(view)
    given = _given(view, sample)
    keep = sample.finite & (given <= 1.0) & ((given >= 0.0) if zero else (given > 0.0))
    sample = sample.select(keep)
    return sample, given[keep]


def _given(view: View, sample: Sample) -> Array:
    assert view.raw.propensities is not None
    given: Array = view.raw.propensities[sample.rows].astype(np.float64)
    return np.where(np.isfinite(given), given, -1.0)


def _needs(view: View, *, zero: bool = False) -> str:
    raw = view.raw
    if raw.propensities is None:
        return "the log has no propensities"
    if not raw.is_discrete:
        return "densities of continuous actions cannot be compared with counts"
    if raw.n_episodes < LEAST_UNITS or raw.n_rows < LEAST_ROWS:
        return f"it needs {LEAST_UNITS} episodes and {LEAST_ROWS} rows"
    usable, _ = _rows(view, zero=zero)
    if len(usable) < max(LEAST_ROWS, 0.8 * len(Sample.of(view))) or usable.n_units < LEAST_UNITS:
        return "too few rows have an observation, an action and a propensity from 0 to 1"
    if np.ptp(usable.actions) == 0:
        return "only one action was ever taken"
    return ""


def _needs_two_actions(view: View) -> str:
    return _needs(view, zero=True) or ("" if _n_actions(view) == 2 else "it is about logs of two actions")


CHECKS = (
    Check("propensity-ones", "all propensities are 1, but actions vary", propensity_ones, ALPHA, _needs),
    Check(
        "propensity-calibration",
        "actions contradict the propensities",
        propensity_calibration,
        ALPHA,
        _needs,
    ),
    Check("propensity-of-1", "propensities are those of action 1", propensity_of_1, ALPHA, _needs_two_actions),
)
