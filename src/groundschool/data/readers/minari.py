"""Minari datasets (https://minari.farama.org, up to 0.5): a directory with ``data/metadata.json``, read without minari.

Of an episode of T steps Minari keeps T + 1 observations and infos. The observation after the last step is kept, as the
final one. ``infos/KEY`` of a row is what came back after its action; what came with the observation before it is
``infos_before/KEY``, as action masks do. Parts of Dict and Tuple observations are columns ``observations/KEY``, all of
them features unless a map names some. A cost is one only where a map says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.readers import _hdf5, _minari_spaces, _ours
from groundschool.data.readers._minari_files import MAIN, STEPS, ArrowFiles, Files, Hdf5Files
from groundschool.data.readers._minari_spaces import Space
from groundschool.data.readers._rows import joined
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

NAME = "minari"
METADATA = "metadata.json"
NEWEST = (0, 5)
MARKS = "groundschool.hdf5"
EPISODE = "episode"
NUMERIC = ("integer", "number", "flag", "list")


def recognise(path: Path) -> bool:
    """Return whether `path` is a Minari dataset, its ``data`` directory, or the HDF5 file in it."""
    try:
        return _folder(path) is not None
    except (OSError, ValueError):
        return False


def open(path: Path) -> Source:
    """Return the steps of a Minari dataset.

    Raises
    ------
    InputError
        If it is damaged or not complete, or written by a newer Minari.
    """
    folder = _folder(path)
    if folder is None:
        raise InputError(f"{path}: is no Minari dataset: it has no data/{METADATA}.")
    try:
        return _source(path, folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _folder(path: Path) -> Path | None:
    for folder in (path, path / "data", path.parent) if path.name in (MAIN, METADATA) else (path, path / "data"):
        metadata = folder / METADATA
        if metadata.is_file() and b'"data_format"' in metadata.read_bytes()[: 1 << 24]:
            return folder
    return None


def _source(path: Path, folder: Path) -> Source:
    metadata = _metadata(folder)
    spaces = {name: _space(folder, metadata, f"{name[:-1]}_space") for name in ("observations", "actions")}
    leaves = {name: leaf for root, space in spaces.items() if space for name, leaf in space.leaves(root)}
    files = _files(folder, metadata, leaves)
    for name in STEPS:
        if not any(one == name or one.startswith(f"{name}/") for one in files.leaves):
            raise InputError(f"{folder}: its episodes have no {name!r}. It is damaged or was not written to its end.")
    ours = None
    if (folder / MARKS).is_file():
        with _hdf5.opened(folder / MARKS) as marks:
            ours = _ours.read_hdf5(marks, folder / MARKS)
    reader = _Reader(folder, files, int(metadata["total_episodes"]), leaves, ours)
    columns, notes = _columns(reader)
    declared: dict[str, Any] = {}
    action = leaves.get("actions")
    if action is not None and action.kind == "Discrete":
        declared["n_actions"] = action.n
    if ours is not None:
        columns, notes, declared = ours.columns, list(ours.notes), dict(ours.declared)
    return Source(
        name=str(path),
        format=NAME,
        kinds=reader.kinds,
        batches=reader.batches,
        columns=columns,
        notes=tuple(notes),
        declared=declared,
    )


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        total, version = metadata["total_episodes"], str(metadata.get("minari_version", "0.4.0"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder / METADATA}: is damaged ({error!r}). Fetch or write the dataset again.") from None
    release = re.match(r"(\d+)\.(\d+)", version)
    if release is None or (int(release[1]), int(release[2])) > NEWEST:
        raise InputError(
            f"{folder}: was written by Minari {version}; datasets of Minari up to {NEWEST[0]}.{NEWEST[1]} are read. "
            "Upgrade groundschool, or write it again with an older Minari."
        )
    if not isinstance(total, int) or isinstance(total, bool) or total < 1:
        raise InputError(f"{folder / METADATA}: total_episodes is {total!r}. Expected at least one episode.")
    return dict(metadata)


def _space(folder: Path, metadata: Mapping[str, Any], name: str) -> Space | None:
    try:
        return _minari_spaces.parse(metadata.get(name))
    except ValueError as error:
        raise InputError(f"{folder / METADATA}: {name} is {error}.") from None


def _files(folder: Path, metadata: Mapping[str, Any], spaces: Mapping[str, Space]) -> Files:
    total, form = metadata["total_episodes"], metadata.get("data_format", "hdf5")
    if form == "hdf5":
        return Hdf5Files(folder, total, spaces)
    if form in ("arrow", "parquet"):
        return ArrowFiles(folder, total, spaces, form)
    raise InputError(f"{folder / METADATA}: data_format is {form!r}. Expected hdf5, arrow or parquet.")


@dataclass(frozen=True)
class _Reader:
    """Turns windows of episodes into rows."""

    folder: Path
    files: Files
    n_episodes: int
    spaces: Mapping[str, Space]
    ours: _ours.Ours | None

    @property
    def kinds(self) -> dict[str, str]:
        """Every column, by kind."""
        found = {EPISODE: "integer"}
        for name, leaf in self.files.leaves.items():
            found[name] = leaf.kind
            root, _, key = name.partition("/")
            if leaf.extra and root == "infos":
                found[f"infos_before/{key}"] = leaf.kind
            elif root == "observations":
                found[f"next_{name}"] = leaf.kind
        if self.ours is not None:
            found |= {f"{_ours.EPISODES}/{label}": self.ours.kind(label) for label in self.ours.labels}
        return found

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Return the rows, as `Source.batches` does."""
        return joined(self._pieces(names))

    def _pieces(self, names: Sequence[str]) -> Iterator[Batch]:
        stored = {name: _stored(name) for name in names}
        wanted = [leaf for leaf in dict.fromkeys(stored.values()) if leaf in self.files.leaves]
        labels = {} if self.ours is None else self.ours.episodes
        if self.ours is not None and len(self.ours.lengths) != self.n_episodes:
            raise self._changed()
        with self.files.opened() as file:
            for episode in range(self.n_episodes):
                steps = 0
                for window in self.files.windows(
                    file, episode, [*wanted, *([] if "rewards" in wanted else ["rewards"])]
                ):
                    n = len(window["rewards"])
                    steps += n
                    piece: dict[str, Array] = {}
                    for name, leaf in stored.items():
                        if name == EPISODE:
                            piece[name] = np.full(n, episode, np.int64)
                        elif name in labels:
                            piece[name] = np.repeat(labels[name][episode : episode + 1], n)
                        else:
                            rows = window[leaf]
                            after = name.startswith(("next_", "infos/"))
                            piece[name] = self._counted(leaf, rows[-n:] if after else rows[:n])
                    if self.ours is not None and "next_observations" in piece:
                        self._mark_unknown(piece["next_observations"], episode, steps)
                    yield piece
                if self.ours is not None and steps != self.ours.lengths[episode]:
                    raise self._changed()

    def _mark_unknown(self, following: Array, episode: int, steps: int) -> None:
        """Write in place which state followed an episode, -1 where unknown: Minari has the last one again there."""
        assert self.ours is not None
        if self.ours.final_ids is not None and steps == self.ours.lengths[episode]:
            following[-1] = self.ours.final_ids[episode]

    def _counted(self, name: str, rows: Array) -> Array:
        """Return values of Discrete spaces counted from 0."""
        space = self.spaces.get(name)
        return rows - space.start if space is not None and space.start else rows

    def _changed(self) -> InputError:
        return InputError(
            f"{self.folder}: its episodes are not those that groundschool wrote. Delete {MARKS} there to read it as "
            "any other Minari dataset."
        )


def _stored(name: str) -> str:
    """Return the leaf that a column is read from."""
    return name.removeprefix("next_") if name.startswith("next_") else name.replace("infos_before/", "infos/", 1)


def _columns(reader: _Reader) -> tuple[Columns, list[str]]:
    """Return what Minari's format says, and what it leaves to say."""
    kinds, spaces, notes = reader.kinds, reader.spaces, []
    parts = [name for name in spaces if name.startswith("observations")] or sorted(
        name for name in kinds if name.split("/")[0] == "observations"
    )
    for name in parts:
        if name not in kinds:
            raise InputError(f"{reader.folder}: its episodes have no {name!r}, which its metadata describes.")
    numeric = [name for name in parts if kinds[name] in NUMERIC]
    if len(numeric) < len(parts):
        notes.append(f"Observations that are no numbers are left aside: {', '.join(sorted({*parts} - {*numeric}))}.")
    alone = len(numeric) == 1 and not _is_measured(spaces.get(numeric[0]))
    actions = [name for name in kinds if name.split("/")[0] == "actions"]
    space = spaces.get("actions")
    if len(actions) > 1 or (space is not None and space.kind in ("MultiDiscrete", "MultiBinary")):
        notes.append("An action is made of several parts: name one as the action, or a list of columns of floats.")
        actions = []
    costs = [name for name in kinds if name.startswith("infos/") and "cost" in name.lower()]
    notes += [f'{name} is read as a cost only where the map says so: costs={{"cost": "{name}"}}.' for name in costs]
    for name, one in spaces.items():
        if one.start:
            notes.append(f"{name} begin at {one.start} there, and at 0 here.")
    if reader.files.has_seeds:
        notes.append("Seeds and options of its episodes are left aside.")
    seen = numeric[0] if alone else numeric
    after = f"next_{seen}" if isinstance(seen, str) else [f"next_{name}" for name in seen]
    return Columns(
        observations=seen or None,
        action=actions[0] if actions else None,
        reward="rewards",
        episode=EPISODE,
        terminated="terminations",
        truncated="truncations",
        next_observations=after or None,
    ), notes


def _is_measured(space: Space | None) -> bool:
    """Whether an integer without a shape is a number rather than the id of a state."""
    return space is not None and space.kind == "Box" and space.integers and space.shape == ()
