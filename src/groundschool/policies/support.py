"""Which actions the log supports in a state it has seen: the simplest cure for acting where nobody looked.

A value learner that maximises over actions never logged in a state maximises over its own errors. The rule is that of
discrete BCQ (Fujimoto et al. 2019, arXiv:1910.01708) on counts: an action is supported where it was logged at least
``min_count`` times and at least ``min_share`` times as often as the state's most frequent action, which itself is
always supported. A state the log never saw supports every action: there the network alone speaks.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.encoding import few_whole_numbers


@dataclasses.dataclass(frozen=True)
class Support:
    """Supported actions by distinct observation.

    Attributes
    ----------
    observations : array, shape (U, d) of float64, or (U,) int64 ids
        The distinct observations of the training part, in sorted order.
    allowed : bool array, shape (U, n_actions)
    """

    observations: NDArray[Any]
    allowed: NDArray[np.bool_]

    def __call__(self, observations: ArrayLike) -> NDArray[np.bool_]:
        """Return supported actions, shape (N, n_actions); all True where the observation was never logged."""
        rows, seen = self.locate(observations)
        return self.allowed[rows] | ~seen[:, None]

    def locate(self, observations: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the row of each observation (0 where unseen) and whether it was seen; both shape (N,)."""
        keys = row_keys(np.asarray(observations).astype(self.observations.dtype))
        table = row_keys(self.observations)
        rows = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        seen = table[rows] == keys
        return np.where(seen, rows, 0), seen


def is_discrete(observations: NDArray[Any]) -> bool:
    """Whether observations are ids, or rows of few whole numbers visited often enough to be counted."""
    if observations.ndim == 1:
        return True
    flat = observations.reshape(len(observations), -1)
    if any(few_whole_numbers(flat[:, index].astype(np.float64)) is None for index in range(flat.shape[1])):
        return False
    return len(np.unique(row_keys(flat))) * 4 <= len(flat)


def fit_support(
    observations: ArrayLike, actions: ArrayLike, n_actions: int, *, min_count: int, min_share: float
) -> Support:
    """Count actions by distinct observation and keep the supported ones.

    Parameters
    ----------
    observations : array, shape (N, d...) or (N,) integer ids
    actions : int array, shape (N,)
    n_actions : int
    min_count : int
        Fewest times an action must have been logged in the state.
    min_share : float in [0, 1]
        Fewest times relative to the state's most frequent action.
    """
    x = np.asarray(observations)
    flat = x.astype(np.int64) if x.ndim == 1 else x.reshape(len(x), -1).astype(np.float64)
    _, first, inverse = np.unique(row_keys(flat), return_index=True, return_inverse=True)
    counts = np.bincount(inverse * n_actions + np.asarray(actions), minlength=len(first) * n_actions)
    counts = counts.reshape(len(first), n_actions)
    most = counts.max(axis=1, keepdims=True)
    return Support(flat[first], ((counts >= min_count) & (counts >= min_share * most)) | (counts == most))


def row_keys(observations: NDArray[Any]) -> NDArray[Any]:
    """Return one sortable key a row."""
    if observations.ndim == 1:
        return observations
    flat = np.ascontiguousarray(observations.reshape(len(observations), -1).astype(np.float64) + 0.0)
    flat[np.isnan(flat)] = np.nan  # a blank is a value of its own, and NaNs come in many bits
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
