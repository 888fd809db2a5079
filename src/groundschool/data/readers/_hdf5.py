"""HDF5 files that nobody vouches for: opened, listed and sliced without following links or trusting shapes."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundschool.data.readers._names import keeps_width
from groundschool.data.readers._rows import Field, kind_of, row_bytes, tidy
from groundschool.data.validation import Array
from groundschool.errors import InputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".hdf5", ".h5", ".hdf")
FOREIGN = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError, AttributeError)

MAX_OBJECTS = 1_000_000
MAX_DEPTH = 16
MAX_CHUNK_BYTES = 2**30
_HEAP = b"GCOL"
# Compression of constants: beyond this a shape is not backed by the file.
MAX_EXPANSION = 100_000


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5 by its first bytes, or, when it is not, by its name."""
    try:
        with path.open("rb") as file:
            head = file.read(len(SIGNATURE))
    except OSError:
        return False
    return head == SIGNATURE or path.suffix.lower() in SUFFIXES


def import_h5py(path: Path) -> Any:
    """Return h5py, or raise InputError with the line that installs it."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading HDF5 needs h5py. Install it: pip install 'groundschool[hdf5]'") from None
    return h5py


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for reading; whatever h5py raises about it becomes an InputError."""
    h5py = import_h5py(path)
    try:
        with h5py.File(path, "r", rdcc_nbytes=2**24) as file:
            yield file
    except InputError:
        raise
    except FOREIGN as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: BaseException) -> InputError:
    """Return the error for a file that cannot be read."""
    why = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        f"{path}: cannot be read as HDF5 ({why}). It is damaged, incomplete or something else: fetch or write it again."
    )


def layout(path: Path) -> str:
    """Return which layout an HDF5 file has: ``d3rlpy``, ``dsrl``, ``d4rl`` (any other), or empty for another's part.

    Without h5py, or for a damaged file, it is ``d4rl``: opening that says what is wrong.
    """
    try:
        with opened(path) as file:
            names = set(file)
    except InputError:
        return "d4rl"
    if {"columns", "num_episodes"} <= names or names & {"episode_terminals", "discrete_action"}:
        return "d3rlpy"
    if "costs" in names:
        return "dsrl"
    minari = path.with_name("metadata.json").is_file() and not names & {"observations", "actions", "rewards"}
    return "" if minari else "d4rl"


def tree(file: Any, path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return every dataset below `file` by its path, and the names of links, which are not followed."""
    import h5py

    found: dict[str, Any] = {}
    links: list[str] = []
    seen: set[int] = set()
    stack: list[tuple[str, Any, int]] = [("", file, 0)]
    while stack:
        prefix, group, depth = stack.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        if depth > MAX_DEPTH or len(found) > MAX_OBJECTS:
            raise InputError(f"{path}: is nested or divided too far for a log. Expected arrays of rows.")
        inner = []
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                links.append(f"{prefix}{name}")
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset):
                found[f"{prefix}{name}"] = item
            elif isinstance(item, h5py.Group):
                inner.append((f"{prefix}{name}/", item, depth + 1))
        stack += reversed(inner)
    return found, links


def check_stored(dataset: Any, path: Path, name: str) -> None:
    """Raise InputError unless the rows that a dataset declares are really stored in this file."""
    if dataset.is_virtual or dataset.external:
        raise InputError(
            f"{path}: {name!r} refers to other files, which are not followed. Write it as a dataset of its own."
        )
    size = dataset.size * dataset.dtype.itemsize
    if dataset.chunks is None:
        stored = dataset.id.get_storage_size() >= size and size <= path.stat().st_size
    else:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk > MAX_CHUNK_BYTES:
            raise InputError(f"{path}: {name!r} is stored in chunks of {chunk:,} bytes. Write it in smaller ones.")
        needed = math.prod(-(-rows // per) for rows, per in zip(dataset.shape, dataset.chunks, strict=True))
        expands = size > MAX_EXPANSION * path.stat().st_size
        stored = not expands and dataset.id.get_num_chunks() >= needed
    if not stored:
        raise InputError(
            f"{path}: {name!r} declares shape {dataset.shape}, but not all of it is stored in the file. It is damaged "
            "or was not written to its end."
        )


def check_heaps(path: Path) -> None:
    """Raise InputError where texts of any length are stored such that HDF5's own library would never end reading them.

    Such texts stand in global heaps (HDF5 file format specification 3.0, III.E), lists of objects with their sizes. At
    free space of size 0 in one, as damage leaves it, the library goes round in a loop that nothing can stop.
    """
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size = data[14] if data[8] < 2 else data[10]  # of a length, in bytes
        if size not in (2, 4, 8):
            raise damaged(path, ValueError("its header holds no size of lengths"))
        head = _aligned(8 + size)
        at = data.find(_HEAP)
        while at >= 0:
            end = min(at + int.from_bytes(data[at + 8 : at + 8 + size], "little"), len(data))
            object_at = at + head
            while data[at + 4] == 1 and object_at + head <= end:
                length = int.from_bytes(data[object_at + 8 : object_at + 8 + size], "little")
                index = int.from_bytes(data[object_at : object_at + 2], "little")
                step = head + _aligned(length) if index else length
                if not 0 < step <= end - object_at:
                    raise damaged(path, ValueError("texts in it are damaged"))
                object_at += step
            at = data.find(_HEAP, at + 4)


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def field_of(dataset: Any, path: Path, name: str) -> Field:
    """Return a dataset (N, ...) as a column; its kind is ``other`` where it holds neither numbers nor text."""
    import h5py

    dtype, shape, where = dataset.dtype, dataset.shape, dataset.name
    if dtype.kind == "O":
        check_heaps(path)
    if (h5py.check_string_dtype(dtype) is not None) and len(shape) == 1:

        def text(file: Any, first: int, end: int) -> Array:
            return tidy(name, file[where].asstr()[first:end], "text", end - first)

        return Field("text", 64, text)
    kind = kind_of(dtype, shape, keep_width=keeps_width(name, dtype.kind))

    def rows(file: Any, first: int, end: int) -> Array:
        return tidy(name, file[where][first:end], kind, end - first)

    return Field(kind, row_bytes(dtype, shape), rows)


def dataset_at(file: Any, name: str, path: Path) -> Any:
    """Return the dataset called `name`, whose rows are really in this file; links are not followed."""
    import h5py

    parts = name.split("/")
    for i in range(len(parts)):
        here = "/".join(parts[: i + 1])
        if not isinstance(file.get(here, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: has no {name!r} of its own. It is damaged or was not written to its end.")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: {name!r} is a group. Expected an array.")
    check_stored(dataset, path, name)
    return dataset


def scalar(file: Any, name: str, path: Path) -> Any:
    """Return the one value of a dataset without a shape, text decoded."""
    dataset = dataset_at(file, name, path)
    if dataset.shape != ():
        raise InputError(f"{path}: {name!r} has shape {dataset.shape}, expected a single value.")
    if dataset.dtype.kind == "O":
        check_heaps(path)
    value = dataset[()]
    return value.decode("utf-8") if isinstance(value, bytes) else value
