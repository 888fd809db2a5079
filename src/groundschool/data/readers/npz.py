"""``.npz`` files of arrays, as ``numpy.savez`` writes them: named as in D4RL or in ``Dataset.from_arrays``.

Arrays with one entry a row are columns. ``episode_ids``, ``groups``, ``times``, ``final_observations`` and
``final_action_masks`` may have one entry an episode, as in ``Dataset.from_arrays``; ``n_actions``, ``horizon``,
``return_range``, ``features`` and ``action_labels`` are declarations. A cost is ``costs`` or ``cost_NAME``. Pickled
arrays are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.readers._batches import believable
from groundschool.data.readers._names import LABELS, ROLES, columns_by_name, is_known, keeps_width
from groundschool.data.readers._npy import FOREIGN, Arrays, Stored, headers
from groundschool.data.readers._rows import (
    Field,
    batches_of,
    kind_of,
    lengths_agree,
    rows_at_once,
    spread,
    starts_of,
    tidy,
)
from groundschool.data.source import Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "npz"
FINALS = {"final_observations": "next_observations", "final_action_masks": "next_action_masks"}
OF_ROWS = {"next_observations": "observations", "next_action_masks": "action_masks"}
DECLARED = ("n_actions", "horizon", "return_range", "features", "action_labels")


def recognise(path: Path) -> bool:
    """Return whether `path` is named ``.npz``."""
    return path.suffix.lower() == ".npz" and path.is_file()


def open(path: Path) -> Source:
    """Return the rows of the arrays in `path`."""
    with _opened(path) as file:
        stored = file.stored
        declared = {name: _declaration(path, name, file.whole(name)) for name in DECLARED if name in stored}
        apart = {*LABELS, *FINALS, *DECLARED}
        arrays = {name: one for name, one in stored.items() if one.shape and name not in apart}
        n_rows = _count(path, arrays)
        fields: dict[str, Field] = {}
        aside: list[str] = [f"{name} ()" for name, one in stored.items() if not one.shape and name not in DECLARED]
        for name, one in arrays.items():
            field = _field(one)
            if one.shape[0] == n_rows and field.kind != "other":
                fields[name] = field
            else:
                aside.append(f"{name} {one.shape}")
        lengths = _lengths(file, list(fields), n_rows)
        starts = None if lengths is None else starts_of(lengths)
        for name in (*LABELS, *FINALS):
            if name in stored:
                added = _of_episodes(path, file, name, n_rows, starts)
                if added is None or added[0] in fields:
                    aside.append(f"{name} {stored[name].shape}")
                else:
                    fields[added[0]] = added[1]
    notes = [f"Left aside, not one number or list a row: {', '.join(aside)}."] if aside else []
    return Source(
        name=str(path),
        format=NAME,
        kinds={name: field.kind for name, field in fields.items()},
        batches=batches_of(fields, n_rows, partial(_opened, path)),
        n_rows=n_rows if believable(n_rows, path) else None,
        columns=columns_by_name(list(fields)),
        notes=tuple(notes),
        declared=declared,
    )


@contextmanager
def _opened(path: Path) -> Iterator[Arrays]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield Arrays(archive, headers(archive, path))
    except InputError:
        raise
    except FOREIGN as error:
        raise InputError(
            f"{path}: cannot be read as .npz ({str(error) or type(error).__name__}). It is damaged, incomplete or "
            "something else: fetch or write it again."
        ) from error


def _count(path: Path, arrays: Mapping[str, Stored]) -> int:
    """Return how many rows the arrays have that are known by name; without any, all must agree."""
    known = {name: one.shape[0] for name, one in arrays.items() if is_known(name)}
    lengths = known or {name: one.shape[0] for name, one in arrays.items()}
    if not lengths:
        raise InputError(f"{path}: holds no arrays of rows. Expected observations, actions, rewards and end flags.")
    return lengths_agree(path, lengths)


def _field(stored: Stored) -> Field:
    name = stored.name
    if stored.dtype.kind in "US" and len(stored.shape) == 1:
        return Field("text", stored.row_bytes, lambda file, a, b: _text(file.rows(name, a, b)))
    if stored.dtype.kind == "M" and len(stored.shape) == 1:
        return Field("time", 8, lambda file, a, b: file.rows(name, a, b).astype("datetime64[us]"))
    kind = kind_of(stored.dtype, stored.shape, keep_width=keeps_width(name, stored.dtype.kind))
    return Field(kind, stored.row_bytes, lambda file, a, b: tidy(name, file.rows(name, a, b), kind, b - a))


def _text(values: Array) -> Array:
    return np.asarray(np.strings.decode(values, "utf-8") if values.dtype.kind == "S" else values).astype(object)


def _lengths(file: Arrays, names: list[str], n_rows: int) -> Array | None:
    """Return the rows of each episode as the flags say, those after the last end being another; None without flags."""
    flags = [next((one for one in ROLES[role] if one in names), None) for role in ("terminated", "truncated")]
    there = [name for name in flags if name is not None]
    if not there:
        return None
    ends = []
    step = rows_at_once(sum(file.stored[name].row_bytes for name in there))
    for first in range(0, n_rows, step):
        end = min(first + step, n_rows)
        read = [file.rows(name, first, end, "lengths").reshape(end - first, -1) for name in there]
        ends.append(first + 1 + np.flatnonzero(np.concatenate(read, axis=1).any(axis=1)))
    cuts = np.unique(np.concatenate([*ends, np.full(1, n_rows)])).astype(np.int64)
    return np.asarray(np.diff(cuts, prepend=0))


def _of_episodes(path: Path, file: Arrays, name: str, n_rows: int, starts: Array | None) -> tuple[str, Field] | None:
    """Return the column of rows that an array with one entry an episode becomes, and its name."""
    stored = file.stored[name]
    count = stored.shape[0] if stored.shape else 0
    field = _field(stored)
    if field.kind == "other":
        return None
    if name in LABELS and count == n_rows:
        return name, field
    if starts is None:
        return None
    n_episodes = len(starts) - 1
    if count != n_episodes:
        raise InputError(
            f"{path}: {name!r} has {count:,} entries for {n_episodes:,} episodes of {n_rows:,} rows (by the end flags)"
            ". Expected one for each."
        )
    if name in LABELS:
        return name, Field(field.kind, field.row_bytes, spread(field.read(file, 0, count), starts))
    following = FINALS[name]
    rows = OF_ROWS[following]
    if rows not in file.stored or file.stored[rows].shape[1:] != stored.shape[1:]:
        return None
    own = _field(file.stored[rows])
    return following, Field(own.kind, own.row_bytes, _shifted(rows, own.kind, field, starts))


def _shifted(name: str, kind: str, finals: Field, starts: Array) -> Any:
    """Return a reader of what follows each row: the next row, and the final entry after the last of an episode."""

    def rows(file: Arrays, first: int, end: int) -> Array:
        n_rows = int(starts[-1])
        there = tidy(
            name, file.rows(name, first + 1, min(end + 1, n_rows), "following"), kind, min(end + 1, n_rows) - first - 1
        )
        begin, stop = np.searchsorted(starts, [first + 1, end + 1])
        last = starts[begin:stop] - 1 - first
        own = finals.read(file, int(begin) - 1, int(stop) - 1)
        shape = (end - first, *there.shape[1:])
        following = np.zeros(shape, np.result_type(there, own) if len(own) else there.dtype)
        following[: len(there)] = there
        following[last] = own
        return following

    return rows


def _declaration(path: Path, name: str, value: Array) -> Any:
    if name in ("features", "action_labels") and value.dtype.kind == "U" and value.ndim == 1:
        return tuple(value.tolist())
    if name == "return_range" and value.shape == (2,) and value.dtype.kind in "iuf":
        return tuple(float(bound) for bound in value)
    if name in ("n_actions", "horizon") and value.size == 1 and value.dtype.kind in "iu":
        return int(value.reshape(()))
    raise InputError(
        f"{path}: {name!r} is {value.dtype} {value.shape}, which does not declare it. See Dataset.from_arrays."
    )
