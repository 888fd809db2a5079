"""d3rlpy's dataset files, version 2.1, in HDF5: what ``ReplayBuffer.load`` reads.

d3rlpy takes the observation after an action from the next row. Where the final observation of a truncated episode is
known it is therefore written as one more row, with action 0 and reward 0, as `groundschool.data.d3rlpy_format` adds it:
d3rlpy uses that row only as a next observation, and groundschool takes it off again. What d3rlpy has no field for goes
into the group ``groundschool``, which d3rlpy passes over and groundschool reads back.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.dataset import Dataset, Episode
from groundschool.data.readers import d3rlpy as reader
from groundschool.data.readers._ours import FINALS, GROUP
from groundschool.data.writers import _hdf5
from groundschool.data.writers._summary import Notes, Summary, has_finals, in_words

NAME = "d3rlpy"
SUFFIXES: tuple[str, ...] = ()
VERSION = "2.1"
FIELDS = ("observations", "actions", "rewards", "terminated")


def write(parts: Iterable[Dataset], target: Path, *, notes: Notes | None = None) -> tuple[str, ...]:
    """Write the parts of a log to the file `target`; return what d3rlpy cannot hold, a sentence each."""
    h5py = _hdf5.import_h5py(target)
    summary = Summary()
    columns: dict[str, Any] = {}
    taken_as_counted = False
    with h5py.File(target, "w") as file:
        for part in parts:
            if summary.first is None and not part.is_discrete:
                first = part.actions[: part.starts[1]]
                taken_as_counted = bool((first == np.floor(first)).all())
            known = has_finals(part)
            for i, episode in enumerate(part.episodes()):
                _write_episode(file, summary.n_episodes + i, episode, followed=bool(known[i]))
            summary.add(part)
            columns = _append(file, part)
        columns |= _hdf5.label_columns(summary)
        file.create_dataset("columns", data=np.array(FIELDS, dtype=np.bytes_))
        file.create_dataset("num_episodes", data=summary.n_episodes)
        file.create_dataset("version", data=np.bytes_(VERSION))
        _hdf5.write_marks(file, summary.marks(Columns(**columns), notes))
    return _losses(summary, taken_as_counted)


def replaceable(path: Path) -> bool:
    """Return whether `path` is a dataset that d3rlpy dumped, of version 1 or 2."""
    return reader.recognise(path) and (
        _hdf5.has(path, "columns", "num_episodes", "observations_0")
        or _hdf5.has(path, "observations", "actions", "rewards", "terminals")
    )


def _write_episode(file: Any, i: int, episode: Episode, *, followed: bool) -> None:
    observations = episode.observations
    actions = episode.actions if episode.actions.ndim > 1 else episode.actions[:, None]
    rewards = episode.rewards[:, None]
    if followed and not episode.terminated:
        observations = np.concatenate([observations, np.asarray(episode.final_observation)[None]])
        actions = np.concatenate([actions, np.zeros_like(actions[:1])])
        rewards = np.concatenate([rewards, np.zeros_like(rewards[:1])])
    file.create_dataset(f"observations_{i}", data=observations if observations.ndim > 1 else observations[:, None])
    file.create_dataset(f"actions_{i}", data=actions)
    file.create_dataset(f"rewards_{i}", data=rewards)
    file.create_dataset(f"terminated_{i}", data=episode.terminated)


def _append(file: Any, part: Dataset) -> dict[str, Any]:
    """Write what d3rlpy has no field for, and return which column is what."""
    columns: dict[str, Any] = {
        "observations": "observations",
        "action": "actions",
        "reward": "rewards",
        "terminated": "terminals",
        "truncated": f"{GROUP}/truncated",
        "costs": {name: f"{GROUP}/cost_{i}" for i, name in enumerate(part.costs)},
    }
    if part.final_observations is not None:
        columns["next_observations"] = "next_observations"
    _hdf5.append(file, columns["truncated"], part.truncated)
    for name, where in columns["costs"].items():
        _hdf5.append(file, where, part.costs[name])
    _hdf5.append_extras(file, part, columns)
    _hdf5.append_episodes(file, part, finals=FINALS)
    return columns


def _losses(summary: Summary, taken_as_counted: bool) -> tuple[str, ...]:
    log = summary.log
    apart = [what for what in summary.kept_apart() if what != "the number of actions"]
    if log.final_observations is not None:
        apart.insert(0, "final observations of terminated episodes")
    if log.costs:
        apart.insert(0, "costs")
    losses = [
        f"d3rlpy has no field for {in_words(apart)}: in the group {GROUP!r}, which groundschool reads back and d3rlpy "
        "passes over."
    ]
    if summary.n_followed:
        losses.append(
            f"Truncated episodes ({summary.n_followed:,}) have one more row, which holds their final observation: "
            "d3rlpy uses it as a next observation only, other tools would take it for a step."
        )
    if summary.n_lost:
        losses.append(
            f"d3rlpy does not learn from the last step of truncated episodes without a final observation "
            f"({summary.n_lost:,}), and leaves those of one step out ({summary.n_short:,})."
        )
    if summary.n_both:
        losses.append(
            f"Episodes that are both terminated and truncated ({summary.n_both:,}) are terminated for d3rlpy."
        )
    if log.is_discrete and summary.largest_action + 1 < summary.n_actions:
        losses.append(
            f"d3rlpy counts {summary.largest_action + 1} actions, by the largest one logged; there are "
            f"{summary.n_actions}."
        )
    if taken_as_counted:
        losses.append("d3rlpy takes the actions for discrete ones: those of the first episode are whole numbers.")
    return tuple(losses)
