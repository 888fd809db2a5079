"""History's gain where observations are numbers: in explained variance, by regression.

A basis can be too small for a rough function. History then stands in for what the basis lacks, because successive
observations are near each other. But so are some rows of other episodes. The gain is therefore judged on rows that have
a neighbor in another episode as near as the row before, after the neighbors' residuals have corrected the base: what a
rough function of the observation caused vanishes there, what a hidden state caused stays. Neighbors' residuals measure
what could be explained by the inputs at all, as in the Gamma test (Stefansson, Koncar and Jones 1997).
"""

from __future__ import annotations

import numpy as np

from groundschool.data.checks._comparable import TREE_WIDTH, nearest
from groundschool.data.checks._gain import ALPHA, FOLDS, LEAST_ROWS, LEAST_UNITS, MATERIAL_SHARE, HistoryGain, Rows
from groundschool.data.checks._prediction import Residuals, ridge_residuals
from groundschool.data.checks._sample import folds
from groundschool.data.checks._statistics import mean_above
from groundschool.data.validation import Array

_ROWS = 10_000
_KNOWN = 0.95
_NEIGHBORS = 8
_ACTIONS = 30
_QUERIES, _QUERIES_WIDE = 6_000, 2_000


def by_regression(rows: Rows, at: Array, seed: int) -> HistoryGain | None:
    """Return the gain in explained variance, of the feature that gains most."""
    rng = np.random.default_rng(seed)
    change = rows.then - rows.seen
    if rows.target == "observation":
        at = at[np.isfinite(rows.then[at]).any(axis=1)]
    columns = np.flatnonzero(np.isfinite(change[at]).mean(axis=0) >= _KNOWN) if len(at) else np.zeros(0, np.int64)
    if rows.target == "observation":
        at = at[np.isfinite(change[np.ix_(at, columns)]).all(axis=1)]
        columns = columns[np.ptp(change[np.ix_(at, columns)], axis=0) > 0] if len(at) else columns[:0]
        if not len(columns):
            return None
    order = rng.permutation(int(rows.unit.max()) + 1)
    count = np.cumsum(np.bincount(rows.unit[at], minlength=len(order))[order])
    at = at[np.isin(rows.unit[at], order[: int(np.searchsorted(count, _ROWS)) + 1])]
    unit = np.unique(rows.unit[at], return_inverse=True)[1].reshape(-1)
    if len(at) < LEAST_ROWS or unit.max() < LEAST_UNITS:
        return None
    fold = folds(unit, FOLDS, seed)
    seen, before = _filled(rows.seen, at)
    action, acted = rows.actions[at], rows.actions[at - 1]
    discrete = action.ndim == 1
    past = np.hstack([seen - before, _one_hot(acted) if discrete else acted])
    inputs, previous, kind = seen, before, None
    if rows.target == "action":
        targets = _one_hot(action) if discrete else action
    else:
        targets = change[np.ix_(at, columns)]
        if discrete:
            kind = action
        else:
            inputs, previous = np.hstack([seen, action]), np.hstack([before, acted])
    residuals = ridge_residuals(targets, inputs, kind, past, fold, seed)
    total = np.maximum(np.square(residuals.targets).sum(axis=0), 1e-300)
    base, history = np.square(residuals.base), np.square(residuals.history)
    gains = (base - history).sum(axis=0) / total
    judged = _judge(residuals, inputs, previous, seen.shape[1], kind, fold, unit, rng)
    feature = _best(gains, judged)
    judged_gain, p_value = judged[feature]
    return HistoryGain(
        target=rows.target,
        method="regression",
        gain=float(gains[feature]),
        threshold=MATERIAL_SHARE,
        without=float(1.0 - base[:, feature].sum() / total[feature]),
        with_history=float(1.0 - history[:, feature].sum() / total[feature]),
        judged_gain=judged_gain,
        p_value=min(1.0, p_value * len(gains)),
        history="the step before",
        predicted="the next observation" if rows.target == "observation" else "the action",
        feature=int(columns[feature]) if rows.target == "observation" else None,
        n_rows=len(at),
        n_units=int(unit.max()) + 1,
    )


def _judge(
    residuals: Residuals,
    inputs: Array,
    previous: Array,
    width: int,
    kind: Array | None,
    fold: Array,
    unit: Array,
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """Return the gain left on rows with near neighbors, and its p value, for each target.

    A neighbor is of another fold, has the same `kind` (action), and is at least as near as the row before, both in all
    inputs and in the first `width` of them, the observation.
    """
    points, steps = _together(inputs, previous)
    own = np.linalg.norm(points - steps, axis=1)
    own_seen = np.linalg.norm((points - steps)[:, :width], axis=1)
    asked = rng.permutation(len(points))[: _QUERIES if points.shape[1] <= TREE_WIDTH else _QUERIES_WIDE]
    kind = np.zeros(len(points), np.int64) if kind is None else kind
    elsewhere = np.full(residuals.base.shape, np.nan)
    for k in range(FOLDS):
        for one in np.unique(kind):
            mine = asked[(fold[asked] == k) & (kind[asked] == one)]
            others = np.flatnonzero((fold != k) & (kind == one))
            if not len(mine) or len(others) < _NEIGHBORS:
                continue
            found, distance = nearest(points[others], points[mine], _NEIGHBORS)
            found = others[found]
            seen = np.linalg.norm(points[found][:, :, :width] - points[mine][:, None, :width], axis=2)
            near = ((distance <= own[mine][:, None]) & (seen <= own_seen[mine][:, None])).astype(np.float64)
            share = near / np.where(near.any(axis=1), near.sum(axis=1), np.nan)[:, None]
            elsewhere[mine] = np.einsum("mk,mkj->mj", share, residuals.base[found])
    judged = np.flatnonzero(np.isfinite(elsewhere[:, 0]))
    of_row = np.unique(unit[judged], return_inverse=True)[1].reshape(-1)
    if len(judged) < LEAST_ROWS or of_row.max() + 1 < LEAST_UNITS:
        return [(np.nan, 1.0)] * len(residuals.base.T)
    result = []
    for base, history, near_by, target in zip(
        residuals.base[judged].T,
        residuals.history[judged].T,
        elsewhere[judged].T,
        residuals.targets[judged].T,
        strict=True,
    ):
        share = np.clip(base @ near_by / max(near_by @ near_by, 1e-300), 0.0, 1.0)
        gains = np.square(base - share * near_by) - np.square(history)
        gain = gains.sum() / max(float(np.square(target).sum()), 1e-300)
        result.append((float(gain), mean_above(np.bincount(of_row, weights=gains))))
    return result


def _best(gains: Array, judged: list[tuple[float, float]]) -> int:
    """Return the target that gained most, among those whose gain was confirmed if there are any."""
    confirmed = np.array([gain >= MATERIAL_SHARE and p * len(gains) <= ALPHA for gain, p in judged])
    return int(np.where(confirmed | ~confirmed.any(), gains, -np.inf).argmax())


def _one_hot(actions: Array) -> Array:
    """Return an indicator for each action, of many for the most frequent ones."""
    values, counts = np.unique(actions, return_counts=True)
    return np.asarray(actions[:, None] == values[np.argsort(-counts)[:_ACTIONS]], dtype=np.float64)


def _filled(values: Array, at: Array) -> tuple[Array, Array]:
    """Return the rows at `at` and those before: blanks are the column's mean, and marked in further columns."""
    values = values[:, np.isfinite(values[at]).any(axis=0)]
    means = np.nanmean(values[at], axis=0)
    blank = ~np.isfinite(values)
    marked = blank[at].any(axis=0)
    filled = np.hstack([np.where(blank, means, values), blank[:, marked].astype(np.float64)])
    return filled[at], filled[at - 1]


def _together(one: Array, other: Array) -> tuple[Array, Array]:
    """Return both on the scale on which `one` has standard deviation 1."""
    both = np.vstack([one, other])
    spread = one.std(axis=0)
    spread = np.where(spread > 0, spread, np.inf)
    both = (both - one.mean(axis=0)) / spread
    return both[: len(one)], both[len(one) :]
