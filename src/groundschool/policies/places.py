"""Observations, with what they allow, that can be found again exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """U distinct observations, each with its action mask where the log had masks.

    Attributes
    ----------
    rows : (U, d) float64 or (U,) int64
        In any order, each once. State ids of a log with masks are numbers of the first column; the masks are the last
        columns.
    masked : int
        How many of the columns are a mask: the number of actions, or 0.
    """

    rows: NDArray[Any]
    masked: int = 0

    @classmethod
    def of(cls, observations: ArrayLike, masks: ArrayLike | None) -> tuple[Places, IntArray]:
        """Return the distinct places among M observations, in the order of their bytes; the first row of each, (U,)."""
        masked = 0 if masks is None else np.asarray(masks).shape[1]
        rows = _joined(np.asarray(observations), masks, masked)
        if not len(rows):
            return cls(rows, masked), np.zeros(0, np.int64)
        _, first = np.unique(row_keys(rows), return_index=True)
        return cls(rows[first], masked), first.astype(np.int64)

    @cached_property
    def _keys(self) -> tuple[IntArray, NDArray[Any]]:
        """The order of the places by their keys, and the keys in it."""
        keys = row_keys(self.rows)
        order = np.argsort(keys, kind="stable").astype(np.int64)
        return order, keys[order]

    @cached_property
    def _by_value(self) -> dict[tuple[float | None, ...], int]:
        rows = self.rows[:, None] if self.rows.ndim == 1 else self.rows
        return {_key(values): place for place, values in enumerate(rows.tolist())}

    def locate(self, observations: ArrayLike, masks: ArrayLike | None = None) -> tuple[IntArray, BoolArray]:
        """Return the place of each observation (0 where it is none) and whether it is one; (N,) each."""
        asked = np.asarray(observations)
        if self.masked and masks is None:
            masks = np.ones((len(asked), self.masked), np.bool_)
        rows = _joined(asked, masks, self.masked)
        if rows.ndim != self.rows.ndim or rows.shape[1:] != self.rows.shape[1:]:
            raise InputError(
                f"observations have shape {asked.shape}, expected rows like those of the log: "
                f"{'state ids (N,)' if self.rows.ndim == 1 else f'(N, {self.rows.shape[1] - self.masked})'}."
            )
        if not len(self.rows):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        order, table = self._keys
        keys = row_keys(rows)
        at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        seen = np.asarray(table[at] == keys)
        return np.where(seen, order[at], 0), seen

    def locate_one(self, values: Sequence[float]) -> int:
        """Return the place of one observation (and mask), given as its numbers in a list; -1 if it is none."""
        return self._by_value.get(_key(values), -1)

    def take(self, which: BoolArray) -> Places:
        """Return some of the places, (U,) bool."""
        return dataclasses.replace(self, rows=self.rows[which])

    def points(self) -> FloatArray | None:
        """Return the observations as points (U, d); None for state ids, of which none is near another."""
        if self.rows.ndim == 1 or (self.rows.shape[1] == 1 + self.masked and self.masked):
            return None
        return np.asarray(self.rows[:, : self.rows.shape[1] - self.masked])


def _joined(observations: NDArray[Any], masks: ArrayLike | None, masked: int) -> NDArray[Any]:
    if not masked:
        ids = observations.ndim == 1
        return observations.astype(np.int64) if ids else _flat(observations)
    flat = _flat(observations)
    return np.concatenate([flat, np.asarray(masks, dtype=np.float64)], axis=1)


def _flat(observations: NDArray[Any]) -> FloatArray:
    return observations.reshape(len(observations), math.prod(observations.shape[1:])).astype(np.float64)


def row_keys(observations: NDArray[Any]) -> NDArray[Any]:
    """Return one sortable key a row, equal for equal rows: -0.0 is 0.0, and a blank is a value of its own."""
    if observations.ndim == 1:
        return observations
    flat = np.ascontiguousarray(_flat(observations) + 0.0)
    flat[np.isnan(flat)] = np.nan  # NaNs come in many bits
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()


def _key(values: Sequence[float]) -> tuple[float | None, ...]:
    """Return what is equal for equal observations; a NaN is not equal to itself."""
    return tuple([None if value != value else value for value in values])
