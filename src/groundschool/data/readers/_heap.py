"""Texts and bytes of any length in HDF5 files, read without HDF5's own library: a damaged file sends that into a loop.

Such a value is stored as its length and its place, 4 + 8 + 4 bytes, in the dataset, and its bytes in a *global heap*: a
list of numbered objects with their sizes (HDF5 file format specification, version 3.0, III.E).
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.validation import Array
from groundschool.errors import InputError

REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])
OBJECT = np.dtype([("object", "<u2"), ("count", "<u2"), ("reserved", "<u4"), ("size", "<u8")])
HEAD = 16  # of a heap: signature, version, reserved, size


def is_readable(dataset: Any) -> bool:
    """Return whether values of any length in a dataset (its id) can be read here: not if they are compressed."""
    from h5py import h5t

    kind = dataset.get_type()
    text = kind.get_class() == h5t.STRING and kind.is_variable_str()
    varies = text or (kind.get_class() == h5t.VLEN and kind.get_super().get_size() == 1)
    return varies and dataset.get_create_plist().get_nfilters() == 0 and len(dataset.shape) <= 1


def values(dataset: Any, path: Path, first: int = 0, end: int | None = None) -> list[bytes]:
    """Return the values of some rows of a dataset (its id) that `is_readable`, or its only one.

    Raises
    ------
    InputError
        If a value is not where its reference says.
    """
    count = dataset.shape[0] if dataset.shape else 1
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        heaps: dict[int, dict[int, tuple[int, int]]] = {}
        found = []
        for length, heap, number in _references(dataset, data, path, first, count if end is None else end).tolist():
            if length == 0:
                found.append(b"")
                continue
            if heap not in heaps:
                heaps[heap] = _objects(data, heap, path)
            at, size = heaps[heap].get(number, (0, 0))
            if length > size:
                raise _damaged(path)
            found.append(data[at : at + length])
    return found


def _references(dataset: Any, data: mmap.mmap, path: Path, first: int, end: int) -> Array:
    """Return the references in some rows."""
    from h5py import h5d

    made = dataset.get_create_plist()
    if made.get_layout() != h5d.CHUNKED:
        offset = dataset.get_offset()
        if offset is None:
            raise _damaged(path)
        return _table(data, offset + first * REFERENCE.itemsize, end - first, path)
    (per,) = made.get_chunk()
    places: dict[int, int] = {}
    dataset.chunk_iter(lambda chunk: places.__setitem__(chunk.chunk_offset[0] // per, chunk.byte_offset))
    pieces = []
    for chunk in range(first // per, math.ceil(end / per)):
        if chunk not in places:
            raise _damaged(path)
        rows = slice(max(first - chunk * per, 0), min(end - chunk * per, per))
        pieces.append(_table(data, places[chunk], per, path)[rows])
    return np.concatenate(pieces)


def _table(data: mmap.mmap, offset: int, count: int, path: Path) -> Array:
    size = count * REFERENCE.itemsize
    if offset < 0 or offset + size > len(data):
        raise _damaged(path)
    return np.frombuffer(data[offset : offset + size], REFERENCE)


def _objects(data: mmap.mmap, heap: int, path: Path) -> dict[int, tuple[int, int]]:
    """Return where each object of a heap begins and how long it is."""
    if data[heap : heap + 5] != b"GCOL\x01":
        raise _damaged(path)
    end = heap + int.from_bytes(data[heap + 8 : heap + HEAD], "little")
    if end > len(data):
        raise _damaged(path)
    found: dict[int, tuple[int, int]] = {}
    at = heap + HEAD
    while at + OBJECT.itemsize <= end:
        number, _, _, size = np.frombuffer(data[at : at + OBJECT.itemsize], OBJECT)[0].tolist()
        if number == 0:  # what is left is free
            break
        begin = at + OBJECT.itemsize
        at = begin + -(-size // 8) * 8
        if at > end:
            raise _damaged(path)
        found[number] = begin, size
    return found


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: texts in it are not where it says. It is damaged: fetch or write it again.")
