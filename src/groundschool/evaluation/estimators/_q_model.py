"""Action values of the target at every row, from a model fitted to other episodes: what `dr` leans on.

The value of a row is the mean of its action values under the target, exactly, whatever the model: that is what keeps
`dr` unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

_SHRINKAGE = 0.05  # pseudo-count of a state's own mix over its actions


@dataclass(frozen=True, eq=False)
class RowValues:
    """Values at each row, with the steps that are left there.

    Attributes
    ----------
    taken : (N,) float64
        Of the logged action.
    now : (N,) float64
        Of the observation, under the target.
    after : (N,) float64
        Of the next observation, one step later; 0 where nothing more can come, NaN where that is unknown.
    """

    taken: FloatArray
    now: FloatArray
    after: FloatArray

    @classmethod
    def zero(cls, problem: Problem) -> RowValues:
        """No model at all."""
        nothing = np.zeros(problem.n_rows)
        return cls(nothing, nothing, nothing)


def cross_fitted(problem: Problem, folds: int, seed: int) -> RowValues:
    """Fit values on the other folds of units: from counts where states are counted, else by regression."""
    if problem.n_units < 2:
        return RowValues.zero(problem)
    fold = fold_of_episode(problem.units, folds, seed)
    if problem.states is not None:
        return counted(problem, fold)
    from groundschool.evaluation.estimators._q_regression import regressed

    return regressed(problem, fold, seed)


def counted(problem: Problem, fold: IntArray, shrinkage: float = _SHRINKAGE) -> RowValues:
    """Values by backward recursion over the horizon in models counted from the other folds, rows pooled over time.

    A pair of a state and an action is shrunk toward what its state does over all actions, by a pseudo-count; a state
    that the other folds never met is worth what theirs are on average.
    """
    states = problem.states
    assert states is not None
    S, A, K = states.count, problem.n_actions, int(fold.max()) + 1
    row_fold = np.repeat(fold, problem.lengths)
    known = problem.ended | (states.then >= 0)
    pair = states.code * A + problem.actions
    goes = known & ~problem.ended
    cell = row_fold[known] * (S * A) + pair[known]
    own = np.bincount(cell, minlength=K * S * A).reshape(K, S, A)
    signal = np.bincount(cell, weights=problem.signal[known], minlength=K * S * A).reshape(K, S, A)
    n, r = own.sum(axis=0) - own, signal.sum(axis=0) - signal
    moves = _moves(row_fold[goes], pair[goes], states.then[goes], (K, S, A))
    visits = n.sum(axis=2)
    met = visits > 0.0
    share = visits / np.maximum(visits.sum(axis=1, keepdims=True), 1.0)

    order = np.argsort(problem.step, kind="stable")
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(problem.step))])
    found = RowValues(np.zeros(problem.n_rows), np.zeros(problem.n_rows), np.where(known, 0.0, np.nan))
    value = np.zeros((K, S))
    for t in reversed(range(problem.horizon)):
        sums = r + problem.discount * (moves @ value.ravel()).reshape(K, S, A)
        mix = sums.sum(axis=2) / np.maximum(visits, 1.0)
        q = (sums + shrinkage * mix[..., None]) / (n + shrinkage)
        value = (states.target * q).sum(axis=2)
        unmet = (share * value).sum(axis=1)
        q = np.where(met[..., None], q, unmet[:, None, None])
        value = np.where(met, value, unmet[:, None])
        if t < len(begins) - 1:
            rows = order[begins[t] : begins[t + 1]]
            found.taken[rows] = q[row_fold[rows], states.code[rows], problem.actions[rows]]
            found.now[rows] = value[row_fold[rows], states.code[rows]]
        if 1 <= t < len(begins):
            rows = order[begins[t - 1] : begins[t]]
            rows = rows[goes[rows]]
            found.after[rows] = value[row_fold[rows], states.then[rows]]
    found.after[problem.step + 1 >= problem.horizon] = 0.0
    return found


def _moves(fold: IntArray, pair: IntArray, then: IntArray, shape: tuple[int, int, int]) -> Any:
    """Count moves from pairs to next states in all folds but each one: a sparse matrix (K * S * A, K * S)."""
    K, S, A = shape
    kinds, number = np.unique(pair * S + then, return_inverse=True)
    size = len(kinds)
    own = np.bincount(fold * size + number.reshape(-1), minlength=K * size).reshape(K, size)
    part, kind = np.nonzero(own.sum(axis=0) - own)
    counts = (own.sum(axis=0) - own)[part, kind].astype(np.float64)
    return sparse.csr_matrix(
        (counts, (part * (S * A) + kinds[kind] // S, part * S + kinds[kind] % S)), shape=(K * S * A, K * S)
    )
