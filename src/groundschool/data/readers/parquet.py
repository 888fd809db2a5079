"""Parquet: a file, or a directory of files, also with columns in its folders' names (``site=3/part-0.parquet``).

The files of a directory are read in the order of their paths, numbers in a name counting as numbers (``part-2`` before
``part-10``); names that begin with a dot or an underscore are passed over, as everywhere.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from groundschool.data.readers._batches import BATCH_ROWS, Converter, believable, kinds_of, sound
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "parquet"
MAGIC = b"PAR1"
SUFFIXES = (".parquet", ".parq", ".pq")
BUFFER = 1 << 20  # bytes of a column chunk read at a time: a row group is never held whole
ABSURD = 2_000  # rows a byte: no log packs so densely
MANY = 1_000_000
FOLDERS = 1_000  # looked into, to see whether a directory holds Parquet files
BLANK = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class _File:
    """A file of the log: its columns of its own, its rows, and the values in its folders' names."""

    path: Path
    schema: pa.Schema
    rows: int
    believed: bool
    folders: Mapping[str, str | None]


def recognise(path: Path) -> bool:
    """Return whether a path is a Parquet file, or a directory of them that no other format claims."""
    try:
        if path.is_dir():
            claimed = (path / "schema.json").exists() or _is_minari(path)
            return not claimed and next(_files(path, FOLDERS), None) is not None
        with path.open("rb") as handle:
            return handle.read(4) == MAGIC or path.suffix.lower() in SUFFIXES
    except (OSError, ValueError):
        return False


def open(path: Path) -> Source:
    """Return the rows of a Parquet file or directory; batches are decoded in the background, in bounded memory.

    Raises
    ------
    InputError
        If a file is damaged, or two files of a directory do not have the same columns.
    """
    paths = sorted(_files(path), key=lambda one: _natural(one.relative_to(path))) if path.is_dir() else [path]
    if not paths:
        raise InputError(f"{path}: no Parquet file is in it. Expected names that end in .parquet.")
    files = [_open(one, path) for one in paths]
    kinds, as_floats = _agreed(files)
    folders = _folder_columns(files, kinds)

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        return _ahead(_rows(str(path), files, folders, as_floats, names))

    return Source(
        name=str(path),
        format=NAME,
        kinds=kinds | {name: "integer" if values.dtype.kind == "i" else "text" for name, values in folders.items()},
        batches=batches,
        n_rows=sum(file.rows for file in files) if all(file.believed for file in files) else None,
    )


def _files(path: Path, most: int | None = None) -> Iterator[Path]:
    """Yield the Parquet files below a directory, looking into `most` folders."""
    for folder, subfolders, names in itertools.islice(os.walk(path), most):
        subfolders[:] = [name for name in subfolders if name[0] not in "._"]
        for name in names:
            if name[0] not in "._" and name.lower().endswith(SUFFIXES):
                yield Path(folder, name)


def _is_minari(path: Path) -> bool:
    candidates = [folder / "metadata.json" for folder in (path, path / "data")]
    return any(file.is_file() and b"minari" in file.read_bytes()[: 1 << 20] for file in candidates)


def _natural(path: Path) -> list[list[tuple[int, str]]]:
    return [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", part)]
        for part in path.parts
    ]


def _open(path: Path, root: Path) -> _File:
    folders: dict[str, str | None] = {}
    for part in path.relative_to(root).parts[:-1]:
        key, equals, value = part.partition("=")
        if equals and key:
            folders[unquote(key)] = None if value == BLANK else unquote(value)
    with sound(str(path)), pq.ParquetFile(path) as file:
        rows, schema, size = file.metadata.num_rows, file.schema_arrow, path.stat().st_size
        if rows < 0 or (rows > MANY and rows > ABSURD * size):
            raise InputError(
                f"{path}: promises {rows:,} rows in {size:,} bytes, denser than any log: damaged, or made to mislead."
            )
        return _File(path, schema, rows, believable(rows, path), folders)


def _agreed(files: Sequence[_File]) -> tuple[dict[str, str], frozenset[str]]:
    """Return the kinds that all files share, and the integer columns of some that are floats in others."""
    first = files[0]
    kinds = kinds_of(first.schema, str(first.path))
    unknown = {field.name for field in first.schema if pa.types.is_null(field.type)}
    as_floats: set[str] = set()
    for file in files[1:]:
        theirs = kinds_of(file.schema, str(file.path))
        for name in kinds.keys() ^ theirs.keys():
            has, lacks = (first, file) if name in kinds else (file, first)
            raise InputError(
                f"{lacks.path}: has no column {name!r}, but {has.path} has. Expected the same columns in every file."
            )
        for name, kind in theirs.items():
            if pa.types.is_null(file.schema.field(name).type) or kind == kinds[name]:
                continue
            if name in unknown:
                kinds[name] = kind
                unknown.discard(name)
            elif {kind, kinds[name]} == {"integer", "number"}:
                kinds[name] = "number"
                as_floats.add(name)
            else:
                raise InputError(
                    f"{file.path}: column {name!r} holds {file.schema.field(name).type}, but in {first.path} it holds "
                    f"{first.schema.field(name).type}. Expected one type in every file."
                )
    return kinds, frozenset(as_floats)


def _folder_columns(files: Sequence[_File], kinds: Mapping[str, str]) -> dict[str, Array]:
    """Return the columns that folders name: one value a file, integers where all are."""
    columns: dict[str, Array] = {}
    for name in files[0].folders:
        if name in kinds:
            raise InputError(f"{files[0].path}: {name!r} is a column of the file and the name of a folder. Rename one.")
        values = [file.folders.get(name) for file in files]
        whole = all(value is not None and re.fullmatch(r"-?\d{1,18}", value) for value in values)
        columns[name] = np.array([int(str(value)) for value in values]) if whole else np.array(values, dtype=object)
    for file in files:
        if file.folders.keys() != columns.keys():
            raise InputError(
                f"{file.path}: its folders name {_listed(file.folders)}, but those of {files[0].path} name "
                f"{_listed(columns)}. Expected the same for every file."
            )
    return columns


def _rows(
    source: str,
    files: Sequence[_File],
    folders: Mapping[str, Array],
    as_floats: frozenset[str],
    names: Sequence[str],
) -> Iterator[Batch]:
    first_row = 0
    stored = [name for name in names if name not in folders]
    for index, file in enumerate(files):
        convert = Converter(source, file.schema, stored, as_floats=as_floats, first_row=first_row)
        with sound(str(file.path)), pq.ParquetFile(file.path, buffer_size=BUFFER, pre_buffer=False) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, columns=stored):
                if batch.num_rows == 0:
                    continue
                batch.validate()
                columns = dict(convert(batch))
                columns |= {
                    name: np.full(batch.num_rows, values[index], values.dtype) for name, values in folders.items()
                }
                yield {name: columns[name] for name in names}
        if convert.row != first_row + file.rows:
            raise InputError(
                f"{file.path}: promises {file.rows:,} rows and holds {convert.row - first_row:,}; it may be damaged."
            )
        first_row = convert.row


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches, reading the next one in the background."""
    with ThreadPoolExecutor(1, "parquet") as worker:
        upcoming: Any = worker.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = worker.submit(next, batches, None)
            yield batch


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
