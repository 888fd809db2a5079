"""Reading a log: from a path or a frame, in any known format."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from groundschool.data import storage
from groundschool.data.assemble import assemble
from groundschool.data.columns import Columns
from groundschool.data.dataset import Dataset
from groundschool.data.gather import gather
from groundschool.data.raw import RawLog
from groundschool.data.readers import open_frame, open_path
from groundschool.data.source import Source
from groundschool.data.vouch import vouch
from groundschool.errors import InputError

ColumnMap: TypeAlias = Columns | Mapping[str, Any] | str | PathLike[str] | None


def read(data: Any, format: str = "auto", columns: ColumnMap = None) -> Dataset:
    """Read a log from a path or from a frame in memory.

    Parameters
    ----------
    data : path, or a pyarrow, pandas or polars frame, or a mapping from column name to array
        A directory written by `Dataset.save`; tables (Parquet, CSV, Arrow and Feather); Minari, D4RL, DSRL, d3rlpy and
        ``.npz`` files.
    format : str
        The format's name where the path does not show it.
    columns : Columns, a mapping with its entries, or path of a TOML file, optional
        Which column means what: needed for tables; goes over what the other formats say themselves.

    Raises
    ------
    InputError
        If the log cannot be read, or is not sound: naming the file, the column, and the first row. Nothing about it is
        guessed: what is not said is asked for, with the option that answers it.
    """
    if is_saved(data, format):
        without_map(data, columns)
        return storage.load(data)
    return vouch(read_raw(data, format, columns))


def read_raw(
    data: Any,
    format: str = "auto",
    columns: ColumnMap = None,
    *,
    ask: bool = True,
) -> RawLog:
    """Read the rows of a log with whatever faults they have, as `read`; with `ask` off, ends may be left unsaid."""
    if is_saved(data, format):
        without_map(data, columns)
        return RawLog.of(storage.load(data))
    source = open_source(data, format)
    return gather(assemble(source, as_columns(columns), ask=ask), source.n_rows)


def open_source(data: Any, format: str = "auto") -> Source:
    """Return the rows of a path or a frame as named columns, not mapped yet."""
    if isinstance(data, str | PathLike):
        return open_path(Path(data), format)
    if format != "auto":
        raise InputError(f"format={format!r} is for paths; a {type(data).__name__} in memory needs none.")
    return open_frame(data)


def as_columns(columns: ColumnMap) -> Columns | None:
    """Return a column map from itself, from plain values, or from its TOML file."""
    if isinstance(columns, Mapping):
        return Columns.from_mapping(columns)
    return columns if columns is None or isinstance(columns, Columns) else Columns.load(columns)


def is_saved(data: Any, format: str = "auto") -> bool:
    """Return whether `data` is the path of a directory written by `Dataset.save`."""
    ours = format in ("auto", storage.NAME)
    return ours and isinstance(data, str | PathLike) and (Path(data) / storage.SCHEMA).is_file()


def without_map(data: Any, columns: object) -> None:
    """Raise InputError if a column map is given for a log that needs none."""
    if columns is not None:
        raise InputError(f"{data}: is a log that groundschool wrote and knows its columns. Leave the column map out.")
