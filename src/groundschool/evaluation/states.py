"""Observations as numbered states, where there are few enough of them to be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_VALUES = 1_000  # distinct values of a column that is counted
_LOOKED_AT = 10_000
_TABLE = 50_000_000  # keys that fit a table of presence
_VISITS = 4  # rows a state at least, on average, for observations that are no ids


@dataclass(frozen=True, eq=False)
class States:
    """S states and where they occur.

    A state is an observation together with its action mask, so that a policy says one thing in each.

    Attributes
    ----------
    code : (N,) int64
        The state of each row, 0 to S - 1.
    then : (N,) int64
        The state after each row; -1 where the episode ended there, or where it is unknown.
    count : int
        S; a state that occurs only at the end of an episode counts too.
    first : (S,) int64
        Where each state occurs: a row below N, or N plus an episode whose end it is.
    target : (S, A) float64
        Probabilities of the target policy.
    behavior : (S, A) float64 or None
        Those of the behavior policy, where they are known.
    """

    code: IntArray
    then: IntArray
    count: int
    first: IntArray
    target: FloatArray
    behavior: FloatArray | None


def count_states(observations: NDArray[Any], masks: NDArray[np.bool_] | None) -> tuple[IntArray, int] | None:
    """Number the distinct pairs of an observation and a mask.

    Parameters
    ----------
    observations : (M, d...) float or (M,) int64
        State ids are always counted. Numbers are where every column has few distinct values, and a pair comes four
        times on average.
    masks : (M, A) bool or None

    Returns
    -------
    ((M,) int64, int) or None
        The number of each row, and how many there are; None where they are not counted.
    """
    ids = observations.ndim == 1
    columns = [observations] if ids else list(observations.reshape(len(observations), -1).T)
    if not ids and any(len(np.unique(column[:_LOOKED_AT])) > _VALUES for column in columns):
        return None
    key, size = np.zeros(len(observations), np.int64), 1
    for column in columns:
        coded, width = _code(column)
        if not ids and width > _VALUES:
            return None
        key, size = _join(key, size, coded, width)
    if masks is not None:
        packed = np.packbits(masks, axis=1)
        for column in packed.T:
            key, size = _join(key, size, *_code(column))
    key, size = renumber(key, size)
    if not ids and size * _VISITS > len(key):
        return None
    return key, size


def _join(key: IntArray, size: int, coded: IntArray, width: int) -> tuple[IntArray, int]:
    key = key * width + coded
    size *= width
    return renumber(key, size) if size > _TABLE else (key, size)


def _code(column: NDArray[Any]) -> tuple[IntArray, int]:
    """Number the values of a column, (M,); blanks are a value of their own."""
    whole = column if column.dtype.kind in "iu" else None
    if whole is None and np.isfinite(column).all() and (np.abs(column) < 2**31).all():
        rounded = column.astype(np.int64)
        whole = rounded if (rounded == column).all() else None
    if whole is None:
        values, coded = np.unique(column, return_inverse=True)
        return coded.reshape(-1).astype(np.int64), len(values)
    low, high = (int(whole.min()), int(whole.max())) if len(whole) else (0, 0)
    return renumber(whole.astype(np.int64) - low, high - low + 1)


def renumber(key: IntArray, size: int) -> tuple[IntArray, int]:
    """Renumber keys (N,) in [0, size) in their order without gaps; return the numbers and how many there are."""
    if size <= max(_TABLE // 10, len(key)):
        present = np.zeros(size, np.bool_)
        present[key] = True
        number = np.cumsum(present) - 1
        return number[key], int(number[-1]) + 1 if size else 0
    values, coded = np.unique(key, return_inverse=True)
    return coded.reshape(-1).astype(np.int64), len(values)


def first_rows(code: IntArray, count: int) -> IntArray:
    """Return the first row of each of `count` codes, (count,)."""
    first = np.zeros(count, np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    return first
