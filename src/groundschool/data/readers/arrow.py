"""Arrow IPC: files (Feather version 2, ``.arrow``, ``.ipc``) and streams; uncompressed columns are mapped, not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from groundschool.data.readers._batches import BATCH_ROWS, Converter, believable, kinds_of, sound
from groundschool.data.source import Batch, Source
from groundschool.errors import InputError

NAME = "arrow"
MAGIC = b"ARROW1"
FEATHER_1 = b"FEA1"
STREAM = b"\xff\xff\xff\xff"
SUFFIXES = (".arrow", ".feather", ".ipc", ".arrows")


def recognise(path: Path) -> bool:
    """Return whether a path is an Arrow or Feather file, by its first bytes or its name."""
    try:
        with path.open("rb") as handle:
            return handle.read(6) == MAGIC or path.suffix.lower() in SUFFIXES
    except (OSError, ValueError):
        return False


def open(path: Path) -> Source:
    """Return the rows of an Arrow IPC file or stream.

    Raises
    ------
    InputError
        If the file is damaged, or Feather version 1.
    """
    with sound(str(path)):
        with path.open("rb") as handle:
            head = handle.read(6)
        if head[:4] == FEATHER_1:
            raise InputError(f"{path}: is a Feather file of version 1. Write it again as version 2, or as Parquet.")
        if head != MAGIC and head[:4] != STREAM:
            raise InputError(f"{path}: does not begin like an Arrow file or stream. Is it something else, or damaged?")
        is_stream = head != MAGIC
        with pa.memory_map(str(path)) as mapped, _reader(mapped, is_stream) as reader:
            schema = reader.schema
    kinds = kinds_of(schema, str(path))
    narrow = [index for index, kind in enumerate(kinds.values()) if kind in ("integer", "number", "flag", "time")]
    n_rows = None if is_stream or not narrow else _count(path, narrow[0])

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        return _rows(path, schema, is_stream, names)

    return Source(name=str(path), format=NAME, kinds=kinds, batches=batches, n_rows=n_rows)


def _count(path: Path, column: int) -> int | None:
    """Return the rows of a file, from one column that is quickly read; None where that is hard to believe."""
    with sound(str(path)), pa.memory_map(str(path)) as mapped, _reader(mapped, False, [column]) as reader:
        rows = sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
        return rows if believable(rows, path) else None


def _reader(mapped: Any, is_stream: bool, fields: Sequence[int] | None = None) -> Any:
    options = pa.ipc.IpcReadOptions(included_fields=None if fields is None else list(fields))
    return pa.ipc.open_stream(mapped, options=options) if is_stream else pa.ipc.open_file(mapped, options=options)


def _rows(path: Path, schema: pa.Schema, is_stream: bool, names: Sequence[str]) -> Iterator[Batch]:
    convert = Converter(str(path), schema, names)
    fields = [schema.names.index(name) for name in names]
    with sound(str(path)), pa.memory_map(str(path)) as mapped, _reader(mapped, is_stream, fields) as reader:
        for batch in reader if is_stream else map(reader.get_batch, range(reader.num_record_batches)):
            # Offsets and codes in the file are not to be trusted: without this a damaged file reads foreign memory.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield convert(batch.slice(start, BATCH_ROWS))
