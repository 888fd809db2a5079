"""How far declared propensities are from the actions that were taken: a likelihood and a balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundschool.data.checks._comparable import FOLDS, Comparable, comparable
from groundschool.data.checks._sample import Sample, folds
from groundschool.data.checks._statistics import log_mean_exp, mean_above
from groundschool.data.validation import Array

ALPHA = 0.001
MATERIAL_NATS = 0.02

_LEAST_ROWS = 500
_NEARLY_ONE = 0.99
_MARGIN_REPEATED, _MARGIN_NEAR = 0.1, 0.25
_SURE_REPEATED, _SURE_NEAR = 5, 3
_KNOTS = 21


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
        return self.log_evidence >= np.log(2.0 / ALPHA) and self.gain >= MATERIAL_NATS

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
    gain, evidence = max(ratios, key=lambda ratio: ratio[1] if ratio[0] >= MATERIAL_NATS else -np.inf)
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
    if asked.sum() < _LEAST_ROWS:
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
