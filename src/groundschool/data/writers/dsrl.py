"""DSRL files (https://github.com/liuzuxin/DSRL): the fields of D4RL and ``costs``, in HDF5.

Numbers keep their type. What DSRL has no field for goes into the group ``groundschool``, which other tools pass over
and groundschool reads back.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groundschool.data.columns import Columns
from groundschool.data.dataset import Dataset
from groundschool.data.readers import d4rl
from groundschool.data.readers import dsrl as reader
from groundschool.data.readers._ours import GROUP
from groundschool.data.writers import _hdf5
from groundschool.data.writers._summary import Notes, Summary, following, in_words

NAME = "dsrl"
SUFFIXES: tuple[str, ...] = ()


def write(parts: Iterable[Dataset], target: Path, *, notes: Notes | None = None) -> tuple[str, ...]:
    """Write the parts of a log to the file `target`; return what DSRL cannot hold, a sentence each."""
    h5py = _hdf5.import_h5py(target)
    summary = Summary()
    columns: dict[str, Any] = {}
    with h5py.File(target, "w") as file:
        for part in parts:
            summary.add(part)
            columns = _append(file, part)
        columns |= _hdf5.label_columns(summary)
        _hdf5.write_marks(file, summary.marks(Columns(**columns), notes))
    return _losses(summary)


def replaceable(path: Path) -> bool:
    """Return whether `path` is a DSRL file, or one of D4RL, which is what a log without costs becomes."""
    recognised = reader.recognise(path) or d4rl.recognise(path)
    return recognised and _hdf5.has(path, "observations", "actions", "rewards", "terminals")


def _append(file: Any, part: Dataset) -> dict[str, Any]:
    """Write a part, and return which column is what."""
    columns: dict[str, Any] = {}
    fields = {
        "observations": ("observations", part.observations),
        "action": ("actions", part.actions),
        "reward": ("rewards", part.rewards),
        "terminated": ("terminals", part.terminated),
        "truncated": ("timeouts", part.truncated),
    }
    for role, (name, values) in fields.items():
        columns[role] = name
        _hdf5.append(file, name, values)
    if part.final_observations is not None:
        columns["next_observations"] = "next_observations"
        after = following(part.observations, part.starts, part.final_observations)
        _hdf5.append(file, "next_observations", after)
    columns["costs"] = {name: f"{GROUP}/cost_{i}" if i else "costs" for i, name in enumerate(part.costs)}
    for name, where in columns["costs"].items():
        _hdf5.append(file, where, part.costs[name])
    _hdf5.append_extras(file, part, columns)
    _hdf5.append_episodes(file, part)
    return columns


def _losses(summary: Summary) -> tuple[str, ...]:
    log = summary.log
    losses = []
    if not log.costs:
        losses.append("The log has no cost, so the file has no costs: a D4RL file.")
    elif len(log.costs) > 1:
        first, *others = log.costs
        losses.append(
            f"DSRL has one cost: costs is {first!r}; {in_words([repr(name) for name in others])} can be found in the "
            f"group {GROUP!r} only."
        )
    if log.observations.ndim == 1:
        losses.append("DSRL's observations are vectors; here they are state ids, whole numbers.")
    losses.append(
        f"DSRL has no field for {in_words(summary.kept_apart())}: in the group {GROUP!r}, which groundschool reads "
        "back and other tools pass over."
    )
    return tuple(losses)
