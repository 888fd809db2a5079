"""Slices of foreign arrays, made into the columns that a `Source` promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundschool.data.source import Batch, Batches
from groundschool.data.validation import Array, to_int64
from groundschool.errors import InputError

BATCH_ROWS = 65_536
BATCH_BYTES = 2**26
# The kinds of dtype that a column of a kind may be stored as.
_STORED = {"integer": "iu", "number": "biuf", "flag": "b", "list": "biuf", "text": "OUT"}
_WORDS = {"integer": "integers", "number": "numbers", "flag": "flags", "list": "numbers", "text": "text"}


@dataclass(frozen=True)
class Field:
    """A column whose rows can be read in slices.

    Attributes
    ----------
    kind : str
        As in `Source.kinds`.
    row_bytes : int
        Of one row, to bound what is read at once.
    read : callable
        From the open file, the first row and the one after the last, to those rows.
    """

    kind: str
    row_bytes: int
    read: Callable[[Any, int, int], Array]


def batches_of(fields: Mapping[str, Field], n_rows: int, opened: Callable[[], AbstractContextManager[Any]]) -> Batches:
    """Return the `Batches` of fields of `n_rows` rows in a file that `opened` opens."""

    def rows(names: Sequence[str]) -> Iterator[Batch]:
        step = rows_at_once(sum(fields[name].row_bytes for name in names))
        with opened() as file:
            for first in range(0, n_rows, step):
                end = min(first + step, n_rows)
                yield {name: fields[name].read(file, first, end) for name in names}

    return rows


def joined(pieces: Iterable[Mapping[str, Array]]) -> Iterator[Batch]:
    """Join small pieces of rows, such as episodes, into batches of a useful size."""
    held: list[Mapping[str, Array]] = []
    rows = size = 0
    for piece in pieces:
        held.append(piece)
        rows += max((len(column) for column in piece.values()), default=0)
        size += sum(column.nbytes for column in piece.values())
        if rows >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _concatenated(held)
            held, rows, size = [], 0, 0
    if held:
        yield _concatenated(held)


def rows_at_once(row_bytes: int) -> int:
    """Return how many rows of this size a batch holds."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))


def row_bytes(dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    """Return the bytes of one row of an array of this shape."""
    return dtype.itemsize * math.prod(shape[1:])


def kind_of(dtype: np.dtype[Any], shape: Sequence[int], *, keep_width: bool = False) -> str:
    """Return the kind of the column that an array (N, ...) becomes; a width of 1 is dropped unless `keep_width`."""
    tail = tuple(shape[1:])
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or 0 in tail:
        return "other"
    if tail and (keep_width or math.prod(tail) > 1):
        return "list"
    return {"b": "flag", "f": "number"}.get(dtype.kind, "integer")


def tidy(name: str, values: Any, kind: str, count: int) -> Array:
    """Return a slice of `count` rows as a column of `kind`: scalars widened, native byte order, no width of 1.

    Raises
    ------
    InputError
        If the slice has another length or holds another kind of values, or integers that do not fit int64.
    """
    array: Array = np.asarray(values)
    if array.ndim == 0 or len(array) != count:
        raise InputError(f"{name}: {len(array) if array.ndim else 1:,} rows were read where {count:,} were expected.")
    if array.dtype.kind not in _STORED[kind]:
        raise InputError(f"{name}: holds {array.dtype} where its first rows hold {_WORDS[kind]}. Write one type.")
    if kind == "list":
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return native.astype(np.float32) if native.dtype.kind == "f" and native.dtype.itemsize < 4 else native
    array = array.reshape(count)
    if kind == "integer":
        return to_int64(name, array)
    return array.astype({"number": np.float64, "flag": np.bool_, "text": np.object_}[kind], copy=False)


def lengths_agree(where: object, lengths: Mapping[str, int]) -> int:
    """Return how many rows all of these fields have; InputError names two that differ."""
    first, expected = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != expected:
            raise InputError(
                f"{where}: {first!r} has {expected:,} rows, but {name!r} has {length:,}. Expected as many in each."
            )
    if expected == 0:
        raise InputError(f"{where}: holds no rows. Expected at least one.")
    return expected


def spread(values: Array, starts: Array) -> Callable[[Any, int, int], Array]:
    """Return a reader of rows from values (E,), one an episode; `starts` (E + 1,) are the offsets of the episodes."""

    def rows(_file: Any, first: int, end: int) -> Array:
        episode = np.searchsorted(starts, np.arange(first, end), side="right") - 1
        return np.asarray(values[episode])

    return rows


def starts_of(lengths: Array) -> Array:
    """Return the offsets (E + 1,) of episodes of these lengths (E,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _concatenated(pieces: Sequence[Mapping[str, Array]]) -> Batch:
    if len(pieces) == 1:
        return dict(pieces[0])
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
