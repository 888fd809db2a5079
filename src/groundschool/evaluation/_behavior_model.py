"""Models of a logger: by counting, or by cloning; calibrated on what was held out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.policies.tempered import TemperedPolicy, tempered

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # rows that the shares in all, or near, states are worth
WIDTHS = (0.1, 0.2, 0.4, 0.8)  # of what is near, in standard deviations
TEMPERATURES = (0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0)
SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0)
_STATES = 2_000  # whose distances fit a matrix
_EPOCHS, _BATCH = 40, 128
_STEPS = (300, 8_000)


def counted(
    observations: NDArray[Any],
    code: IntArray,
    actions: IntArray,
    masks: BoolArray | None,
    n_actions: int,
    fold: IntArray,
) -> FloatArray:
    """Return the shares of actions in each row's state, shrunk to those in all states, or in those near by.

    What to shrink to, and how strongly, is what makes the actions of held-out folds most likely. The shares themselves
    are of all rows, the row's own included: leave its fold out, and the weight 1/p of an action that the other folds
    hardly took is many times too large, while with it the weights of an action in a state add up to the rows there.

    Parameters
    ----------
    observations : (N, d...) float or (N,) int64
        Numbers say which states are near each other; ids do not.
    code : (N,) int64
        The state of each row, from 0: an observation with its mask.
    actions : (N,) int64
    masks : (N, A) bool or None
    n_actions : int
    fold : (N,) int64
        From 0.

    Returns
    -------
    (N, A) float64
        Above 0 for all allowed actions; the same in all rows of a state.
    """
    S = int(code.max()) + 1
    first = np.zeros(S, np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    allowed = np.ones((S, n_actions), np.bool_) if masks is None else masks[first]
    folds = [fold == k for k in range(int(fold.max()) + 1)]
    own = [np.bincount(code[at] * n_actions + actions[at], minlength=S * n_actions).reshape(S, -1) for at in folds]
    total = np.asarray(np.sum(own, axis=0), np.int64)
    best = _prior(total, allowed, None)
    best_fit = -np.inf
    for near in (None, *_nearness(observations[first])) if len(own) > 1 else ():
        priors = [_prior(total - counts, allowed, near) for counts in own]
        for strength in STRENGTHS:
            fit = 0.0
            for counts, prior in zip(own, priors, strict=True):
                table = _shares(total - counts + strength * prior)
                fit += float((counts * np.log(np.where(counts > 0, table, 1.0))).sum())
            if fit > best_fit:
                best, best_fit = strength * _prior(total, allowed, near), fit
    return np.asarray(_shares(total + best)[code])


def _nearness(observations: NDArray[Any]) -> list[FloatArray]:
    """Return how near states are to each other, (S, S), at several widths; nothing for ids, or too many states."""
    if observations.ndim == 1 or not 2 <= len(observations) <= _STATES:
        return []
    points = observations.reshape(len(observations), -1).astype(np.float64)
    points = np.nan_to_num(points, nan=0.0)
    points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-12)
    size = np.square(points).sum(axis=1)
    distance = np.maximum(size[:, None] + size - 2.0 * points @ points.T, 0.0)
    return [np.exp(-distance / (2.0 * width**2)) for width in WIDTHS]


def _prior(counts: IntArray, allowed: BoolArray, near: FloatArray | None) -> FloatArray:
    """Return the shares of actions among what each state allows, over all states or over those near it, (S, A)."""
    visits = allowed * counts.sum(axis=1, keepdims=True)
    overall = (counts.sum(axis=0) + 1.0) / (visits.sum(axis=0) + counts.shape[1])
    prior = np.broadcast_to(overall, counts.shape)
    if near is not None:
        prior = (near @ counts + overall) / (near @ visits + 1.0)
    return _shares(np.where(allowed, prior, 0.0))


def _shares(weights: FloatArray) -> FloatArray:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def learned(log: Dataset, fold: IntArray, seed: int) -> FloatArray:
    """Return the probabilities of behavior clones of the other folds, (N, A), tempered and mixed.

    Mixed with the shares of actions over all rows; how much of them, and the temperature, is what makes the actions
    most likely. Above 0 for all allowed actions.
    """
    table, prior = _held_out(log, fold, seed)
    return tempered(table, prior, *_calibration(table, prior, log.actions))


def cloned(log: Dataset, fold: IntArray, seed: int) -> TemperedPolicy:
    """Return a behavior clone of all of a log, as tempered and as mixed as `learned` finds right for those of folds."""
    from groundschool.training import train

    assert log.n_actions is not None
    calibration = _calibration(*_held_out(log, fold, seed), log.actions)
    network = train(log, "bc", steps=_steps(log), batch_size=_BATCH, seed=seed)
    return TemperedPolicy("logger, cloned", network, *calibration, _overall(log))


def _steps(log: Dataset) -> int:
    return int(np.clip(log.n_steps * _EPOCHS // _BATCH, *_STEPS))


def _overall(log: Dataset) -> FloatArray:
    """Return how often each action is taken where it is allowed, as a distribution (A,)."""
    assert log.n_actions is not None
    possible = log.n_steps if log.action_masks is None else log.action_masks.sum(axis=0)
    shares = (np.bincount(log.actions, minlength=log.n_actions) + 1.0) / (possible + log.n_actions)
    return np.asarray(shares / shares.sum())


def _held_out(log: Dataset, fold: IntArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return the probabilities of clones of the other folds, and shares of actions there, (N, A) each."""
    from groundschool.training import train

    assert log.n_actions is not None
    n_folds = int(fold.max()) + 1
    allowed = np.ones((log.n_steps, log.n_actions), np.bool_) if log.action_masks is None else log.action_masks
    table, prior = np.empty(allowed.shape), np.empty(allowed.shape)
    steps = _steps(log)
    for k in range(n_folds):
        own = fold == k
        others = fold != k if n_folds > 1 else own
        part = log.select(others[log.starts[:-1]])
        clone = train(part, "bc", steps=steps, batch_size=_BATCH, seed=seed)
        table[own] = clone.probabilities(
            log.observations[own], masks=None if log.action_masks is None else allowed[own]
        )
        prior[own] = _shares(np.where(allowed[own], _overall(part), 0.0))
    return table, prior


def _calibration(table: FloatArray, prior: FloatArray, actions: IntArray) -> tuple[float, float]:
    """Return the temperature and the share of the prior under which the actions are most likely."""
    best, best_fit = (1.0, SHARES[0]), -np.inf
    taken = np.arange(len(actions)), actions
    for temperature in TEMPERATURES:
        sharp = tempered(table, prior, temperature, 0.0)[taken]
        for share in SHARES:
            fit = float(np.log((1.0 - share) * sharp + share * prior[taken]).sum())
            if fit > best_fit:
                best, best_fit = (temperature, share), fit
    return best
