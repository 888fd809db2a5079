"""Action values by ridge regression, for observations that cannot be counted: rough, cheap, and enough to lean on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from groundschool.evaluation.estimators._q_model import RowValues
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

_ROWS = 25_000  # rows that models are fitted to at most, each fold's to those of the others
_COLUMNS = 200  # columns that are used as they are; more are mixed at random into so many
_QUADRATIC = 8  # columns up to which squares, products and waves are features too
_WAVES = 50
_SMALL = 0.45  # size of a wave: a tenth of a column's variance, so that ridge tries columns first
_FAR = 5.0  # standard deviations beyond which a value is held there
_RIDGE = 1e-3  # rows' worth of belief that nothing matters, a row
_ALIKE = 10.0  # rows' worth of belief that all actions are alike

Solve = Callable[[FloatArray], FloatArray]


def regressed(problem: Problem, fold: IntArray, seed: int) -> RowValues:
    """Values by fitted recursion over steps, linear in features of the observation with a set for each action.

    From the last step of the horizon backward, the signal plus the discounted value of the next observation one step
    later is regressed on features of the observation, rows pooled over time: first alike for all actions, then what
    each action adds, both by ridge. Features are standardized columns; where those are few also their squares and
    products and random waves (Rahimi & Recht 2007, Random Features for Large-Scale Kernel Machines). With k steps to
    go a value is held within k times the smallest and the largest signal logged, and within 0 and 1 for a probability.
    """
    rng = np.random.default_rng(seed)
    n_rows, horizon = problem.n_rows, problem.horizon
    then, next_target = _next(problem)
    features = _features(problem, rng)
    goes = then >= 0
    row_fold = np.repeat(fold, problem.lengths)
    found = RowValues(np.zeros(n_rows), np.zeros(n_rows), np.where(goes | problem.ended, 0.0, np.nan))
    use = np.flatnonzero(goes | problem.ended)
    if len(use) > _ROWS:
        use = rng.choice(use, _ROWS, replace=False)
    use = use[np.argsort(problem.actions[use], kind="stable")]
    # All folds' models are worked out at once: a row of the log is then read once a step.
    others = row_fold[use] != np.arange(int(fold.max()) + 1)[:, None]
    solve = _solver(features[use], problem.actions[use], problem.n_actions, others)
    in_use = np.flatnonzero(goes[use])
    onward = use[in_use]
    ahead, ahead_target = _narrow(features[then[onward]].T), _narrow(next_target[onward].T)
    order = np.argsort(problem.step, kind="stable")
    begins = np.searchsorted(problem.step[order], np.arange(horizon + 1))
    coming = np.zeros(others.shape)
    for t in reversed(range(horizon)):
        weights = solve(problem.signal[use] + problem.discount * coming)
        low, high = _possible(problem, horizon - t)
        q = np.clip(_narrow(weights).reshape(-1, len(ahead)) @ ahead, low, high)
        coming[:, in_use] = np.einsum("aki,ai->ki", q.reshape(*weights.shape[:2], -1), ahead_target)
        rows = order[begins[t] : begins[t + 1]]
        q = np.clip(_of_fold(features[rows], weights, row_fold[rows]), low, high)
        found.taken[rows] = q[np.arange(len(rows)), problem.actions[rows]]
        found.now[rows] = (q * problem.target[rows]).sum(axis=1)
        rows = order[begins[t - 1] : begins[t]] if t else order[:0]
        rows = rows[goes[rows]]
        q = np.clip(_of_fold(features[then[rows]], weights, row_fold[rows]), low, high)
        found.after[rows] = (q * next_target[rows]).sum(axis=1)
    found.after[problem.step + 1 >= horizon] = 0.0
    return found


def _next(problem: Problem) -> tuple[IntArray, FloatArray]:
    """Say where the observation after each row is, and what the target does there.

    Returns
    -------
    (N,) int64
        A row, or N plus an episode whose final observation it is; -1 where nothing follows or what does is unknown.
    (N, A) float64
        Zero where it is -1.
    """
    then, target = np.arange(1, problem.n_rows + 1), np.zeros_like(problem.target)
    target[:-1] = problem.target[1:]
    last = problem.last
    then[last], target[last] = -1, 0.0
    if problem.final_target is not None and problem.final_observations is not None:
        told = np.flatnonzero(np.isfinite(problem.final_target).all(axis=1))
        then[last[told]], target[last[told]] = problem.n_rows + told, problem.final_target[told]
    then[problem.ended], target[problem.ended] = -1, 0.0
    return then, target


def _features(problem: Problem, rng: np.random.Generator) -> FloatArray:
    """Features of the observations at rows and, after them, at the ends of episodes, (N + E, f)."""
    seen = np.asarray(problem.observations, dtype=np.float64).reshape(problem.n_rows, -1)
    if problem.final_observations is not None:
        ends = np.asarray(problem.final_observations, dtype=np.float64).reshape(problem.n_episodes, -1)
        seen = np.concatenate([seen, ends])
    blank = ~np.isfinite(seen[: problem.n_rows])
    missing = ~np.isfinite(seen)
    inside = np.where(blank, 0.0, seen[: problem.n_rows])
    count = np.maximum((~blank).sum(axis=0), 1)
    mean = inside.sum(axis=0) / count
    spread = np.sqrt((np.square(inside - mean) * ~blank).sum(axis=0) / count)
    varied = spread > 1e-12 * np.maximum(np.abs(mean), 1.0)
    columns = np.where(missing, 0.0, seen - mean)[:, varied] / spread[varied]
    columns = np.concatenate([np.clip(columns, -_FAR, _FAR), missing[:, blank.any(axis=0)]], axis=1)
    d = columns.shape[1]
    if d > _COLUMNS:
        columns = columns @ rng.normal(0.0, d**-0.5, (d, _COLUMNS))
    parts = [np.ones((len(columns), 1)), columns]
    if 1 <= d <= _QUADRATIC:
        first, second = np.triu_indices(d)
        parts.append(columns[:, first] * columns[:, second])
        waves = columns @ rng.normal(0.0, 1.5 * d**-0.5, (d, _WAVES)) + rng.uniform(0.0, 2.0 * np.pi, _WAVES)
        parts.append(_SMALL * np.cos(waves))
    return np.concatenate(parts, axis=1)


def _solver(features: FloatArray, actions: IntArray, n_actions: int, others: NDArray[np.bool_]) -> Solve:
    """Prepare K regressions on the same rows, sorted by action: from what is to be explained to coefficients.

    Each action is drawn by ridge toward what explains all of them alike. Model k learns from the rows where
    ``others[k]``. It takes (K, n) and returns (A, K, f).
    """
    ends = np.cumsum(np.bincount(actions, minlength=n_actions))
    spans = [slice(int(end - size), int(end)) for end, size in zip(ends, np.diff(ends, prepend=0), strict=True)]
    width, rows = np.eye(features.shape[1]), others.sum(axis=1)[:, None, None]
    gram = np.empty((n_actions, len(others), *width.shape))
    for a, span in enumerate(spans):
        whole = features[span].T @ features[span]
        for k, other in enumerate(others):
            left_out = features[span][~other[span]]
            gram[a, k] = whole - left_out.T @ left_out
    alike = np.linalg.inv(gram.sum(axis=0) + (_RIDGE * rows + 1e-9) * width)
    apart = np.linalg.inv(gram + _ALIKE * width)
    narrow = _narrow(features)

    def solve(explained: FloatArray) -> FloatArray:
        learned = _narrow(np.where(others, explained, 0.0))
        moments = np.stack([learned[:, span] @ narrow[span] for span in spans]).astype(np.float64)[..., None]
        weights = apart @ (moments + _ALIKE * (alike @ moments.sum(axis=0)))
        return np.asarray(weights[..., 0])

    return solve


def _of_fold(features: FloatArray, weights: FloatArray, fold: IntArray) -> FloatArray:
    """Values (n, A) of rows by the model of their fold, for weights (A, K, f)."""
    A, K, f = weights.shape
    values = (features @ weights.reshape(A * K, f).T).reshape(-1, A, K)
    return np.asarray(values[np.arange(len(fold)), :, fold])


def _narrow(matrix: FloatArray) -> NDArray[np.float32]:
    """In single precision and one piece: products with few vectors wait for memory, and ridge needs no more."""
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _possible(problem: Problem, steps: int) -> tuple[float, float]:
    """Return what a value with so many steps to go can be, from the signals logged."""
    low, high = min(float(problem.signal.min()), 0.0) * steps, max(float(problem.signal.max()), 0.0) * steps
    return (max(low, 0.0), min(high, 1.0)) if problem.question.kind == "probability" else (low, high)
