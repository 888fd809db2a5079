"""How often whole episodes repeat by chance: often in a small world, never in a continuous one."""

from __future__ import annotations

import numpy as np

from groundschool.data.checks.scan import blocks
from groundschool.data.content import mixed
from groundschool.data.validation import Array

_DISTINCT = 0.9
_ENOUGH_MEASURED, _ENOUGH_COUNTED = 50, 500  # rows
_LOOKED_AT, _DISTINCT_VALUES = 200, 0.4
_BEGIN, _FINISH = np.uint64(0x5851F42D4C957F2D), np.uint64(0x14057B7EF767814F)
LEVEL = 1e-3


def alone(rows: Array, starts: Array, episodes: Array, *, measured: bool) -> Array | None:
    """Return which rows no other episode has, (N,) bool, or None where rows do repeat by chance.

    Looked at are the rows of the first of all equal episodes, without rows equal to the one before. They are taken not
    to repeat by chance if at least nine in ten of at least 50 are distinct, of at least 500 where nothing is measured:
    in a small log of a small world few rows repeat.

    Parameters
    ----------
    rows : (N,) uint64
        Hashes, `groundschool.data.content.row_hashes`.
    starts : (E + 1,) int64
    episodes : (E,) uint64
        Hashes.
    measured : bool
        Whether some column is; see `is_measured`.
    """
    fresh = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=fresh[1:])
    fresh[starts[:-1]] = True
    copies = later_copies(episodes)
    if len(copies):
        is_copy = np.zeros(len(starts) - 1, np.bool_)
        is_copy[copies] = True
        fresh &= ~np.repeat(is_copy, np.diff(starts))
    ordered = np.sort(rows[fresh])
    if len(ordered) < (_ENOUGH_MEASURED if measured else _ENOUGH_COUNTED):
        return None
    changes = ordered[1:] != ordered[:-1]
    if 1 + np.count_nonzero(changes) < _DISTINCT * len(ordered):
        return None
    repeated = ordered[1:][~changes]
    return ~_is_in(rows, repeated)


def is_measured(columns: Array) -> bool:
    """Return whether at least four in ten of 200 values (at most) of one of the columns (n, d) are distinct."""
    some = np.sort(columns[:: max(len(columns) // _LOOKED_AT, 1)], axis=0)
    distinct = 1 + np.count_nonzero(some[1:] != some[:-1], axis=0)
    return bool((distinct >= _DISTINCT_VALUES * len(some)).any())


def later_copies(hashes: Array) -> Array:
    """Return the positions at which a hash comes again, ascending."""
    order = np.argsort(hashes, kind="stable")
    copies: Array = np.sort(order[1:][hashes[order[1:]] == hashes[order[:-1]]])
    return copies


def expected_elsewhere(rows: Array, starts: Array, chosen: Array, n_others: int) -> Array:
    """Return how many of `n_others` independent episodes would equal each of the chosen ones, (n,) float64.

    The log's own rows are taken for a Markov chain (an episode begins, passes from row to row and ends): the
    probability of a passage is its share of the passages from there, (count - 1/2) / total.

    Parameters
    ----------
    rows : (N,) uint64
        Hashes.
    starts : (E + 1,) int64
    chosen : (n,) int64
        Positions of episodes.
    n_others : int
    """
    passages = np.sort(np.concatenate([_entered(rows, starts), mixed(rows[starts[1:] - 1] ^ _FINISH)]))
    ordered = np.sort(rows)
    lengths = np.diff(starts)[chosen]
    offsets = np.cumsum(lengths) - lengths
    here = np.arange(int(lengths.sum())) + np.repeat(starts[:-1][chosen] - offsets, lengths)
    begins = np.zeros(len(here), np.bool_)
    begins[offsets] = True
    before = rows[here - 1]
    entered = np.where(begins, mixed(rows[here] ^ _BEGIN), _passage(before, rows[here]))
    leaving = mixed(rows[here[offsets + lengths - 1]] ^ _FINISH)
    total = np.where(begins, len(starts) - 1, _count(ordered, before))
    logarithms = np.log((_count(passages, entered) - 0.5) / total)
    ends = np.log((_count(passages, leaving) - 0.5) / _count(ordered, rows[here[offsets + lengths - 1]]))
    expected: Array = n_others * np.exp(np.add.reduceat(logarithms, offsets) + ends)
    return expected


def beyond_chance(counts: Array, expected: Array, n_looked_at: int) -> Array:
    """Return where a Poisson count is larger than its expectation explains, over all looked at, (n,) bool."""
    from scipy.special import pdtrc

    unlikely: Array = pdtrc(counts - 1, expected) * n_looked_at < LEVEL
    return unlikely


def _entered(rows: Array, starts: Array) -> Array:
    """Return what each row was entered by, the row before or the beginning, as a hash (N,) uint64."""
    entered = np.empty(len(rows), np.uint64)
    for block in blocks(len(rows)):
        own = rows[block]
        before = np.concatenate([rows[block.start - 1 : block.start], own[:-1]]) if block.start else np.roll(own, 1)
        entered[block] = _passage(before, own)
    entered[starts[:-1]] = mixed(rows[starts[:-1]] ^ _BEGIN)
    return entered


def _passage(before: Array, after: Array) -> Array:
    return mixed(mixed(before) + after)


def _count(ordered: Array, values: Array) -> Array:
    found: Array = np.searchsorted(ordered, values, side="right") - np.searchsorted(ordered, values, side="left")
    return found


def _is_in(values: Array, ordered: Array) -> Array:
    """Return which values are among ordered ones."""
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    found: Array = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found
