"""The arrays of an HDF5 file, and whether the rows that they declare are stored: others read as zeros, or crash."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.readers._heap import REFERENCE
from groundschool.data.validation import Array
from groundschool.errors import InputError

MAX_CHUNK_BYTES = 2**30
MIN_PACKED = 5  # bytes: HDF5's checksum alone is 4, and the library trusts that it is there
MAX_EXPANSION = 100_000  # of constants, compressed: beyond this a shape is not backed by the file


class Stored:
    """An array, through h5py's lower level: files of many episodes hold many thousands of them.

    Attributes
    ----------
    id : h5py.h5d.DatasetID
    shape : tuple of int
    dtype : dtype
    """

    __slots__ = ("dtype", "id", "shape")

    def __init__(self, own: Any) -> None:
        self.id = own
        self.shape: tuple[int, ...] = own.shape
        self.dtype: np.dtype[Any] = own.dtype

    def rows(self, first: int = 0, end: int | None = None) -> Array:
        """Return some rows; InputError for entries that are no numbers, which HDF5 may never end reading."""
        from h5py import h5s

        if self.dtype.kind == "O":
            raise InputError(f"holds {self.dtype} where numbers are expected. It is damaged or something else.")
        end = self.shape[0] if end is None else min(end, self.shape[0])
        out = np.empty((end - first, *self.shape[1:]), self.dtype)
        if out.size == 0:
            return out
        if len(out) == self.shape[0]:
            self.id.read(h5s.ALL, h5s.ALL, out)
            return out
        space = self.id.get_space()
        space.select_hyperslab((first, *(0 for _ in self.shape[1:])), out.shape)
        self.id.read(h5s.create_simple(out.shape), space, out)
        return out

    def value(self) -> Any:
        """Return the one entry of an array without a shape."""
        from h5py import h5s

        out = np.empty((), self.dtype)
        self.id.read(h5s.ALL, h5s.ALL, out)
        return out[()]


def check_stored(own: Any, path: Path, name: str) -> None:
    """Raise InputError unless the rows that a dataset (its id) declares are really stored in this file."""
    from h5py import h5d

    there = os.stat(path).st_size
    made = own.get_create_plist()
    layout = made.get_layout()
    if layout == h5d.VIRTUAL or (layout == h5d.CONTIGUOUS and made.get_external_count()):
        raise InputError(
            f"{path}: {name!r} refers to other files, which are not followed. Write it as a dataset of its own."
        )
    item = _item_size(own)
    size = item * math.prod(own.shape)
    if layout == h5d.CHUNKED:
        stored = size <= MAX_EXPANSION * there and _chunks_stored(own, made, item, there, f"{path}: {name!r}")
    else:
        stored = size <= min(own.get_storage_size(), there)
    if not stored:
        raise InputError(
            f"{path}: {name!r} declares shape {own.shape}, but not all of it is stored in the file. It is damaged or "
            "was not written to its end."
        )


def _item_size(dataset: Any) -> int:
    """Return the bytes that one entry takes in the file, without what it refers to."""
    from h5py import h5t

    kind = dataset.get_type()
    varies = kind.get_class() == h5t.VLEN or (kind.get_class() == h5t.STRING and kind.is_variable_str())
    size: int = REFERENCE.itemsize if varies else kind.get_size()
    return size


def _chunks_stored(dataset: Any, made: Any, item: int, there: int, name: str) -> bool:
    """Return whether every chunk of a dataset is there, within the file and of a size that it can have."""
    shape, per = dataset.shape, made.get_chunk()
    size = math.prod(per) * item
    if size > MAX_CHUNK_BYTES:
        raise InputError(f"{name} is stored in chunks of {size:,} bytes. Write it in smaller ones.")
    packed = made.get_nfilters() > 0
    found: set[tuple[int, ...]] = set()

    def look(chunk: Any) -> None:
        sound = MIN_PACKED <= chunk.size <= 2 * size + 1024 if packed else chunk.size == size
        if sound and chunk.byte_offset > 0 and chunk.byte_offset + chunk.size <= there:
            found.add(chunk.chunk_offset)

    dataset.chunk_iter(look)
    places = [range(0, rows, along) for rows, along in zip(shape, per, strict=True)]
    return len(found) == math.prod(len(along) for along in places) and all(
        start in along for starts in found for start, along in zip(starts, places, strict=True)
    )
