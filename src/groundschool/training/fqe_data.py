"""A log on the device for fitted Q evaluation: encoded once, and a bootstrap sample of it for every member."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from groundschool.data.features import Feature
from groundschool.policies.encoding import Encoder, fit_encoder

_POOL = 2_000_000  # rows of a bootstrap sample that a member holds; more than it will draw


@dataclasses.dataclass(frozen=True, eq=False)
class Transitions:
    """N transitions of a log and a policy's view of them, as arrays.

    Attributes
    ----------
    observations : (R, d...) float or (R,) int64
        All there are, R >= N, blanks NaN.
    row, next_row : (N,) int64
        Where in them each transition begins and ends.
    action : (N,) int64
    signal : (N,) float64
        What is summed.
    next_policy : (N, A) float64
        The policy's probabilities after it; all 0 where nothing follows.
    weight : (N,) float64
        How many transitions each stands for.
    unit : (N,) int64
        What is independent, 0 to U - 1.
    first : (E,) int64
        The rows at which episodes begin.
    first_policy : (E, A) float64
    first_unit : (E,) int64
    n_units : int
    """

    observations: NDArray[Any]
    row: NDArray[np.int64]
    next_row: NDArray[np.int64]
    action: NDArray[np.int64]
    signal: NDArray[np.float64]
    next_policy: NDArray[np.float64]
    weight: NDArray[np.float64]
    unit: NDArray[np.int64]
    first: NDArray[np.int64]
    first_policy: NDArray[np.float64]
    first_unit: NDArray[np.int64]
    n_units: int


class FQEData(NamedTuple):
    """What the compiled loop draws from, all padded so that logs of about the same size share one program.

    ``pool`` holds the transitions of each member's bootstrap sample, of which the first ``pool_size`` count.
    ``first_weight`` is how often each episode is in it; 0 for padding.
    """

    features: Float[Array, "rows inputs"]
    row: Int[Array, " transitions"]
    next_row: Int[Array, " transitions"]
    action: Int[Array, " transitions"]
    signal: Float[Array, " transitions"]
    next_policy: Float[Array, "transitions actions"]
    weight: Float[Array, " transitions"]
    pool: Int[Array, "members drawn"]
    pool_size: Int[Array, " members"]
    first: Int[Array, " episodes"]
    first_policy: Float[Array, "episodes actions"]
    first_weight: Float[Array, "members episodes"]


def prepare(log: Transitions, scale: float, members: int, seed: int, device: jax.Device) -> tuple[FQEData, Encoder]:
    """Encode a log, draw a bootstrap sample of its units for every member, and put all on the device.

    Returns
    -------
    FQEData
    Encoder
        What the networks are given; a blank's mark is a column of its own behind the observation's.
    """
    features, encoder = _encode(log)
    pool, sizes, drawn = _samples(log, members, np.random.default_rng(seed))
    first_weight = drawn[:, log.first_unit].astype(np.float32)
    arrays = {
        "features": _padded(features),
        "row": _padded(log.row.astype(np.int32)),
        "next_row": _padded(log.next_row.astype(np.int32)),
        "action": _padded(log.action.astype(np.int32)),
        "signal": _padded((log.signal / scale).astype(np.float32)),
        "next_policy": _padded(log.next_policy.astype(np.float32)),
        "weight": _padded(log.weight.astype(np.float32)),
        "pool": _padded(pool.T).T,
        "pool_size": sizes,
        "first": _padded(log.first.astype(np.int32)),
        "first_policy": _padded(log.first_policy.astype(np.float32)),
        "first_weight": _padded(first_weight.T, empty=True).T,
    }
    return FQEData(**jax.device_put(arrays, device)), encoder


def _encode(log: Transitions) -> tuple[NDArray[np.float32], Encoder]:
    """Encode observations; a blank becomes its column's mean, and marks itself in a column of its own."""
    x = log.observations
    if x.ndim == 1:
        encoder = fit_encoder(x)
        return encoder(x), encoder
    flat = x.reshape(len(x), -1)
    blank = np.isnan(flat)
    holed = blank.any(axis=0) & ~blank.all(axis=0)
    flat = np.concatenate([np.where(blank.all(axis=0), 0.0, flat), blank[:, holed]], axis=1)
    names = [Feature(f"column {index}", impute="mean") for index in range(flat.shape[1])]
    encoder = fit_encoder(flat, features=names if holed.any() else None)
    return encoder(flat), encoder


def _samples(
    log: Transitions, members: int, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Draw units with replacement: rows of each member (M, longest), how many (M,), and units' counts (M, U)."""
    n = log.n_units
    drawn = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(members)])
    rows = []
    for counts in drawn:
        of_member = np.repeat(np.arange(len(log.row), dtype=np.int32), counts[log.unit])
        if not len(of_member):  # every unit drawn has no usable transition
            of_member = np.arange(len(log.row), dtype=np.int32)
        rows.append(of_member if len(of_member) <= _POOL else rng.choice(of_member, _POOL, replace=False))
    sizes = np.array([len(of_member) for of_member in rows], np.int32)
    pool = np.zeros((members, int(sizes.max())), np.int32)
    for index, of_member in enumerate(rows):
        pool[index, : len(of_member)] = of_member
    return pool, sizes, drawn


def _padded(array: NDArray[Any], *, empty: bool = False) -> NDArray[Any]:
    """Lengthen by at most an eighth, to a length of few leading bits, with the last row or with zeros."""
    grain = 1 << max((len(array) - 1).bit_length() - 4, 0)
    extra = -len(array) % grain
    more = np.zeros_like(array[-1:]) if empty else array[-1:]
    return np.concatenate([array, np.repeat(more, extra, axis=0)])
