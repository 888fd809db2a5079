"""Frames in memory: pyarrow, pandas, polars, whatever offers the Arrow C stream, and mappings from name to array.

pandas and polars are recognised by the module of their types; neither is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from groundschool.data.readers._batches import BATCH_ROWS, Converter, kinds_of, sound
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "frame"


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
            return _table(pa.table({key: _array(name, key, values) for key, values in frame.items()}), name)
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
    known = {
        "pandas": hasattr(frame, "iloc") and hasattr(frame, "columns"),
        "polars": hasattr(frame, "columns") or hasattr(frame, "collect_schema"),
        "pyarrow": hasattr(frame, "schema"),
    }
    return library if known.get(library, False) else ""


def _table(table: pa.Table, name: str, notes: tuple[str, ...] = ()) -> Source:
    def batches(names: Sequence[str]) -> Iterator[Batch]:
        convert = Converter(name, table.schema, names)
        return map(convert, table.select(convert.names).to_batches(BATCH_ROWS))

    return Source(name, NAME, kinds_of(table.schema, name), batches, n_rows=table.num_rows, notes=notes)


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
    schema = pa.schema([(label, _arrow(name, label, probe).type) for label, probe in probes.items()])

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        convert = Converter(name, schema, names)
        kinds = [schema.field(one).type for one in names]
        for start in range(0, len(frame), BATCH_ROWS):
            parts = [_slice(columns[one], start) for one in names]
            arrays = [_arrow(name, one, part, kind) for one, part, kind in zip(names, parts, kinds, strict=True)]
            yield convert(pa.RecordBatch.from_arrays(arrays, list(names)))

    return Source(name, NAME, kinds_of(schema, name), batches, n_rows=len(frame), notes=tuple(notes))


def _slice(values: Any, start: int) -> Any:
    return (values.iloc if hasattr(values, "iloc") else values)[start : start + BATCH_ROWS]


def _arrow(name: str, label: str, values: Any, kind: Any = None) -> pa.Array:
    with sound(f"{name}: column {label!r}", "holds values of several kinds, or of one that is not read"):
        array = pa.array(values, kind, from_pandas=True)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _array(name: str, label: object, values: object) -> pa.Array:
    if not isinstance(label, str):
        raise InputError(f"{name}: {label!r} is not the name of a column. Expected text.")
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{name}: column {label!r} is a masked array. Write NaN, or None in text, where it is masked.")
    with sound(f"{name}: column {label!r}", "is not an array that is read"):
        array: Array = np.asarray(values)
        if array.ndim == 0:
            raise InputError(f"{name}: column {label!r} is a single value. Expected one entry a row.")
        if array.dtype.kind == "M":
            array = array.astype("datetime64[us]")
        if array.dtype.kind == "O" or array.ndim == 1:
            return pa.array(values if array.ndim > 1 else array, from_pandas=array.dtype.kind == "O")
        nested = pa.array(np.ascontiguousarray(array).reshape(-1))
        for width in reversed(array.shape[1:]):
            nested = pa.FixedSizeListArray.from_arrays(nested, width)
        return nested
