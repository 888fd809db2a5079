"""A policy known from a log of it: by place where it was met, from near by where it was not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.places import Places
from groundschool.policies.policy import BoolArray, DiscretePolicy, FloatArray, apply_masks
from groundschool.policies.record import TrainingRecord

NEAR = 0.2  # standard deviations of an observation
_TOLERANCE = 1e-6
_BLOCK = 4_000_000  # distances at once


class CountedPolicy(DiscretePolicy):
    """Action probabilities by place; elsewhere those of the nearest places.

    Parameters
    ----------
    name : str
    places : Places
    table : (U, A) float64
        Rows are distributions.
    overall : (A,) float64
        What is done where nothing near is known: state ids have no neighbors.
    scale : (d,) float64 or None
        One standard deviation of each number of an observation; None for state ids.
    exact : (U, A) bool, optional
        Which probabilities are known rather than guessed; none unless said.
    training : TrainingRecord, optional

    Raises
    ------
    InputError
        If a row is not a distribution (tolerance 1e-6), or there is not one for each place.
    """

    def __init__(
        self,
        name: str,
        places: Places,
        table: FloatArray,
        overall: FloatArray,
        scale: FloatArray | None,
        exact: BoolArray | None = None,
        training: TrainingRecord | None = None,
    ) -> None:
        rows = np.concatenate([table, overall[None]]) if table.ndim == 2 and table.shape[1:] == overall.shape else None
        if rows is None or len(table) != len(places.rows):
            raise InputError(
                f"policy {name!r}: a table of shape {table.shape} for {len(places.rows)} places and {overall.shape} "
                "actions, expected a row for each place."
            )
        if not np.isfinite(rows).all() or (rows < 0).any() or (np.abs(rows.sum(axis=1) - 1.0) > _TOLERANCE).any():
            raise InputError(f"policy {name!r}: expected probabilities that sum to 1 in each place.")
        self.name, self.n_actions = name, int(table.shape[1])
        self.places, self.table, self.overall, self.scale = places, table, overall, scale
        self.exact = np.zeros(table.shape, np.bool_) if exact is None else exact
        self.training = training

    @classmethod
    def as_logged(cls, observations: NDArray[Any], counts: ArrayLike, name: str = "as logged") -> CountedPolicy:
        """Return what was logged as a policy: each action in the share in which it was taken there.

        Behavior cloning by counts, for ids and for observations of few whole numbers. An observation that was never
        logged gets the shares of the whole log.

        Parameters
        ----------
        observations : array, shape (U, d) of float64, or (U,) int64 ids
            The distinct logged observations.
        counts : array, shape (U, n_actions)
            How often each action was logged there; at least one in each row.
        name : str

        Raises
        ------
        InputError
            If counts are no counts, or do not fit the observations.
        """
        found = np.asarray(counts, dtype=np.float64)
        if found.ndim != 2 or len(found) != len(observations) or not len(found):
            raise InputError(f"counts: expected shape ({len(observations)}, n_actions), got {found.shape}.")
        if not np.isfinite(found).all() or (found < 0).any() or (found.sum(axis=1) <= 0).any():
            raise InputError("counts: expected at least one logged action in each observation, and none below 0.")
        overall = found.sum(axis=0)
        table = np.asarray(found / found.sum(axis=1, keepdims=True))
        return cls(name, Places(observations), table, overall / overall.sum(), None, np.ones(found.shape, np.bool_))

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions): exact where the place is known."""
        x = np.asarray(observations)
        if len(x) == 1 and not self.places.masked and (x.ndim == 1) == (self.places.rows.ndim == 1):
            one = self.places.locate_one(x.reshape(-1).tolist())
            if one >= 0:
                return apply_masks(self.table[one : one + 1], masks)
        place, seen = self.places.locate(x, masks)
        found = self.table[place] if len(self.table) else np.tile(self.overall, (len(place), 1))
        if not seen.all():
            found[~seen] = self._elsewhere(x[~seen])
        return apply_masks(found, masks)

    def _elsewhere(self, observations: NDArray[Any]) -> FloatArray:
        points = self.places.points()
        if points is None or self.scale is None or not len(points):
            return np.tile(self.overall, (len(observations), 1))
        asked = observations.reshape(len(observations), -1).astype(np.float64)
        return near(asked / self.scale, points / self.scale, self.table)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts from which ``groundschool.load`` rebuilds this policy."""
        tensors = {"places": self.places.rows, "table": self.table, "overall": self.overall, "exact": self.exact}
        if self.scale is not None:
            tensors["scale"] = self.scale
        return tensors, {
            "kind": "counted",
            "name": self.name,
            "n_actions": self.n_actions,
            "masked": self.places.masked,
            "training": None if self.training is None else self.training.to_json(),
        }


def near(asked: FloatArray, points: FloatArray, table: FloatArray, width: float = NEAR) -> FloatArray:
    """Return the mean of rows of a table, the nearest counting most, (N, A).

    Parameters
    ----------
    asked : (N, d)
    points : (U, d)
    table : (U, A)
    width : float
        Of the normal kernel. The nearest point counts, however far it is.
    """
    asked, points = np.nan_to_num(asked), np.nan_to_num(points)
    size = np.square(points).sum(axis=1)
    found = np.empty((len(asked), table.shape[1]))
    block = max(1, _BLOCK // max(len(points), 1))
    for begin in range(0, len(asked), block):
        rows = asked[begin : begin + block]
        distance = np.maximum(np.square(rows).sum(axis=1)[:, None] + size - 2.0 * rows @ points.T, 0.0)
        distance -= distance.min(axis=1, keepdims=True)
        weight = np.exp(-distance / (2.0 * width**2))
        found[begin : begin + block] = weight @ table / weight.sum(axis=1, keepdims=True)
    return found
