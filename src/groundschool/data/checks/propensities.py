"""Propensities that are not the probabilities with which the logged actions were chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from groundschool.data.checks._comparable import FOLDS, Comparable, comparable
from groundschool.data.checks._sample import LEAST_UNITS, Sample, folds
from groundschool.data.checks._statistics import log_mean_exp, mean_above, rate_above
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

ALPHA = 0.001
LEAST_ROWS = 1_000
ONE = 0.999
_NEARLY_ONE = 0.99

_MATERIAL_NATS = 0.02
_MARGIN_REPEATED, _MARGIN_NEAR = 0.1, 0.25
_SURE_REPEATED, _SURE_NEAR = 5, 3
_SURPRISES, _DISAGREEMENT = 0.015, 0.3
_KNOTS = 21

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

    Near a border of a deterministic rule comparable rows disagree too. So what counts is a row that disagrees with
    comparable rows that all agree; where they hardly ever agree, that alone is the evidence.
    """
    if not seen.is_near or len(seen.at) < LEAST_ROWS:
        return ""
    own = seen.counts[np.arange(len(seen.at)), sample.actions[seen.at]]
    agreed = (seen.counts > 0).sum(axis=1) == 1
    surprises, n = int((own[agreed] == 0).sum()), int(agreed.sum())
    if n >= 100 and rate_above(surprises, n, ALPHA) >= _SURPRISES:
        return f"{surprises:,} of {n:,} rows differ from comparable rows that all agree"
    disagreement = 1.0 - float(np.mean(own / seen.counts.sum(axis=1)))
    if (n < 100 or seen.repeated) and disagreement >= _DISAGREEMENT:
        return f"two comparable rows differ in {disagreement:.0%} of cases"
    return ""


@dataclass(frozen=True)
class Misfit:
    """How far propensities are from what was done.

    Attributes
    ----------
    gain : float
        Nats a row by which a model fitted to other episodes beats the propensities in log-likelihood.
    log_evidence : float
        Logarithm of the e-value of that gain.
    imbalance : float
        How far the mean of 1{A = a} / p is from 1 in comparable rows, in the direction seen in other episodes, for
        actions that surely had support; 0 on average for true propensities.
    imbalance_p : float
        Its one-sided p value.
    margin : float
        The imbalance that matters.
    """

    gain: float
    log_evidence: float
    imbalance: float
    imbalance_p: float
    margin: float

    @property
    def beaten(self) -> bool:
        """Whether a model fitted to other episodes explains the actions better than the propensities do."""
        return self.log_evidence >= np.log(2.0 / ALPHA) and self.gain >= _MATERIAL_NATS

    @property
    def unbalanced(self) -> bool:
        """Whether actions are taken more, or less, often than the propensities say."""
        return self.imbalance_p <= ALPHA / 2.0 and self.imbalance >= self.margin


def misfit(sample: Sample, given: Array, n_actions: int, seed: int, *, of_1: Array | None = None) -> Misfit:
    """Compare propensities with the actions taken.

    Two facts about true propensities p are tested. First, for any model q of the logger that was fitted to other
    episodes, E[q(A|S) / p(A|S)] <= 1 (Gibbs' inequality in its strong form): the product over rows is a test
    martingale, and exceeds 1 / alpha with probability at most alpha at any sample size (Ville 1939; Wasserman, Ramdas
    and Balakrishnan 2020, "Universal inference"). Each fold gives such a product; their mean is one too. Second, where
    action a has support, E[1{A = a} / p(a|S)] = 1 (Horvitz and Thompson 1952): other folds say in which direction a
    situation and an action deviate, a t test over units whether they do in this one; p values are averaged over folds
    (Vovk and Wang 2020).

    Parameters
    ----------
    sample : Sample
        Discrete actions.
    given : (n,) float in (0, 1]
        Propensities of the logged actions.
    n_actions, seed : int
    of_1 : (n,) float in [0, 1], optional
        With two actions, the declared probability of action 1; a second q is then read off how often action 1 was taken
        at each declared probability.
    """
    seen = comparable(sample, n_actions, seed, weights=1.0 / given)
    taken, p = sample.actions[seen.at], given[seen.at]
    ratios = [_log_ratio(np.take_along_axis(seen.predicted(), taken[:, None], axis=1)[:, 0], p, seen.fold)]
    if of_1 is not None:
        fold = folds(sample.unit, FOLDS, seed)
        ratios.append(_log_ratio(_recalibrated(of_1, sample.actions, fold), given, fold))
    gain, evidence = max(ratios, key=lambda ratio: ratio[1] if ratio[0] >= _MATERIAL_NATS else -np.inf)
    imbalance, imbalance_p = _imbalance(taken, p, seen, sample.unit[seen.at])
    margin = _MARGIN_REPEATED if seen.repeated else _MARGIN_NEAR
    return Misfit(gain, float(evidence - np.log(len(ratios))), imbalance, imbalance_p, margin)


def _log_ratio(model: Array, p: Array, fold: Array) -> tuple[float, float]:
    """Return the mean of log(q / p) and the log of the mean e-value of the folds."""
    with np.errstate(divide="ignore"):  # a model that rules out what was done is no evidence against p
        ratio = np.log(model) - np.log(p)
    return float(ratio.mean()), log_mean_exp(np.bincount(fold, weights=ratio))


def _recalibrated(of_1: Array, actions: Array, fold: Array) -> Array:
    """Return q(A), (n,), from how often action 1 was taken at about the same declared probability in other folds.

    Frequencies are interpolated between knots, not counted in boxes: rounding of p and of 1 - p on either side of an
    edge would give the action away.
    """
    at = np.clip(of_1, 0.0, 1.0) * (_KNOTS - 1)
    low = np.minimum(at.astype(np.int64), _KNOTS - 2)
    share = at - low
    size = (FOLDS, _KNOTS, 2)
    counts = np.zeros(size)
    for knot, part in ((low, 1.0 - share), (low + 1, share)):
        cell = np.ravel_multi_index((fold, knot, actions), size)
        counts += np.bincount(cell, weights=part, minlength=counts.size).reshape(size)
    others = counts.sum(axis=0) - counts
    frequency = (others + 1.0) / (others.sum(axis=2, keepdims=True) + 2.0)
    return np.asarray(
        (1.0 - share) * frequency[fold, low, actions] + share * frequency[fold, low + 1, actions], dtype=np.float64
    )


def _imbalance(taken: Array, p: Array, seen: Comparable, unit: Array) -> tuple[float, float]:
    """Return the mean imbalance over rows and actions, and its one-sided p value.

    Only an action that surely has support can be taken too rarely. An action taken too often needs no such care:
    without support its mean would be below 1.
    """
    # p near 1 declares that no other action has support, whatever was done in comparable rows.
    asked = p < _NEARLY_ONE
    if asked.sum() < LEAST_ROWS // 2:
        return 0.0, 1.0
    taken, p, counts = taken[asked], p[asked], seen.counts[asked]
    sure = counts >= (_SURE_REPEATED if seen.repeated else _SURE_NEAR)
    choice = sure.sum(axis=1) >= 2
    elsewhere = seen.weights[asked] / counts.sum(axis=1, keepdims=True) - 1.0
    too_rare = sure & choice[:, None] & (elsewhere < 0.0) & (choice.mean() >= 0.5)
    direction = (elsewhere > 0.0) * 1.0 - too_rare
    own = direction[np.arange(len(taken)), taken] / p - direction.sum(axis=1)
    imbalance = own / np.maximum(np.abs(direction).sum(axis=1), 1.0)
    unit, fold = unit[asked], seen.fold[asked]
    # Folds lend each other their directions, so their tests depend on each other: twice the mean p is valid for that.
    p_values = [_above_zero(imbalance[fold == k], unit[fold == k]) for k in np.unique(fold)]
    return float(imbalance.mean()), min(1.0, 2.0 * float(np.mean(p_values)))


def _above_zero(values: Array, unit: Array) -> float:
    return mean_above(np.bincount(unit, weights=values)[np.unique(unit)])


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
    fits = other.gain < _MATERIAL_NATS and not other.unbalanced
    return (declared, other) if wrong and fits else None


def _measured(found: Misfit) -> dict[str, float]:
    return {
        "gain": found.gain,
        "gain_threshold": _MATERIAL_NATS,
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
