"""Whether an observation is unlike those of the log: too seldom logged, or too far from everything that was.

Ids and observations of few whole numbers are counted. Measured ones are compared by the distance to the nearest of some
logged observations, each number in units of its own spread; what is farther than a threshold is novel. Where the
threshold comes from, and which false alarms it leaves, is the business of ``groundschool.safety.guard``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import InputError
from groundschool.policies.places import Places

FloatArray = NDArray[np.float64]
_BLOCK_NUMBERS = 2_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Counted:
    """Distinct logged observations and in how many episodes each was.

    Attributes
    ----------
    observations : array, shape (U, d) of float64 or (U,) of int64
    episodes : int array, shape (U,)
    least : int
        An observation logged in fewer episodes is novel.
    """

    observations: NDArray[Any]
    episodes: NDArray[np.int64]
    least: int

    def __post_init__(self) -> None:
        if len(self.observations) != len(self.episodes) or self.least < 1:
            raise InputError("novelty: expected a count for each logged observation, and a least count of 1 or more.")

    @cached_property
    def _places(self) -> Places:
        return Places(self.observations)

    def locate(self, observations: NDArray[Any]) -> NDArray[np.int64]:
        """Return the row of each observation among the logged ones, -1 for novel ones; shape (N,)."""
        rows, seen = self._places.locate(observations)
        return np.where(seen & (self.episodes[rows] >= self.least), rows, -1)

    def locate_one(self, values: Sequence[float]) -> int:
        """Return the row of one observation, given as its numbers in a list; -1 if it is novel."""
        row = self._places.locate_one(values)
        return row if row >= 0 and self.episodes[row] >= self.least else -1

    def describe(self) -> str:
        """Say what is novel."""
        times = "no episode" if self.least == 1 else f"fewer than {self.least} episodes"
        return f"logged in {times}"

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        return {"novelty.observations": self.observations, "novelty.episodes": self.episodes}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays."""
        return {"kind": "counted", "least": self.least}


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Some logged observations, scaled, and how far from the nearest of them is still familiar.

    Attributes
    ----------
    center, scale : array, shape (d,)
        Of each number over the log.
    references : array, shape (M, d) or (M, 2 d)
        Scaled logged observations; where blanks are allowed, flags of blanks follow.
    threshold : float
        The largest familiar distance.
    """

    center: FloatArray
    scale: FloatArray
    references: FloatArray
    threshold: float

    def __post_init__(self) -> None:
        width = len(self.center)
        if self.references.ndim != 2 or self.references.shape[1] not in (width, 2 * width) or not len(self.references):
            raise InputError(f"novelty: references have shape {self.references.shape}, expected (M, {width}).")
        finite = all(np.isfinite(array).all() for array in (self.center, self.scale, self.references))
        if not finite or not (self.scale > 0).all() or not self.threshold >= 0:
            raise InputError("novelty: expected finite references, scales above 0 and a threshold of at least 0.")

    @cached_property
    def _squares(self) -> FloatArray:
        return np.asarray(np.einsum("md,md->m", self.references, self.references))

    @cached_property
    def _twice(self) -> FloatArray:
        return np.ascontiguousarray(-2.0 * self.references.T)

    @cached_property
    def _limit(self) -> float:
        return self.threshold**2 + 1e-9 * (1.0 + self.threshold**2)  # the rounding of the distances

    def scaled(self, flat: FloatArray) -> FloatArray:
        """Return coordinates of flat observations, shape (N, d or 2 d)."""
        z = (flat - self.center) / self.scale
        if self.references.shape[1] == flat.shape[1]:
            return z
        blank = np.isnan(z)
        return np.concatenate([np.where(blank, 0.0, z), blank], axis=1)

    def squared(self, flat: FloatArray) -> FloatArray:
        """Return the squared distance of flat observations to the nearest reference, shape (N,)."""
        z = self.scaled(flat)
        block = max(_BLOCK_NUMBERS // len(self.references), 1)
        parts = [
            (z[begin : begin + block] @ self._twice + self._squares).min(axis=1) for begin in range(0, len(z), block)
        ]
        nearest = np.concatenate(parts) if parts else np.zeros(0)
        return np.asarray(np.maximum(nearest + np.einsum("nd,nd->n", z, z), 0.0))

    def novel(self, flat: FloatArray) -> NDArray[np.bool_]:
        """Return whether flat observations, shape (N, d), are novel."""
        return ~(self.squared(flat) <= self._limit)

    def novel_one(self, values: Sequence[float]) -> bool:
        """Return whether one observation, given as its numbers in a list, is novel."""
        return bool(self.novel(np.array([values], dtype=np.float64))[0])

    def describe(self) -> str:
        """Say what is novel."""
        nearest = f"the nearest of {len(self.references):,} logged ones"
        return f"farther than {self.threshold:.3g} standard deviations from {nearest}"

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        return {"novelty.center": self.center, "novelty.scale": self.scale, "novelty.references": self.references}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays."""
        return {"kind": "measured", "threshold": self.threshold}


def rebuild(facts: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Counted | Measured:
    """Rebuild what ``to_json`` and ``tensors`` describe."""
    if facts["kind"] == "counted":
        return Counted(tensors["novelty.observations"], tensors["novelty.episodes"], facts["least"])
    if facts["kind"] != "measured":
        raise InputError(f"novelty of kind {facts['kind']!r} is unknown to this version. Upgrade groundschool.")
    center, scale, references = (tensors[f"novelty.{name}"] for name in ("center", "scale", "references"))
    return Measured(center, scale, references, float(facts["threshold"]))
