"""HDF5 files that nobody vouches for: opened, listed and sliced without following links or trusting shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.readers import _heap
from groundschool.data.readers._names import keeps_width
from groundschool.data.readers._rows import Field, kind_of, row_bytes, tidy
from groundschool.data.readers._stored import Stored, check_stored
from groundschool.data.validation import Array
from groundschool.errors import InputError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".hdf5", ".h5", ".hdf")
FOREIGN = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError)

MAX_OBJECTS = 1_000_000
MAX_DEPTH = 16


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


def tree(file: Any, path: Path) -> tuple[dict[str, Stored], list[str]]:
    """Return every dataset below `file` by its path, and the names of links, which are not followed."""
    import h5py

    found: dict[str, Stored] = {}
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
                found[f"{prefix}{name}"] = Stored(item.id)
            elif isinstance(item, h5py.Group):
                inner.append((f"{prefix}{name}/", item, depth + 1))
        stack += reversed(inner)
    return found, links


def field_of(dataset: Stored, path: Path, name: str) -> Field:
    """Return the dataset `name` (N, ...) as a column; its kind is ``other`` where it is neither numbers nor text."""
    import h5py

    def again(file: Any) -> Stored:
        return Stored(h5py.h5d.open(file.id, name.encode()))

    dtype, shape = dataset.dtype, dataset.shape
    if h5py.check_string_dtype(dtype) is not None and len(shape) == 1:
        kind = "text" if dtype.kind == "S" or _heap.is_readable(dataset.id) else "other"
        return Field(kind, 64, lambda file, a, b: tidy(name, texts(again(file), path, a, b), "text", b - a))
    kind = kind_of(dtype, shape, keep_width=keeps_width(name, dtype.kind))
    return Field(kind, row_bytes(dtype, shape), lambda file, a, b: tidy(name, again(file).rows(a, b), kind, b - a))


def group_at(file: Any, name: str, path: Path) -> Any:
    """Return the id of the group called `name`; links are not followed."""
    from h5py import h5g

    _require_own(file.id, name, path, name)
    return h5g.open(file.id, name.encode())


def dataset_at(group: Any, name: str, path: Path, shown: str | None = None) -> Stored:
    """Return the dataset called `name` (in messages `shown`) of an open file or of the id of a group.

    Raises
    ------
    InputError
        If it is not there, not stored whole, or a link.
    """
    from h5py import Group, h5d

    own = group.id if isinstance(group, Group) else group
    _require_own(own, name, path, shown or name)
    dataset = h5d.open(own, name.encode())
    check_stored(dataset, path, shown or name)
    return Stored(dataset)


def _require_own(group: Any, name: str, path: Path, shown: str) -> None:
    """Raise InputError unless `name` stands in the group (its id) itself, and no link is on the way."""
    from h5py import h5l

    encoded = name.encode()
    for i in [*(i for i, byte in enumerate(encoded) if byte == ord("/")), len(encoded)]:
        try:
            link = group.links.get_info(encoded[:i]).type
        except (KeyError, RuntimeError):
            link = None
        if link != h5l.TYPE_HARD:
            raise InputError(f"{path}: has no {shown!r} of its own. It is damaged or was not written to its end.")


def texts(dataset: Stored, path: Path, first: int, end: int) -> Array:
    """Return rows of text, (n,) object."""
    stored = (
        _heap.values(dataset.id, path, first, end) if dataset.dtype.kind == "O" else dataset.rows(first, end).tolist()
    )
    return np.array([text.decode("utf-8") for text in stored], dtype=np.object_)


def scalar(file: Any, name: str, path: Path) -> Any:
    """Return the one value of a dataset without a shape, text decoded."""
    dataset = dataset_at(file, name, path)
    if dataset.shape != ():
        raise InputError(f"{path}: {name!r} has shape {dataset.shape}, expected a single value.")
    if dataset.dtype.kind != "O":
        value = dataset.value()
    elif _heap.is_readable(dataset.id):
        value = _heap.values(dataset.id, path)[0]
    else:
        raise InputError(f"{path}: {name!r} holds {dataset.dtype}, which is not read. Expected a number or a text.")
    return value.decode("utf-8") if isinstance(value, bytes) else value
