"""What an observation must be before anybody acts on it: its shape, its kind of number, its blanks and its ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError

FINE, NOT_FINITE, OUT_OF_RANGE = 0, 1, 2
_LARGEST_ID = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True, eq=False)
class Schema:
    """The observations of a log, as a contract for those to come.

    Attributes
    ----------
    shape : tuple of int
        Of one observation, ``()`` for state ids.
    dtype : str
        Of the log's observations: whatever comes is turned into it, so that it is compared with what was logged.
    names : tuple of str
        One for each number of an observation: those of the log's features, else ``x0``, ``x1`` ... (``state`` for
        ids). Rules call them by these.
    low, high : array, shape (d,)
        The range of each number, its ends included.
    blanks : bool array, shape (d,)
        Where a NaN is no fault, as the policy replaces it.

    Raises
    ------
    InputError
        If the parts do not fit each other.
    """

    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    blanks: NDArray[np.bool_]

    def __post_init__(self) -> None:
        width = self.width
        if not len(self.names) == len(self.low) == len(self.high) == len(self.blanks) == width:
            raise InputError(f"schema: names, ranges and blanks do not all have the {width} entries of an observation.")
        wrong = np.flatnonzero(~(self.low <= self.high))
        if wrong.size:
            at = wrong[0]
            raise InputError(
                f"schema: the range of {self.names[at]!r} is {self.low[at]:g} to {self.high[at]:g}. "
                "Expected two numbers, the lower one first."
            )
        if np.dtype(self.dtype).kind != ("f" if self.shape else "i"):
            raise InputError(f"schema: observations of shape {self.shape} cannot be of type {self.dtype}.")

    @property
    def width(self) -> int:
        """How many numbers an observation holds."""
        return int(np.prod(self.shape))

    @cached_property
    def _type(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    @cached_property
    def _strict(self) -> bool:
        return not bool(self.blanks.any())

    def read(self, observations: ArrayLike) -> NDArray[Any]:
        """Return observations, shape (N, *shape), in the log's type.

        Raises
        ------
        InputError
            For another shape or another kind of number.
        """
        x = np.asarray(observations)
        kinds = "iuf" if self.shape else "iu"
        if x.ndim != 1 + len(self.shape) or x.shape[1:] != self.shape or x.dtype.kind not in kinds:
            expected = f"numbers of shape (N, {', '.join(map(str, self.shape))})" if self.shape else "(N,) integer ids"
            raise InputError(f"observations: expected {expected}, got {x.dtype} of shape {x.shape}.")
        return self._cast(x)

    def read_one(self, observation: Any) -> NDArray[Any] | None:
        """Return one observation with a leading axis, shape (1, *shape), in the log's type; None if it is none."""
        try:
            x = np.asarray(observation)
            if x.shape != self.shape or x.dtype.kind not in ("iuf" if self.shape else "iu"):
                return None
            if isinstance(observation, np.ma.MaskedArray):  # its mask is lost by now
                return None
            return self._cast(x[None])
        except Exception:  # noqa: BLE001 - whatever an object that is no array does when it is made one
            return None

    def fault(self, values: Sequence[float]) -> int:
        """Return the code of one observation, given as its numbers in a list."""
        worst = FINE
        for value, low, high, blank in self._bounds:
            number = values[value]
            if number - number != 0.0 and not (blank and number != number):
                return NOT_FINITE
            if number < low or number > high:
                worst = OUT_OF_RANGE
        return worst

    @cached_property
    def _bounds(self) -> list[tuple[int, float, float, bool]]:
        columns = self.low.tolist(), self.high.tolist(), self.blanks.tolist()
        return [(index, *bounds) for index, bounds in enumerate(zip(*columns, strict=True))]

    def faults(self, observations: NDArray[Any]) -> NDArray[np.int8]:
        """Return a code for each of (N, *shape) observations: ``FINE``, ``NOT_FINITE`` or ``OUT_OF_RANGE``."""
        flat = self.flat(observations)
        bad = ~np.isfinite(flat)
        if not self._strict:
            bad &= ~(np.isnan(flat) & self.blanks)
        outside = (flat < self.low) | (flat > self.high)
        codes = np.where(outside.any(axis=1), OUT_OF_RANGE, FINE)
        return np.where(bad.any(axis=1), NOT_FINITE, codes).astype(np.int8)

    def flat(self, observations: NDArray[Any]) -> NDArray[np.float64]:
        """Return observations as rows of numbers, shape (N, width)."""
        return observations.reshape(len(observations), self.width).astype(np.float64)

    def outside(self, observation: NDArray[Any]) -> str:
        """Say which number of one observation is out of its range."""
        flat = self.flat(observation)[0]
        at = int(np.flatnonzero((flat < self.low) | (flat > self.high))[0])
        return f"{self.names[at]!r} is {flat[at]:g}, outside {self.low[at]:g} to {self.high[at]:g}"

    def _cast(self, x: NDArray[Any]) -> NDArray[Any]:
        if x.dtype == self._type:
            return x
        if not self.shape:
            return np.where(x > _LARGEST_ID, -1, x).astype(np.int64) if x.dtype.kind == "u" else x.astype(np.int64)
        with np.errstate(over="ignore", invalid="ignore"):  # too large for the log's type: infinite, and found so
            return x.astype(self._type)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        return {"schema.low": self.low, "schema.high": self.high, "schema.blanks": self.blanks}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays."""
        return {"shape": list(self.shape), "dtype": self.dtype, "names": list(self.names)}

    @classmethod
    def rebuild(cls, facts: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Schema:
        """Rebuild a schema from ``to_json`` and ``tensors``."""
        arrays = (tensors[f"schema.{name}"] for name in ("low", "high", "blanks"))
        return cls(tuple(facts["shape"]), facts["dtype"], tuple(facts["names"]), *arrays)
