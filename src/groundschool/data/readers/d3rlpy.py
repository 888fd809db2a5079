"""d3rlpy's dataset files, read without d3rlpy: v1 (flat arrays) and v2.1 (arrays of each episode).

v1 holds ``observations``, ``actions``, ``rewards``, ``terminals`` and ``episode_terminals``, which ends every episode;
one that is no terminal was cut off. v2.1 holds ``observations_0``, ``observations_1`` ... of each episode, and a flag
``terminated_<i>``; an episode without it was cut off. d3rlpy keeps no final observation, and some tools therefore add
one as a further row at the end of episodes that were cut off, which no file says: it is read as a row like any other.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.readers import _d3rlpy_episodes, _hdf5
from groundschool.data.readers._batches import believable
from groundschool.data.readers._rows import Field, batches_of, kind_of, lengths_agree, tidy
from groundschool.data.readers._stored import Stored, check_stored
from groundschool.data.source import Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "d3rlpy"
_FIELDS = ("observations", "actions", "rewards", "terminals", "episode_terminals")


def recognise(path: Path) -> bool:
    """Return whether `path` is an HDF5 file that d3rlpy dumped."""
    return path.is_file() and _hdf5.is_hdf5(path) and _hdf5.layout(path) == NAME


def open(path: Path) -> Source:
    """Return the rows of a d3rlpy dataset file."""
    with _hdf5.opened(path) as file:
        version = str(_hdf5.scalar(file, "version", path)) if "version" in file else "1"
        if version.split(".")[0] == "1":
            return _version_1(file, path)
        if version != "2.1":
            raise InputError(
                f"{path}: d3rlpy's dataset version {version!r} is not read; versions 1 and 2.1 are. Load it with the "
                "d3rlpy that wrote it and dump it again with d3rlpy 2.8."
            )
        return _d3rlpy_episodes.source(file, path, NAME)


def _version_1(file: Any, path: Path) -> Source:
    datasets, _ = _hdf5.tree(file, path)
    for name in _FIELDS[:4]:
        if name not in datasets:
            raise InputError(f"{path}: has no {name!r}. Expected a d3rlpy v1 file: {', '.join(_FIELDS)}.")
    arrays = {name: datasets[name] for name in _FIELDS if name in datasets}
    n_rows = lengths_agree(path, {name: one.shape[0] if one.shape else 0 for name, one in arrays.items()})
    for name, dataset in arrays.items():
        check_stored(dataset.id, path, name)
    fields = {name: _hdf5.field_of(dataset, path, name) for name, dataset in arrays.items()}
    discrete = bool(_hdf5.scalar(file, "discrete_action", path)) if "discrete_action" in datasets else None
    if discrete:
        fields["actions"] = _narrow("actions", arrays["actions"], fields["actions"])
    if arrays["observations"].dtype.kind in "iu":
        fields["observations"] = _narrow("observations", arrays["observations"], fields["observations"])
    aside = [name for name in datasets if name not in (*_FIELDS, "discrete_action", "version")]
    notes = [f"Left aside: {', '.join(sorted(aside))}."] if aside else []
    truncated = None
    if "episode_terminals" in fields:
        truncated = "timeouts"
        fields[truncated] = Field("flag", 2, partial(_cut_off, fields["episode_terminals"], fields["terminals"]))
    else:
        notes.append("It has no episode_terminals, so it does not say where an episode was cut off rather than ended.")
    return Source(
        name=str(path),
        format=NAME,
        kinds={name: field.kind for name, field in fields.items()},
        batches=batches_of(fields, n_rows, partial(_hdf5.opened, path)),
        n_rows=n_rows if believable(n_rows, path) else None,
        columns=Columns(
            observations="observations",
            action="actions",
            reward="rewards",
            terminated="terminals",
            truncated=truncated,
            action_kind=None if discrete is None else "discrete" if discrete else "continuous",
        ),
        notes=tuple(notes),
    )


def _narrow(name: str, dataset: Stored, field: Field) -> Field:
    """Return discrete actions and state ids as one number a row."""
    kind = kind_of(dataset.dtype, dataset.shape)

    def rows(file: Any, first: int, end: int) -> Array:
        return tidy(name, _hdf5.dataset_at(file, name, Path(file.filename)).rows(first, end), kind, end - first)

    return Field(kind, field.row_bytes, rows)


def _cut_off(ends: Field, terminals: Field, file: Any, first: int, end: int) -> Array:
    return np.asarray((ends.read(file, first, end) != 0) & (terminals.read(file, first, end) == 0))
