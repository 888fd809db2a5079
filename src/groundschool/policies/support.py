"""Which actions the log supports in a state it has seen: the simplest cure for acting where nobody looked.

A value learner that maximises over actions never logged in a state maximises over its own errors. The rule is that of
discrete BCQ (Fujimoto et al. 2019, arXiv:1910.01708) on counts: an action is supported where it was logged at least
``min_count`` times and at least ``min_share`` times as often as the state's most frequent action, which itself is
always supported. A state the log never saw supports every action: there the network alone speaks.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.encoding import few_whole_numbers
from groundschool.policies.places import Places, row_keys


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
        return self._places.locate(observations)

    @cached_property
    def _places(self) -> Places:
        return Places(self.observations)


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
    places, _ = Places.of(observations, None)
    place, _ = places.locate(observations)
    counts = np.bincount(place * n_actions + np.asarray(actions), minlength=len(places.rows) * n_actions)
    counts = counts.reshape(-1, n_actions)
    most = counts.max(axis=1, keepdims=True)
    return Support(places.rows, ((counts >= min_count) & (counts >= min_share * most)) | (counts == most))
