"""D4RL files, and any HDF5 file of arrays with one row a step (https://github.com/Farama-Foundation/D4RL).

Fields are ``observations``, ``actions``, ``rewards`` and ``terminals``, perhaps ``timeouts``, ``next_observations`` and
``infos/...``. Without ``timeouts`` the file does not say where episodes were cut; nothing is guessed, so rows after the
last terminal ask for ``last_row``. Every other array of as many rows is a column that a map can name.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from groundschool.data.readers import _hdf5, _ours
from groundschool.data.readers._batches import believable
from groundschool.data.readers._names import columns_by_name, is_known
from groundschool.data.readers._rows import Field, batches_of, lengths_agree
from groundschool.data.readers._stored import check_stored
from groundschool.data.source import Source
from groundschool.errors import InputError

NAME = "d4rl"
_IGNORED = ("metadata/", f"{_ours.GROUP}/")


def recognise(path: Path) -> bool:
    """Return whether `path` is an HDF5 file that no other format claims."""
    return path.is_file() and _hdf5.is_hdf5(path) and _hdf5.layout(path) == NAME


def open(path: Path) -> Source:
    """Return the rows of a D4RL file."""
    return rows_of(path, NAME)


def rows_of(path: Path, format: str) -> Source:
    """Return the rows of an HDF5 file of arrays with one row a step."""
    with _hdf5.opened(path) as file:
        datasets, links = _hdf5.tree(file, path)
        arrays = {name: one for name, one in datasets.items() if one.shape and not name.startswith("metadata/")}
        n_rows = _count(path, arrays)
        fields: dict[str, Field] = {}
        aside: list[str] = [f"{name} (a link)" for name in links]
        for name, dataset in arrays.items():
            field = _hdf5.field_of(dataset, path, name) if dataset.shape[0] == n_rows else None
            if field is not None and field.kind != "other":
                check_stored(dataset.id, path, name)
                fields[name] = field
            elif not name.startswith(_ours.GROUP):
                aside.append(f"{name} {dataset.shape}")
        aside += [name for name, one in datasets.items() if not one.shape and not name.startswith(_IGNORED)]
        ours = _ours.read_hdf5(file, path)
    columns = columns_by_name(list(fields))
    notes: list[str] = []
    declared: dict[str, Any] = {}
    if ours is not None:
        fields |= ours.episode_fields(n_rows)
        columns, declared = ours.columns, dict(ours.declared)
        notes += ours.notes
    elif columns.truncated is None and columns.terminated is not None:
        notes.append("It has no timeouts, so it does not say where an episode was cut off rather than ended.")
    if ours is None and any(name.startswith("metadata/") for name in datasets):
        notes.append("Its metadata/... is about how it was collected, and is ignored.")
    if aside:
        shown = ", ".join(aside[:8]) + (f" and {len(aside) - 8:,} more" if len(aside) > 8 else "")
        notes.append(f"Left aside, not one number or list a row: {shown}.")
    return Source(
        name=str(path),
        format=format,
        kinds={name: field.kind for name, field in fields.items()},
        batches=batches_of(fields, n_rows, partial(_hdf5.opened, path)),
        n_rows=n_rows if believable(n_rows, path) else None,
        columns=columns,
        notes=tuple(notes),
        declared=declared,
    )


def _count(path: Path, arrays: dict[str, Any]) -> int:
    """Return how many rows the fields have that are known by name; without any, all arrays must agree."""
    known = {name: one.shape[0] for name, one in arrays.items() if is_known(name)}
    if not arrays:
        raise InputError(f"{path}: holds no arrays. Expected observations, actions, rewards and terminals.")
    if not known and len({one.shape[0] for one in arrays.values()}) > 1:
        shown = ", ".join(f"{name} {one.shape}" for name, one in list(arrays.items())[:8])
        raise InputError(
            f"{path}: holds no field of a log by name (observations, actions, rewards, terminals), and its arrays have "
            f"different lengths: {shown}. Expected one row a step in each."
        )
    return lengths_agree(path, known or {name: one.shape[0] for name, one in arrays.items()})
