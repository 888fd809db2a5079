"""The policy that wrote a log, as far as its logged propensities tell: exact where they were logged."""

from __future__ import annotations

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._behavior_model import cloned
from groundschool.evaluation.behavior import FOLDS, estimate_behavior, logged_behavior
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.states import count_states
from groundschool.evaluation.units import units_of
from groundschool.policies.counted import NEAR, CountedPolicy
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.places import Places
from groundschool.policies.policy import BoolArray, FloatArray, IntArray
from groundschool.policies.tempered import TemperedPolicy

_WHOLE = 1e-6  # of probability that may be missing where all actions are known
_AGREE = 1e-4  # propensities that differ by less are the same
_EXAMPLES = 2_000  # places whose distributions are known, the most visited ones
_BLOCK = 4_000_000
# Of networks: what a propensity says against what the action that was drawn says, and how long they train.
_WEIGHT, _NETWORKS, _RATE, _BATCH = 100.0, 4, 1e-2, 256
_EPOCHS, _STEPS = 60, (1_000, 8_000)


def recall_logger(log: Dataset, *, seed: int = 0) -> CountedPolicy | NetworkPolicy | TemperedPolicy:
    """Return the logger as a policy.

    Measured observations, nearly all different, need a network: one whose probabilities come near the logged
    propensities, or without them a clone that is tempered and mixed as `estimate_behavior` says. It is right nearly
    everywhere, and exact nowhere.

    Else the logger is read off by counting. In each place (an observation with its mask) an action that was logged
    keeps its propensity. What is left over goes to actions that were not logged there as in places where all is known
    and whose propensities agree with those that were logged here, the nearest counting most; else as in places near by.
    Elsewhere it does what it does near by. Without propensities they are estimated, see `estimate_behavior`.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    seed : int
        Where propensities are estimated, or networks trained.

    Raises
    ------
    InputError
        If actions are continuous, or measured observations hold blanks that nothing replaces.
    """
    if log.n_actions is None:
        raise InputError("the log has continuous actions, and only the logger of discrete ones can be recalled.")
    if log.n_actions > 1 and count_states(log.observations, log.action_masks) is None:
        return _recalled_by_network(log, seed)
    places, first = Places.of(log.observations, log.action_masks)
    U, A = len(first), log.n_actions
    allowed = np.ones((U, A), np.bool_) if log.action_masks is None else log.action_masks[first]
    place, _ = places.locate(log.observations, log.action_masks)
    pair = place * A + log.actions
    rows: IntArray = np.bincount(pair, minlength=U * A).reshape(U, A).astype(np.int64)
    points = places.points()
    scale = (
        None if points is None else np.maximum(np.nan_to_num(log.observations.reshape(log.n_steps, -1)).std(0), 1e-9)
    )
    if log.propensities is None:
        behavior = estimate_behavior(log, seed=seed).table
        assert behavior is not None
        table, exact = behavior[first], np.zeros((U, A), np.bool_)
    else:
        sums = np.bincount(pair, weights=log.propensities, minlength=U * A).reshape(U, A)
        known = np.divide(sums, rows, out=np.zeros((U, A)), where=rows > 0)
        table = _completed(known, rows, allowed, None if points is None or scale is None else points / scale)
        exact = (rows > 0) & (np.abs(table - known) < _WHOLE)
    share = rows.sum(axis=1) / rows.sum()
    return CountedPolicy(
        "logger, recalled",
        places,
        table,
        np.asarray(share @ table),
        None if scale is None else np.asarray(scale, np.float64),
        exact,
    )


def _recalled_by_network(log: Dataset, seed: int) -> NetworkPolicy | TemperedPolicy:
    """Return a network near the logged propensities; a calibrated clone where there are none."""
    if log.propensities is None:
        return cloned(log, np.repeat(fold_of_episode(units_of(log), FOLDS, seed), log.lengths), seed)
    from groundschool.training import train

    logged_behavior(log)
    steps = int(np.clip(log.n_steps * _EPOCHS // _BATCH, *_STEPS))
    return train(
        log, "bc", steps=steps, seed=seed, name="logger, recalled", batch_size=_BATCH, networks=_NETWORKS,
        learning_rate=_RATE, propensity_weight=_WEIGHT,
    )  # fmt: skip


def _completed(known: FloatArray, rows: IntArray, allowed: BoolArray, points: FloatArray | None) -> FloatArray:
    """Fill in the probabilities of actions that were not logged in a place, (U, A)."""
    logged, visits = rows > 0, rows.sum(axis=1)
    missing = 1.0 - known.sum(axis=1)
    open_ = allowed & ~logged
    lacking = (missing > _WHOLE) & open_.any(axis=1)
    whole = np.flatnonzero(~lacking)
    examples = whole[np.argsort(-visits[whole], kind="stable")[:_EXAMPLES]]
    asked = np.flatnonzero(lacking)
    # Those that were visited most stand for all where nothing is known in full.
    others = examples if len(examples) else np.argsort(-visits, kind="stable")[:_EXAMPLES]
    found = known.copy()
    block = max(1, _BLOCK // max(len(others) * known.shape[1], 1))
    for begin in range(0, len(asked), block):
        some = asked[begin : begin + block]
        apart = np.where(logged[some][:, None, :], np.abs(known[some][:, None] - known[others]), 0.0).max(axis=2)
        alike = (apart < _AGREE) & bool(len(examples))
        usable = alike | ~alike.any(axis=1, keepdims=True)
        weight = np.where(usable, _nearness(points, some, others, usable, visits), 0.0)
        guess = np.where(open_[some], weight @ known[others], 0.0)
        total = guess.sum(axis=1, keepdims=True)
        flat = open_[some] / open_[some].sum(axis=1, keepdims=True)
        guess = np.where(total > 1e-9, guess / np.maximum(total, 1e-9), flat)
        found[some] += missing[some][:, None] * guess
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _nearness(
    points: FloatArray | None, some: IntArray, others: IntArray, usable: BoolArray, visits: IntArray
) -> FloatArray:
    if points is None:
        return np.broadcast_to(visits[others].astype(np.float64), usable.shape)
    here, there = np.nan_to_num(points[some]), np.nan_to_num(points[others])
    distance = np.square(here).sum(axis=1)[:, None] + np.square(there).sum(axis=1) - 2.0 * here @ there.T
    distance -= np.where(usable, distance, np.inf).min(axis=1, keepdims=True)
    return np.asarray(np.exp(-np.maximum(distance, 0.0) / (2.0 * NEAR**2)))
