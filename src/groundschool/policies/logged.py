"""What was logged, as a policy: in each observation the actions in the shares in which they were taken there."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.novelty import Counted
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


class LoggedPolicy(DiscretePolicy):
    """Behavior cloning by counts, for ids and for observations of few whole numbers.

    Parameters
    ----------
    observations : array, shape (U, d) of float64, or (U,) int64 ids
        The distinct logged observations.
    counts : array, shape (U, n_actions)
        How often each action was logged there; at least one in each row. An observation that was never logged gets
        the shares of the whole log.
    shape : tuple of int
        Of one observation; ``()`` for ids.
    name : str

    Raises
    ------
    InputError
        If counts are no counts, or do not fit the observations.
    """

    def __init__(
        self, observations: NDArray[Any], counts: NDArray[Any], shape: tuple[int, ...], name: str = "as logged"
    ) -> None:
        found = np.asarray(counts, dtype=np.float64)
        if found.ndim != 2 or len(found) != len(observations) or not len(found):
            raise InputError(f"counts: expected shape ({len(observations)}, n_actions), got {found.shape}.")
        if not np.isfinite(found).all() or (found < 0).any() or (found.sum(axis=1) <= 0).any():
            raise InputError("counts: expected at least one logged action in each observation, and none below 0.")
        self.observations = observations
        self.counts = found
        self.shape = tuple(shape)
        self.name = name
        self.n_actions = found.shape[1]
        self._places = Counted(observations, np.ones(len(found), np.int64), 1)

    @cached_property
    def _table(self) -> FloatArray:
        rows = np.concatenate([self.counts, self.counts.sum(axis=0, keepdims=True)])  # the last one: never logged
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return the logged shares of actions, shape (N, n_actions)."""
        x = np.asarray(observations)
        if x.ndim != 1 + len(self.shape) or x.shape[1:] != self.shape:
            raise InputError(f"policy {self.name!r}: expected observations of shape (N, *{self.shape}), got {x.shape}.")
        if len(x) == 1:
            place = self._places.locate_one(x.reshape(-1).tolist())
            return apply_masks(self._table[place : place + 1] if place >= 0 else self._table[-1:], masks)
        return apply_masks(self._table[self._places.locate(x)], masks)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the counts and the facts from which ``groundschool.load`` rebuilds this policy."""
        facts = {"kind": "logged", "name": self.name, "n_actions": self.n_actions, "shape": list(self.shape)}
        return {"observations": self.observations, "counts": self.counts}, facts
