"""From batches of named columns to whole episodes: the column map at work, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.mapping import Mapper
from groundschool.data.raw import RawLog
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError


def assemble(source: Source, columns: Columns | None = None, *, ask: bool = True) -> Iterator[RawLog]:
    """Yield the rows of `source` as raw logs of whole episodes, in order; only an unfinished episode is carried over.

    Parameters
    ----------
    source : Source
    columns : Columns, optional
        Goes over what the format itself says.
    ask : bool
        Refuse a map that does not say how episodes end, rather than leave them without an end.

    Raises
    ------
    InputError
        Where the map does not fit the columns, or asks for what a person must say; naming the file, the column and the
        first row.
    """
    asked = Columns() if columns is None else columns
    mapper = Mapper(source, asked.over(source.columns), ask=ask)
    batches = source.batches(mapper.wanted)
    if mapper.columns.sort:
        yield mapper.map(*_sorted(batches, mapper))
        return
    pieces: list[Batch] = []
    first = 0
    for batch in batches:
        n = _length(batch)
        if n == 0:
            continue
        cuts = mapper.boundaries(pieces[-1] if pieces else None, batch)
        if len(cuts) == 0:
            pieces.append(batch)
            continue
        begin, end = int(cuts[0]), int(cuts[-1])
        if pieces or begin:
            head = _joined([*pieces, _sliced(batch, 0, begin)])
            yield mapper.map(head, first)
            first += _length(head)
        if end > begin:
            yield mapper.map(_sliced(batch, begin, end), first)
            first += end - begin
        # A copy: what is carried over must not keep the whole batch alive.
        pieces = [] if end == n else [{name: column[end:].copy() for name, column in batch.items()}]
    if pieces:
        yield mapper.map(_joined(pieces), first)
    elif first == 0:
        raise InputError(f"{source.name}: holds no rows. Expected at least one.")


def _sorted(batches: Iterator[Batch], mapper: Mapper) -> tuple[Batch, int, Array]:
    rows = _joined(list(batches))
    if _length(rows) == 0:
        raise InputError(f"{mapper.source.name}: holds no rows. Expected at least one.")
    episode, step = rows[str(mapper.columns.episode)], rows[str(mapper.columns.step)]
    # Episodes stay in the order in which they first appear.
    _, first, codes = np.unique(_comparable(episode), return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    order = np.lexsort((step, rank[codes]))
    return {name: column[order] for name, column in rows.items()}, 0, order


def _comparable(column: Array) -> Array:
    """Return a column that can be sorted: text with blanks as text."""
    return column.astype(np.str_) if column.dtype.kind == "O" else column


def _length(batch: Batch) -> int:
    return len(next(iter(batch.values()))) if batch else 0


def _sliced(batch: Batch, start: int, end: int) -> Batch:
    return {name: column[start:end] for name, column in batch.items()}


def _joined(pieces: list[Batch]) -> Batch:
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return {}
    joined: dict[str, Any] = {}
    for name in pieces[0]:
        columns = [piece[name] for piece in pieces]
        if len({column.shape[1:] for column in columns}) > 1:
            shapes = " and ".join(str(shape) for shape in dict.fromkeys(column.shape[1:] for column in columns))
            raise InputError(f"column {name!r}: its entries have different shapes, {shapes}. Expected one shape.")
        joined[name] = np.concatenate(columns)
    return joined
