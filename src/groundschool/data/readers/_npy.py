"""The arrays within a ``.npz`` file, read as streams of rows; nothing is allocated on the word of a header."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from groundschool.data.validation import Array
from groundschool.errors import InputError

FOREIGN = (
    OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError, SyntaxError, OverflowError,
    MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_BLOCK = 2**24


@dataclass(frozen=True)
class Stored:
    """One array of the file, by its header."""

    name: str
    member: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


@dataclass
class Arrays:
    """An open file, whose arrays are read front to back; several readers of one array each have their own place."""

    archive: zipfile.ZipFile
    stored: dict[str, Stored]
    places: dict[tuple[str, str], _Place] = field(default_factory=dict)

    def rows(self, name: str, first: int, end: int, reader: str = "") -> Array:
        """Return the rows ``first:end`` of an array; the next call of the same reader must not go back."""
        key = (name, reader)
        if key not in self.places:
            self.places[key] = _Place(self.archive, self.stored[name])
        return self.places[key].rows(first, end)

    def whole(self, name: str) -> Array:
        """Return a whole array, such as a declaration."""
        return _Place(self.archive, self.stored[name]).everything()


def headers(archive: zipfile.ZipFile, path: Path) -> dict[str, Stored]:
    """Return every array of the file by name, its shape compared with what is stored.

    Raises
    ------
    InputError
        For pickled arrays, members that are no arrays, names that come twice, and shapes larger than what is stored.
    """
    found: dict[str, Stored] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in found:
            raise InputError(f"{path}: holds two arrays {name!r}. Write it again with one of each name.")
        with archive.open(info) as stream:
            shape, fortran, dtype = _header(stream)
            at = stream.tell()
        if dtype.hasobject:
            raise InputError(
                f"{path}: array {name!r} is pickled (its dtype is object), and reading it would run whatever code is "
                "in it. Save it as numbers or as text: numpy.savez(..., name=array.astype(float))."
            )
        if at + dtype.itemsize * math.prod(shape) != info.file_size:
            raise InputError(
                f"{path}: array {name!r} declares shape {shape}, which is not what is stored. It is damaged."
            )
        found[name] = Stored(name, info.filename, dtype, shape, fortran)
    return found


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers of Python 2, which say nothing else
        shape, fortran, dtype = read(stream)
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype


class _Place:
    """Where one reader of an array is."""

    def __init__(self, archive: zipfile.ZipFile, stored: Stored) -> None:
        self.stored, self.at = stored, 0
        self.stream = archive.open(stored.member)
        _header(self.stream)
        self.loaded: Array | None = None

    def rows(self, first: int, end: int) -> Array:
        if self.stored.fortran and len(self.stored.shape) > 1:
            if self.loaded is None:
                self.loaded = self.everything()
            return self.loaded[first:end]
        size = self.stored.row_bytes
        skip = (first - self.at) * size
        while skip > 0:
            skip -= len(self._bytes(min(skip, _BLOCK)))
        self.at = end
        flat = np.frombuffer(self._bytes((end - first) * size), self.stored.dtype)
        return flat.reshape(end - first, *self.stored.shape[1:])

    def everything(self) -> Array:
        size = self.stored.dtype.itemsize * math.prod(self.stored.shape)
        held = bytearray()
        while len(held) < size:  # in blocks, so that memory grows with what is there
            held += self._bytes(min(size - len(held), _BLOCK))
        flat = np.frombuffer(held, self.stored.dtype)
        return flat.reshape(self.stored.shape, order="F" if self.stored.fortran else "C")

    def _bytes(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) != count:
            raise EOFError(f"array {self.stored.name!r} ends early")
        return found
