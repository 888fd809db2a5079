"""Hashes of what rows and episodes hold, whatever they are called: for finding copies within a log and across logs.

Vectorised 64-bit hashes, for looking things up; `groundschool.data.fingerprint` has the cryptographic ones that name a
log. Two different episodes share a hash with a probability of 2**-64.
"""

from __future__ import annotations

import numpy as np

from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

_BLOCK_NUMBERS = 1 << 20  # numbers hashed at once, to bound the temporaries

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def row_hashes(raw: RawLog) -> Array:
    """Return a hash of the observation, action and reward of each row, (N,) uint64.

    Hashed are the values as float64: float32 3.5 and float64 3.5 are the same, as are 0.0 and -0.0, and all NaNs.
    """
    n = raw.n_rows
    columns = [values.reshape(n, -1) for values in (raw.observations, raw.actions, raw.rewards)] if n else []
    hashes = np.zeros(n, np.uint64)
    widths = [column.shape[1] for column in columns]
    keys = mixed((np.arange(sum(widths), dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    at = 0
    for column, width in zip(columns, widths, strict=True):
        step = max(_BLOCK_NUMBERS // width, 1)
        for begin in range(0, n, step):
            bits = _bits(column[begin : begin + step])
            bits += keys[at : at + width, None]
            hashes[begin : begin + step] += mixed(bits).sum(axis=0, dtype=np.uint64)
        at += width
    return mixed(hashes)


def episode_hashes(raw: RawLog, rows: Array | None = None) -> Array:
    """Return a hash of the rows of each episode, in their order, (E,) uint64.

    Ids, groups, times, flags, costs and propensities do not count: a copy under another name has the same hash.

    Parameters
    ----------
    raw : RawLog
    rows : (N,) uint64, optional
        The log's `row_hashes`, where they are at hand.
    """
    if raw.n_episodes == 0:
        return np.zeros(0, np.uint64)
    rows = row_hashes(raw) if rows is None else rows
    sums = np.zeros(raw.n_episodes, np.uint64)
    first = 0
    while first < raw.n_episodes:  # blocks of whole episodes
        begin = int(raw.starts[first])
        end = max(int(np.searchsorted(raw.starts, begin + _BLOCK_NUMBERS, side="right")) - 1, first + 1)
        starts = raw.starts[first:end] - begin
        lengths = np.diff(raw.starts[first : end + 1])
        position = np.arange(int(lengths.sum()), dtype=np.uint64) - np.repeat(starts, lengths).astype(np.uint64)
        # A sum of hashes of (row, position): order counts, and every episode is one segment of one reduction.
        placed = mixed(rows[begin : begin + len(position)] + (position + np.uint64(1)) * _GOLDEN)
        sums[first:end] = np.add.reduceat(placed, starts)
        first = end
    return mixed(sums)


def mixed(bits: Array) -> Array:
    """Return well-spread bits for bits, uint64 for uint64 (the finalizer of SplitMix64, Steele et al. 2014)."""
    bits = bits ^ (bits >> np.uint64(30))
    bits *= _FIRST
    bits ^= bits >> np.uint64(27)
    bits *= _SECOND
    bits ^= bits >> np.uint64(31)
    return bits


def _bits(values: Array) -> Array:
    """Return the bits of the values as float64, (width, n) uint64, equal for equal values."""
    numbers = np.array(values.T, dtype=np.float64, order="C")
    numbers += 0.0  # -0.0 becomes 0.0
    blank = np.isnan(numbers)
    if blank.any():
        numbers[blank] = np.nan
    bits: Array = numbers.view(np.uint64)
    return bits
