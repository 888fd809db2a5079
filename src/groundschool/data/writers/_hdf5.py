"""HDF5 files written part by part: arrays that grow, and what groundschool keeps in a group of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.dataset import Dataset
from groundschool.data.readers import _hdf5 as reader
from groundschool.data.readers._ours import EPISODES, GROUP
from groundschool.data.validation import Array
from groundschool.data.writers._summary import Summary, following
from groundschool.errors import InputError

CHUNK_BYTES = 2**19


def import_h5py(target: Path) -> Any:
    """Return h5py, or raise InputError with the line that installs it."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"{target}: writing HDF5 needs h5py. Install it: pip install 'groundschool[hdf5]'") from None
    return h5py


def has(path: Path, *names: str) -> bool:
    """Return whether `path` is an HDF5 file with something of each name at its root."""
    import_h5py(path)
    try:
        with reader.opened(path) as file:
            return set(names) <= set(file)
    except InputError:
        return False


def append(file: Any, name: str, values: Array) -> None:
    """Write rows (n, ...) to the end of the array `name`."""
    if name not in file:
        row = max(1, values.dtype.itemsize * int(np.prod(values.shape[1:])))
        rows = max(1, min(CHUNK_BYTES // row, 65_536))
        file.create_dataset(
            name,
            data=values,
            maxshape=(None, *values.shape[1:]),
            chunks=(rows, *values.shape[1:]),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        return
    dataset = file[name]
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def append_episodes(file: Any, part: Dataset, *, finals: str = "") -> None:
    """Write what a part has once an episode into groundschool's group; `finals`, where to put final observations."""
    append(file, f"{EPISODES}/length", part.lengths)
    labels = {"episode_id": part.episode_ids, "group": part.groups, "time": part.times}
    for label, values in labels.items():
        if values is None:
            continue
        if values.dtype.kind == "U":  # as the bytes of JSON: HDF5 ends a text of its own at a NUL
            lines = "".join(f"{json.dumps(text)}\n" for text in values.tolist())
            append(file, f"{EPISODES}/{label}", np.frombuffer(lines.encode(), np.uint8))
        else:
            append(file, f"{EPISODES}/{label}", values.astype(np.int64) if values.dtype.kind == "M" else values)
    if finals and part.final_observations is not None:
        append(file, finals, part.final_observations)


def append_extras(file: Any, part: Dataset, columns: dict[str, Any]) -> None:
    """Write propensities and masks into groundschool's group, and note in `columns` where they are."""
    if part.propensities is not None:
        columns["propensity"] = f"{GROUP}/propensities"
        append(file, columns["propensity"], part.propensities)
    if part.action_masks is not None:
        columns["action_mask"] = f"{GROUP}/action_masks"
        append(file, columns["action_mask"], part.action_masks)
        if part.final_action_masks is not None:
            columns["next_action_mask"] = f"{GROUP}/next_action_masks"
            append(
                file, columns["next_action_mask"], following(part.action_masks, part.starts, part.final_action_masks)
            )


def label_columns(summary: Summary) -> dict[str, str]:
    """Return the entries of the column map for the labels of episodes."""
    roles = {"episode_id": "episode", "group": "group", "time": "time"}
    return {roles[label]: f"{EPISODES}/{label}" for label in summary.labels()}


def write_marks(file: Any, marks: dict[str, Any]) -> None:
    """Write groundschool's marks."""
    append(file, f"{GROUP}/marks", np.frombuffer(json.dumps(marks).encode(), np.uint8))
