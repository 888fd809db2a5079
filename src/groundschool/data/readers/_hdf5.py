"""HDF5 files that nobody vouches for: opened, listed and sliced without following links or trusting shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.readers import _heap
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
MIN_PACKED = 5  # bytes: HDF5's checksum alone is 4, and the library trusts that it is there
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
    size, there = dataset.size * _heap.item_size(dataset), path.stat().st_size
    if dataset.chunks is None:
        stored = dataset.id.get_storage_size() >= size and size <= there
    else:
        stored = size <= MAX_EXPANSION * there and _chunks_stored(dataset, path, name, there)
    if not stored:
        raise InputError(
            f"{path}: {name!r} declares shape {dataset.shape}, but not all of it is stored in the file. It is damaged "
            "or was not written to its end."
        )


def field_of(dataset: Any, path: Path, name: str) -> Field:
    """Return a dataset (N, ...) as a column; its kind is ``other`` where it holds neither numbers nor text."""
    import h5py

    dtype, shape, where = dataset.dtype, dataset.shape, dataset.name
    if h5py.check_string_dtype(dtype) is not None and len(shape) == 1:
        if dtype.kind == "O" and not _heap.is_readable(dataset):
            return Field("other", 64, lambda file, first, end: np.zeros(0))

        def text(file: Any, first: int, end: int) -> Array:
            return tidy(name, texts(file[where], path, first, end), "text", end - first)

        return Field("text", 64, text)
    kind = kind_of(dtype, shape, keep_width=keeps_width(name, dtype.kind))

    def rows(file: Any, first: int, end: int) -> Array:
        return tidy(name, file[where][first:end], kind, end - first)

    return Field(kind, row_bytes(dtype, shape), rows)


def _chunks_stored(dataset: Any, path: Path, name: str, there: int) -> bool:
    """Return whether every chunk of a dataset is there, within the file and of a size that it can have."""
    size = math.prod(dataset.chunks) * _heap.item_size(dataset)
    if size > MAX_CHUNK_BYTES:
        raise InputError(f"{path}: {name!r} is stored in chunks of {size:,} bytes. Write it in smaller ones.")
    packed = dataset.id.get_create_plist().get_nfilters() > 0
    found: set[tuple[int, ...]] = set()

    def look(chunk: Any) -> None:
        sound = MIN_PACKED <= chunk.size <= 2 * size + 1024 if packed else chunk.size == size
        if sound and chunk.byte_offset > 0 and chunk.byte_offset + chunk.size <= there:
            found.add(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    places = [range(0, rows, per) for rows, per in zip(dataset.shape, dataset.chunks, strict=True)]
    return len(found) == math.prod(len(along) for along in places) and all(
        start in along for starts in found for start, along in zip(starts, places, strict=True)
    )


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


def texts(dataset: Any, path: Path, first: int, end: int) -> Array:
    """Return rows of text, (n,) object."""
    stored = _heap.values(dataset, path, first, end) if dataset.dtype.kind == "O" else dataset[first:end].tolist()
    return np.array([text.decode("utf-8") for text in stored], dtype=np.object_)


def scalar(file: Any, name: str, path: Path) -> Any:
    """Return the one value of a dataset without a shape, text decoded."""
    dataset = dataset_at(file, name, path)
    if dataset.shape != ():
        raise InputError(f"{path}: {name!r} has shape {dataset.shape}, expected a single value.")
    if dataset.dtype.kind != "O":
        value = dataset[()]
    elif _heap.is_readable(dataset):
        value = _heap.values(dataset, path)[0]
    else:
        raise InputError(f"{path}: {name!r} holds {dataset.dtype}, which is not read. Expected a number or a text.")
    return value.decode("utf-8") if isinstance(value, bytes) else value
