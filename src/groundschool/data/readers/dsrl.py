"""DSRL files (https://github.com/liuzuxin/DSRL): the fields of D4RL and ``costs``."""

from __future__ import annotations

from pathlib import Path

from groundschool.data.readers import _hdf5
from groundschool.data.readers.d4rl import rows_of
from groundschool.data.source import Source

NAME = "dsrl"


def recognise(path: Path) -> bool:
    """Return whether `path` is an HDF5 file with ``costs``."""
    return path.is_file() and _hdf5.is_hdf5(path) and _hdf5.layout(path) == NAME


def open(path: Path) -> Source:
    """Return the rows of a DSRL file."""
    return rows_of(path, NAME)
