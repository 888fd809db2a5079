"""A policy known from a log of it: by place where it was met, from near by where it was not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.places import Places
from groundschool.policies.policy import BoolArray, DiscretePolicy, FloatArray, apply_masks
from groundschool.policies.record import TrainingRecord

NEAR = 0.2  # standard deviations of an observation
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
        self.name, self.n_actions = name, int(table.shape[1])
        self.places, self.table, self.overall, self.scale = places, table, overall, scale
        self.exact = np.zeros(table.shape, np.bool_) if exact is None else exact
        self.training = training

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions): exact where the place is known."""
        place, seen = self.places.locate(observations, masks)
        found = self.table[place] if len(self.table) else np.tile(self.overall, (len(place), 1))
        if not seen.all():
            found[~seen] = self._elsewhere(np.asarray(observations)[~seen])
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
