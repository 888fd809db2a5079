"""What propensities claim about a logger, held against what it did: gaps whose mean is zero where the claim is true.

A gap is ``w g(o, A) - sum_a p(a|o) g(o, a)`` for a function g of observation and action that was learned on other
episodes. If the claimed probabilities p are those that the action A was drawn with, its mean is zero in every row,
whatever went before: gaps are the increments of a martingale. Two functions are asked. The *surplus*: how much more
often than claimed an action was taken in the other episodes, so that a false claim shows as a positive mean. The
*advantage*: how much more of the signal followed the action; these gaps add up to what the logger got minus what a
logger with the claimed probabilities would have got.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_PRIOR_ROWS = 2.0
_RIDGE = 1e-3
_QUADRATIC, _WIDEST, _FOURIER = 8, 100, 64
_LARGEST = 5.0
_SCATTERED = 0.5
_SAME = 0.01  # propensities may be rounded


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of a log, and the claim about them.

    Attributes
    ----------
    actions : (n,) int64
    propensities : (n,) float64
        Claimed for the logged action.
    table : (n, A) float64 or None
        Claimed for all actions, where that is known.
    code : (n,) int64 or None
        The state of each row, from 0, where states are counted.
    features : (n, F) float64 or None
        Numbers to regress on elsewhere.
    masks : (n, A) bool or None
    to_go : (n,) float64
        The sum of the signal from here to the end of the episode.
    n_actions : int
    """

    actions: IntArray
    propensities: FloatArray
    table: FloatArray | None
    code: IntArray | None
    features: FloatArray | None
    masks: BoolArray | None
    to_go: FloatArray
    n_actions: int


@dataclass(frozen=True, eq=False)
class Gaps:
    """Gaps of m rows.

    Attributes
    ----------
    surplus : (m,) float64
        At least -1; mean zero (at most zero, where only part of the claim is known) if the claim is true.
    advantage : (m,) float64
        In the signal's own unit.
    span : float
        The advantage gaps of a true claim are at most this large; infinite where there is no limit.
    """

    surplus: FloatArray
    advantage: FloatArray
    span: float


def gaps(rows: Rows, learn: IntArray, judge: IntArray) -> Gaps:
    """Learn both functions on some rows, and return the gaps of others that are independent of them."""
    if rows.code is not None:
        return _counted(rows, rows.code, learn, judge)
    assert rows.features is not None
    if rows.table is not None:
        return _known(rows, rows.features, rows.table, learn, judge)
    return _partly_known(rows, rows.features, learn, judge)


def _counted(rows: Rows, code: IntArray, learn: IntArray, judge: IntArray) -> Gaps:
    """Gaps where states are counted: the claim about an action is read off the rows that took it in the same state.

    The harmonic mean of propensities is what is claimed for a state, even where the logger looked at more than that:
    ``E[1{A = a} / p] = 1`` (Horvitz and Thompson 1952). It then takes weights, which have no limit; so what they
    multiply must not be negative, and the advantage is not to be bet on.
    """
    A, S = rows.n_actions, int(code.max()) + 1
    pair = code * A + rows.actions
    counts = _sums(pair[learn], np.ones(len(learn)), S * A)
    visits = np.repeat(_sums(code[learn], np.ones(len(learn)), S), A)
    if rows.table is None:
        inverse = _sums(pair[learn], 1.0 / rows.propensities[learn], S * A)
        claimed = np.divide(counts, inverse, out=np.zeros(S * A), where=counts > 0)
        weight = claimed[pair[judge]] / rows.propensities[judge]
        claims = claimed.reshape(S, A)[code[judge]]
        varied = float((np.abs(claimed[pair[learn]] / rows.propensities[learn] - 1.0) > _SAME).mean()) > _SAME
    else:
        sums = np.column_stack([_sums(code[learn], column[learn], S) for column in rows.table.T]).reshape(-1)
        claimed = np.divide(sums, visits, out=np.zeros(S * A), where=visits > 0)
        weight, claims, varied = np.ones(len(judge)), rows.table[judge], False
    share = np.divide(counts, visits, out=np.zeros(S * A), where=visits > 0)
    surplus = _bounded((share - claimed) * visits / (visits + _PRIOR_ROWS))
    if varied:
        surplus = np.maximum(surplus, 0.0)
    sums = _sums(pair[learn], rows.to_go[learn], S * A)
    mean = np.divide(_sums(code[learn], rows.to_go[learn], S), visits[::A], out=np.zeros(S), where=visits[::A] > 0)
    advantage = (sums - counts * np.repeat(mean, A)) / (counts + _PRIOR_ROWS)

    def gap(values: FloatArray) -> FloatArray:
        expected = (claims * values.reshape(S, A)[code[judge]]).sum(axis=1)
        return np.asarray(weight * values[pair[judge]] - expected)

    return Gaps(gap(surplus), gap(advantage), np.inf if varied else 2.0 * _largest(advantage))


def _sums(index: IntArray, weights: FloatArray, size: int) -> FloatArray:
    return np.asarray(np.bincount(index, weights=weights, minlength=size), dtype=np.float64)


def _known(rows: Rows, features: FloatArray, table: FloatArray, learn: IntArray, judge: IntArray) -> Gaps:
    """Gaps where the probabilities of all actions are claimed at every row."""
    taken = _one_hot(rows)
    fit = _Ridge(features[learn])
    surplus = _bounded(features[judge] @ fit.solve(taken[learn] - table[learn]))
    advantage = _advantage(rows, features, fit, learn, judge)
    rest = taken[judge] - table[judge]
    return Gaps((rest * surplus).sum(axis=1), (rest * advantage).sum(axis=1), 2.0 * _largest(advantage))


def _partly_known(rows: Rows, features: FloatArray, learn: IntArray, judge: IntArray) -> Gaps:
    """Gaps where only the claim about the logged action is known.

    Weights 1/p have the mean 1 for actions that the logger takes with any probability, and 0 for the others. A model of
    the logger does not know which those are: so only an action taken too often counts.
    """
    fit = _Ridge(features[learn])
    taken = _one_hot(rows)
    allowed = np.ones(taken.shape, np.bool_) if rows.masks is None else rows.masks
    coefficients = fit.solve(taken[learn])
    model = np.clip(features @ coefficients, 0.0, 1.0) * allowed
    model /= np.maximum(model.sum(axis=1, keepdims=True), 1.0)
    excess = model * (taken / rows.propensities[:, None] - 1.0)
    surplus = _bounded(features[judge] @ fit.solve(np.clip(excess[learn], -1.0, _LARGEST))).clip(0.0)
    advantage = _advantage(rows, features, fit, learn, judge)
    return Gaps(
        (excess[judge] * surplus).sum(axis=1), (excess[judge] * advantage).sum(axis=1), 2.0 * _largest(advantage)
    )


def _advantage(rows: Rows, features: FloatArray, fit: _Ridge, learn: IntArray, judge: IntArray) -> FloatArray:
    """Return how much more than average follows each action, (m, A), by regression."""
    left = rows.to_go[learn] - features[learn] @ fit.solve(rows.to_go[learn])
    answer = np.zeros((len(judge), rows.n_actions))
    for action in range(rows.n_actions):
        at = rows.actions[learn] == action
        if at.any():
            answer[:, action] = features[judge] @ _Ridge(features[learn[at]]).solve(left[at])
    largest = _largest(left)
    return np.clip(answer, -largest, largest)


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _bounded(surplus: FloatArray) -> FloatArray:
    return np.clip(surplus, -0.5, 0.5)


def _one_hot(rows: Rows) -> FloatArray:
    return np.eye(rows.n_actions)[rows.actions]


def scattered(rows: Rows) -> bool:
    """Return whether propensities vary within a state and action, or around a model of them, as they do overall."""
    logs = np.log(rows.propensities)
    if rows.code is not None:
        pair = np.unique(rows.code * rows.n_actions + rows.actions, return_inverse=True)[1]
        count = np.bincount(pair)
        left = logs - (np.bincount(pair, weights=logs) / count)[pair]
        freedom = max(len(pair) - len(count), 1)
        return bool(np.square(left).sum() / freedom >= _SCATTERED * logs.var())
    assert rows.features is not None
    design = rows.features[:, :, None] * np.eye(rows.n_actions)[rows.actions][:, None, :]
    design = design.reshape(len(logs), -1)
    weights = np.linalg.lstsq(design.T @ design + np.eye(design.shape[1]), design.T @ logs, rcond=None)[0]
    return bool(np.square(logs - design @ weights).mean() >= _SCATTERED * logs.var())


class _Ridge:
    """Regression on features (n, F), the Gram matrix worked out once."""

    def __init__(self, features: FloatArray) -> None:
        self.features = features
        self.gram = features.T @ features + (_RIDGE * len(features) + 1.0) * np.eye(features.shape[1])

    def solve(self, targets: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.solve(self.gram, self.features.T @ targets))


def features_of(observations: NDArray[Any], masks: BoolArray | None, seed: int) -> FloatArray:
    """Return numbers to regress on, (n, F): the observations on a common scale, their squares, and waves of them.

    Waves are random Fourier features (Rahimi and Recht 2007).
    """
    flat = observations.reshape(len(observations), -1).astype(np.float64)
    flat = np.where(np.isfinite(flat), flat, np.nan)
    blank = np.isnan(flat)
    if blank.any():
        count = np.maximum((~blank).sum(axis=0), 1)
        flat = np.where(blank, np.nansum(flat, axis=0) / count, flat)
        flat = np.hstack([flat, blank[:, blank.any(axis=0)]])
    if masks is not None:
        flat = np.hstack([flat, masks])
    rng = np.random.default_rng(seed)
    spread = flat.std(axis=0)
    z = (flat - flat.mean(axis=0)) / np.where(spread > 1e-9 * np.abs(flat).max(axis=0, initial=0.0), spread, np.inf)
    z = np.clip(z, -_LARGEST, _LARGEST)
    if z.shape[1] > _WIDEST:
        z = z @ rng.normal(size=(z.shape[1], _WIDEST)) / np.sqrt(z.shape[1])
    waves = rng.normal(size=(z.shape[1], _FOURIER)) / np.sqrt(z.shape[1])
    parts = [np.ones((len(z), 1)), z, np.cos(z @ waves + rng.uniform(0.0, 2.0 * np.pi, _FOURIER))]
    if z.shape[1] <= _QUADRATIC:
        one, other = np.triu_indices(z.shape[1])
        parts.append(z[:, one] * z[:, other])
    return np.hstack(parts)
