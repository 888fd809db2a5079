"""Going through the columns of a log in blocks, so that nothing as large as the log is made on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundschool.data.validation import Array

BLOCK_NUMBERS = 1 << 22
SAMPLE_NUMBERS = 1 << 22


def blocks(n_rows: int, width: int = 1) -> Iterator[slice]:
    """Yield slices over `n_rows` rows of `width` numbers, each of about `BLOCK_NUMBERS` numbers."""
    step = max(BLOCK_NUMBERS // max(width, 1), 1)
    for begin in range(0, n_rows, step):
        yield slice(begin, min(begin + step, n_rows))


def rows_where(bad: Callable[..., Any], *columns: Array) -> Array:
    """Return the rows, ascending, at which `bad` of the columns' blocks is set in any entry.

    Parameters
    ----------
    bad : callable
        From a block of the columns (n, ...) to (n,) or (n, ...) bool.
    columns : arrays (N, ...) of one length
    """
    n = len(columns[0])
    width = max(int(np.prod(column.shape[1:])) for column in columns)
    found = []
    for block in blocks(n, width):
        hit = bad(*(column[block] for column in columns))
        if hit.any():
            found.append(np.flatnonzero(hit if hit.ndim == 1 else hit.reshape(len(hit), -1).any(axis=1)) + block.start)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def thinned(rows: Array, width: int) -> Array:
    """Return rows at regular distances, so that with `width` numbers each they are `SAMPLE_NUMBERS` at most."""
    return rows[:: max(-(-len(rows) * width // SAMPLE_NUMBERS), 1)]


def is_blank(labels: Array) -> Array:
    """Return where labels or times are blank: NaN, NaT, None or text of spaces alone, (n,) bool."""
    if labels.dtype.kind == "O":
        blank = [value is None or value != value or (isinstance(value, str) and not value.strip()) for value in labels]
        return np.array(blank, np.bool_)
    if labels.dtype.kind in "UT":
        empty: Array = np.strings.str_len(np.strings.strip(labels)) == 0
        return empty
    if labels.dtype.kind == "M":
        return np.isnat(labels)
    return np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), np.bool_)


def codes(labels: Array) -> Array:
    """Return labels as numbers, equal where the labels are equal, (n,) int64; labels of mixed kinds pass."""
    if labels.dtype.kind == "O":
        seen: dict[object, int] = {}
        return np.array([seen.setdefault(label, len(seen)) for label in labels], np.int64)
    coded: Array = np.unique(labels, return_inverse=True)[1].astype(np.int64).reshape(-1)
    return coded


@dataclass(frozen=True, eq=False)
class Ranges:
    """The numbers of an observation, one entry a column (of the flat observation), over all rows.

    Attributes
    ----------
    blank : (d,) int64
        How many values are NaN.
    low, high : (d,) float64
        Of the finite values; inf and -inf where there is none.
    """

    blank: Array
    low: Array
    high: Array

    @property
    def constant(self) -> Array:
        """Whether every value that is there is the same, (d,) bool; False where all are blank."""
        same: Array = self.low == self.high
        return same


def ranges(flat: Array) -> Ranges:
    """Return the ranges of the columns of (N, d) numbers."""
    d = flat.shape[1]
    blank, low, high = np.zeros(d, np.int64), np.full(d, np.inf), np.full(d, -np.inf)
    for block in blocks(*flat.shape):
        columns = np.ascontiguousarray(flat[block].T)
        least, most = columns.min(axis=1), columns.max(axis=1)
        for j in np.flatnonzero(~(np.isfinite(least) & np.isfinite(most))):
            values = columns[j]
            blank[j] += int(np.isnan(values).sum())
            finite = values[np.isfinite(values)]
            least[j], most[j] = finite.min(initial=np.inf), finite.max(initial=-np.inf)
        np.minimum(low, least, out=low)
        np.maximum(high, most, out=high)
    return Ranges(blank, low, high)
