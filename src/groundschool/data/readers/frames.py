"""Frames in memory: pyarrow, pandas, polars, whatever offers the Arrow C stream, and mappings from name to array.

pandas and polars are recognised by the module of their types; neither is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from groundschool.data.readers._batches import BATCH_ROWS, Converter, kinds_of, sound
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "frame"
NONE: Mapping[str, InputError] = MappingProxyType({})


def is_frame(value: object) -> bool:
    """Return whether `open_frame` reads this kind of thing."""
    return bool(_library(value)) or hasattr(value, "__arrow_c_stream__") or isinstance(value, Mapping)


def open_frame(frame: Any) -> Source:
    """Return the rows of a frame.

    Parameters
    ----------
    frame : pyarrow Table, RecordBatch, RecordBatchReader or Dataset; pandas or polars DataFrame; polars LazyFrame;
        anything with ``__arrow_c_stream__``; or a mapping from name to (N, ...) array
        What can be read only once is read at once. Of a LazyFrame the columns wanted are collected. A named index of a
        pandas DataFrame becomes a column.

    Raises
    ------
    InputError
        If it is none of these, or two of its columns have one name.
    """
    name = (
        type(frame).__name__ if isinstance(frame, Mapping) else f"{_library(frame) or 'Arrow'} {type(frame).__name__}"
    )
    if _library(frame) == "pandas":
        return _pandas(frame, name)
    if _library(frame) == "polars" and hasattr(frame, "collect"):
        return _lazy(frame, name)
    if _library(frame) == "pyarrow" and hasattr(frame, "scanner"):
        return _dataset(frame, name)
    with sound(name, "is not a frame that can be read"):
        if isinstance(frame, Mapping):
            return _mapping(frame, name)
        if hasattr(frame, "__arrow_c_stream__"):
            return _table(pa.table(frame), name)
        if isinstance(frame, pa.RecordBatch):
            return _table(pa.Table.from_batches([frame]), name)
    raise InputError(
        f"a {type(frame).__name__} is not a log. Expected a path, a pyarrow, pandas or polars frame, or a mapping from "
        "column name to array."
    )


def _library(frame: object) -> str:
    library = type(frame).__module__.partition(".")[0]
    # Looked up on the type: on a LazyFrame itself it would be computed.
    telling = {"pandas": "iterrows", "polars": "collect_schema", "pyarrow": "schema"}
    return library if hasattr(type(frame), telling.get(library, "")) else ""


def _table(table: pa.Table, name: str, unread: Mapping[str, InputError] = NONE) -> Source:
    def batches(names: Sequence[str]) -> Iterator[Batch]:
        _refuse(unread, names)
        convert = Converter(name, table.schema, names)
        return map(convert, table.select(convert.names).to_batches(BATCH_ROWS))

    kinds = kinds_of(table.schema, name) | dict.fromkeys(unread, "other")
    return Source(name, NAME, kinds, batches, n_rows=table.num_rows)


def _mapping(frame: Mapping[Any, Any], name: str) -> Source:
    columns: dict[str, pa.Array] = {}
    unread: dict[str, InputError] = {}
    for key, values in frame.items():
        if not isinstance(key, str) or not key:
            raise InputError(f"{name}: {key!r} is not the name of a column. Expected text.")
        try:
            columns[key] = _array(name, key, values)
        except InputError as error:
            unread[key] = error
    lengths = {key: len(column) for key, column in columns.items()}
    for key, length in lengths.items():
        first = next(iter(lengths))
        if length != lengths[first]:
            raise InputError(f"{name}: {key!r} has {length:,} rows, but {first!r} has {lengths[first]:,}.")
    return _table(pa.table(columns), name, unread)


def _refuse(unread: Mapping[str, InputError], names: Sequence[str]) -> None:
    for name in names:
        if name in unread:
            raise unread[name]


def _dataset(dataset: Any, name: str) -> Source:
    def batches(names: Sequence[str]) -> Iterator[Batch]:
        convert = Converter(name, dataset.schema, names)
        with sound(name):
            for batch in dataset.to_batches(columns=list(names), batch_size=BATCH_ROWS):
                if batch.num_rows:
                    batch.validate(full=True)
                    yield convert(batch)

    return Source(name, NAME, kinds_of(dataset.schema, name), batches)


def _lazy(frame: Any, name: str) -> Source:
    schema = _collected(frame.head(0), name).schema

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        Converter(name, schema, names)  # refuses what cannot be read before anything is computed
        return _table(_collected(frame.select(list(names)), name), name).batches(names)

    return Source(name, NAME, kinds_of(schema, name), batches)


def _collected(frame: Any, name: str) -> pa.Table:
    try:
        return pa.table(frame.collect())
    except Exception as error:
        if type(error).__module__.startswith(("polars", "pyarrow")):
            raise InputError(f"{name}: cannot be collected ({str(error).splitlines()[0][:200]}).") from error
        raise


def _pandas(frame: Any, name: str) -> Source:
    """Return the rows of a pandas DataFrame, converted slice by slice: the frame is never copied whole."""
    columns: dict[str, Any] = {}
    notes: list[str] = []
    levels = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    named = [(str(level.name), level) for level in levels if level.name is not None]
    for label, values in [*named, *((str(label), frame.iloc[:, i]) for i, label in enumerate(frame.columns))]:
        if label in columns:
            raise InputError(f"{name}: two columns (or index levels) are called {label!r}. Rename one.")
        columns[label] = values
    if named:
        notes.append(f"The index of the frame is read as {', '.join(repr(label) for label, _ in named)}.")
    counts_rows = len(levels) == 1 and np.array_equal(np.asarray(frame.index), np.arange(len(frame)))
    if len(named) < len(levels) and not counts_rows:
        notes.append("The frame's index has no name and was left aside; reset_index() keeps it.")
    # Only in a column of objects does the type depend on the values.
    probes = {label: values if values.dtype == object else values[:0] for label, values in columns.items()}
    types: dict[str, pa.DataType] = {}
    unread: dict[str, InputError] = {}
    for label, probe in probes.items():
        try:
            types[label] = _arrow(name, label, probe).type
        except InputError as error:
            unread[label] = error
    schema = pa.schema(list(types.items()))
    kinds = kinds_of(schema, name) | dict.fromkeys(unread, "other")

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        _refuse(unread, names)
        convert = Converter(name, schema, names)
        wanted = [schema.field(one).type for one in names]
        for start in range(0, len(frame), BATCH_ROWS):
            parts = [_slice(columns[one], start) for one in names]
            arrays = [_arrow(name, one, part, kind) for one, part, kind in zip(names, parts, wanted, strict=True)]
            yield convert(pa.RecordBatch.from_arrays(arrays, list(names)))

    return Source(name, NAME, {label: kinds[label] for label in columns}, batches, len(frame), notes=tuple(notes))


def _slice(values: Any, start: int) -> Any:
    return (values.iloc if hasattr(values, "iloc") else values)[start : start + BATCH_ROWS]


def _arrow(name: str, label: str, values: Any, kind: Any = None) -> pa.Array:
    with sound(name, f"column {label!r} holds values of several kinds, or of one that is not read"):
        array = pa.array(values, kind, from_pandas=True)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _array(name: str, label: str, values: object) -> pa.Array:
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{name}: column {label!r} is a masked array. Write NaN, or None in text, where it is masked.")
    with sound(name, f"column {label!r} is not an array that is read"):
        array: Array = np.asarray(values)
        if array.ndim == 0:
            raise InputError(f"{name}: column {label!r} is a single value. Expected one entry a row.")
        if array.dtype.kind == "M":
            array = array.astype("datetime64[us]")
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        nested = pa.array(np.ascontiguousarray(array).reshape(-1), from_pandas=array.dtype.kind == "O")
        for width in reversed(array.shape[1:]):
            nested = pa.FixedSizeListArray.from_arrays(nested, width)
        return nested
