"""What can be bet on where the values of one policy are to be known from the weighted episodes of another.

For outcomes U in [0, 1] and weights W of mean 1, E[W U] is the mean under the target. A lower bound on it may count
less: W limited to q, or, of an episode that is stopped before W passes a threshold, nothing at all. Stopped weights
have mean 1 and lie in [0, threshold], so that c (1 - W) may be added: it has mean 0, and with c near the mean of U it
takes away most of the variance that W alone brings (Karampatziakis, Mineiro & Ramdas 2021, arXiv:2102.09540, bet on
both moments at once). With U = 1 - h, h being any event, the bound is one minus an upper bound on the probability of an
event: c = 0 gives 1 - LCB[W (1 - h)], which needs no limit of the weights, and c = 1 the mean of W where an event
happened or the episode was stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from groundschool.evaluation.bounds.betting import Wager
from groundschool.evaluation.bounds.stopping import Stopping
from groundschool.evaluation.problem import FloatArray, IntArray

LIMITS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
THRESHOLDS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
BASELINES = (0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)
_FIRST = 0.75  # the baseline of a first bet, for outcomes that are good more often than not


def arrange(units: IntArray, seed: int) -> IntArray | None:
    """Return the episodes of each unit, (units, k), the units in a random order; None where they differ in size.

    The order must have nothing to do with what happened, and a log may well be sorted by that.
    """
    sizes = np.bincount(units)
    sizes = sizes[sizes > 0]
    if int(sizes.min()) != int(sizes.max()):
        return None
    members = np.argsort(units, kind="stable").reshape(len(sizes), -1)
    return np.asarray(members[np.random.default_rng(seed).permutation(len(sizes))])


def limited_wagers(
    weights: FloatArray, outcomes: FloatArray, taken: IntArray, limits: Sequence[float] = LIMITS
) -> list[Wager]:
    """Return bets on ``min(W, q) U``, the first without a limit.

    Parameters
    ----------
    weights, outcomes : (E,) float64
        Not negative.
    taken : (n, k) int64
        As `arrange` returns it.
    limits : sequence of float
        The q.
    """
    w, u = weights[taken], outcomes[taken]
    binding = [limit for limit in limits if float(w.max()) > limit]
    cut = [Wager(np.minimum(w, limit), u, shortfall=np.maximum(w - limit, 0.0) * u) for limit in binding]
    return [Wager(w, u), *cut]


def stopped_wagers(
    stopping: Stopping,
    outcomes: FloatArray,
    taken: IntArray,
    thresholds: Sequence[float] = THRESHOLDS,
    baselines: Sequence[float] = BASELINES,
) -> list[Wager]:
    """Return bets on ``W (U - c) + c`` of episodes that are stopped, with U = 0, before W passes a threshold.

    Parameters
    ----------
    stopping : Stopping
    outcomes : (E,) float64
        In [0, 1].
    taken : (n, k) int64
    thresholds : sequence of float
        At least 1 each.
    baselines : sequence of float
        The c, in [0, 1].
    """
    found: list[Wager] = []
    for threshold in thresholds:
        weights, stopped = stopping.at(threshold)
        w, u = weights[taken], np.where(stopped, 0.0, outcomes)[taken]
        shortfall = np.where(stopped, weights, 0.0)[taken]
        found.extend(Wager(w, u, c, c * (1.0 - threshold), shortfall) for c in baselines)
        if not stopped.any():
            break
    return found


def steadied_wagers(
    weights: FloatArray,
    steady: Stopping,
    outcomes: FloatArray,
    taken: IntArray,
    thresholds: Sequence[float] = THRESHOLDS,
    baselines: Sequence[float] = BASELINES,
) -> list[Wager]:
    """Return bets on ``W U + c (1 - Z)``, where Z are other weights of mean 1 that go along with W and have a limit.

    W itself needs none. Parameters as for `stopped_wagers`, and `weights` (E,) that are not negative.
    """
    found: list[Wager] = []
    for threshold in thresholds:
        others, stopped = steady.at(threshold)
        spared = (1.0 - others)[taken]
        w, u = weights[taken], outcomes[taken]
        found.extend(Wager(w, u, 0.0, c * (1.0 - threshold), beside=c * spared) for c in baselines)
        if not stopped.any():
            break
    return found


def all_wagers(
    weights: FloatArray,
    outcomes: FloatArray,
    taken: IntArray,
    stopping: Stopping | None = None,
    steady: Stopping | None = None,
    usual_weight: float | None = None,
) -> list[Wager]:
    """Return every bet on the mean of W U that what is known of the weights allows.

    Parameters
    ----------
    weights, outcomes : (E,) float64
        Not negative, of mean 1 at most; in [0, 1].
    taken : (n, k) int64
        As `arrange` returns it.
    stopping : Stopping, optional
        Where the largest ratios are known: of the weights themselves.
    steady : Stopping, optional
        Of other weights; see `steadied_wagers`.
    usual_weight : float, optional
        At least 1. Bets on weights that are stopped there come first: nothing else is known before the first unit.
    """
    found = limited_wagers(weights, outcomes, taken)
    if stopping is not None:
        found += stopped_wagers(stopping, outcomes, taken)
        if usual_weight is not None:
            found = stopped_wagers(stopping, outcomes, taken, (usual_weight,), (_FIRST,)) + found
    elif steady is not None:
        found += steadied_wagers(weights, steady, outcomes, taken)
        if usual_weight is not None:
            found = steadied_wagers(weights, steady, outcomes, taken, (usual_weight,), (_FIRST,)) + found
    return found


def paired_wagers(wagers: Sequence[Wager], of_logger: FloatArray, taken: IntArray) -> list[Wager]:
    """Return bets on ``W U + 1 - L`` from bets on W U: one more than the target's mean is above the logger's.

    Parameters
    ----------
    wagers : sequence of Wager
    of_logger : (E,) float64
        L, in [0, 1]: what an episode counts for the logger.
    taken : (n, k) int64
        As `arrange` returns it.
    """
    beside = (1.0 - of_logger)[taken]
    return [replace(w, beside=beside if w.beside is None else beside + w.beside) for w in wagers]
