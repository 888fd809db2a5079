"""d3rlpy's v2.1 files: one dataset for each field and episode, ``rewards_17``, or ``observations_17_0`` of several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.readers import _hdf5, _heap, _ours
from groundschool.data.readers._names import keeps_width
from groundschool.data.readers._rows import (
    Field,
    joined,
    kind_of,
    lengths_agree,
    row_bytes,
    rows_at_once,
    spread,
    starts_of,
    tidy,
)
from groundschool.data.readers._stored import Stored
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

FIELDS = ("observations", "actions", "rewards", "terminated")
MAX_PARTS = 64


def source(file: Any, path: Path, format: str) -> Source:
    """Return the rows of an open v2.1 file."""
    count = _hdf5.scalar(file, "num_episodes", path)
    if not isinstance(count, int | np.integer) or count < 1:
        raise InputError(f"{path}: num_episodes is {count!r}. Expected at least one episode.")
    stored = _hdf5.dataset_at(file, "columns", path)
    if len(stored.shape) != 1 or not (stored.dtype.kind == "S" or _heap.is_readable(stored.id)):
        raise InputError(f"{path}: 'columns' holds {stored.dtype} {stored.shape}, expected names. It is damaged.")
    names = _hdf5.texts(stored, path, 0, stored.shape[0]).tolist()
    missing = [name for name in FIELDS if name not in names]
    if missing:
        raise InputError(f"{path}: has no {missing[0]!r}. Expected d3rlpy's fields: {', '.join(FIELDS)}.")
    ours = _ours.read_hdf5(file, path)
    reader = _Episodes(path, int(count))
    for name in names:
        if name != "terminated":
            reader.look(file, name, asks=ours is None)
    kinds = {name: one.kind for name, one in reader.stored.items()}
    kinds |= {"episode": "integer", "terminals": "flag", "timeouts": "flag"}
    observations = [name for name in kinds if name == "observations" or name.startswith("observations/")]
    columns = Columns(
        observations=observations[0] if len(observations) == 1 else observations,
        action="actions",
        reward="rewards",
        episode="episode",
        terminated="terminals",
        truncated="timeouts",
    )
    if ours is not None:
        reader.add_ours(file, ours)
        kinds |= {name: one.kind for name, one in reader.extras.items()}
        if reader.finals:
            kinds["next_observations"] = kinds["observations"]
        columns = ours.columns
    return Source(
        name=str(path),
        format=format,
        kinds=kinds,
        batches=reader.batches,
        columns=columns,
        notes=() if ours is None else ours.notes,
        declared={} if ours is None else ours.declared,
    )


@dataclass(frozen=True)
class _Column:
    """A column as the first episode has it."""

    kind: str
    tail: tuple[int, ...] | None  # the shape of one row; None for one value an episode
    row_bytes: int


@dataclass
class _Episodes:
    """Reads the episodes of a file in order.

    Attributes
    ----------
    path : Path
    n_episodes : int
    stored : mapping from column to how it is stored
    extras : mapping from column to Field
        Arrays over all rows that groundschool added.
    starts : (E + 1,) int64
        Offsets of those rows; empty in files of others.
    finals : bool
        Whether every episode's final observation is there.
    """

    path: Path
    n_episodes: int
    stored: dict[str, _Column] = field(default_factory=dict)
    extras: dict[str, Field] = field(default_factory=dict)
    starts: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    finals: bool = False

    def look(self, file: Any, name: str, *, asks: bool) -> None:
        """Note how the column `name` is stored, by the first episode; `asks`, whether actions may be ambiguous."""
        several = [f"{name}/{j}" for j in range(MAX_PARTS) if f"{name}_0_{j}" in file]
        parts = [name] if f"{name}_0" in file else several
        for part in parts:
            dataset = self._dataset(file, part, 0)
            kind = self._kind(dataset, part, asks=asks)
            if kind != "other":
                tail = dataset.shape[1:] if dataset.shape else None
                self.stored[part] = _Column(kind, tail, row_bytes(dataset.dtype, dataset.shape))
            elif name in FIELDS:
                raise InputError(f"{self.path}: {part!r} holds {dataset.dtype} {dataset.shape}. Expected numbers.")
        if not parts:
            raise InputError(f"{self.path}: has no '{name}_0'. It is damaged or was not written to its end.")

    def add_ours(self, file: Any, ours: _ours.Ours) -> None:
        """Take over what groundschool added: arrays of rows, labels of episodes, final observations."""
        self.starts = starts_of(ours.lengths)
        if len(ours.lengths) != self.n_episodes:
            raise InputError(f"{self.path}: {_ours.GROUP} knows {len(ours.lengths):,} of {self.n_episodes:,} episodes.")
        self.finals = _ours.FINALS in file
        if self.finals:
            finals = _hdf5.dataset_at(file, _ours.FINALS, self.path)
            lengths_agree(self.path, {"num_episodes": self.n_episodes, _ours.FINALS: finals.shape[0]})
        for name in _ours.row_arrays(file):
            dataset = _hdf5.dataset_at(file, name, self.path)
            lengths_agree(self.path, {"the episodes": int(self.starts[-1]), name: dataset.shape[0]})
            self.extras[name] = _hdf5.field_of(dataset, self.path, name)
        for label in ours.labels:
            name = f"{_ours.EPISODES}/{label}"
            self.extras[name] = Field(ours.kind(label), 8, spread(ours.episodes[name], self.starts))

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Return the rows, as `Source.batches` does."""
        extras = [name for name in names if name in self.extras]
        own = [name for name in names if name not in self.extras]
        at = 0
        with _hdf5.opened(self.path) as file:
            for batch in joined(self._pieces(file, own or ["episode"])):
                end = at + len(next(iter(batch.values())))
                added = {name: self.extras[name].read(file, at, end) for name in extras}
                yield {name: added[name] if name in added else batch[name] for name in names}
                at = end

    def _pieces(self, file: Any, names: Sequence[str]) -> Iterator[Batch]:
        sizes = {name: one.row_bytes for name, one in self.stored.items()} | {"next_observations": 0}
        step = rows_at_once(sum(sizes.get(name, 8) for name in names) + sizes.get("observations", 0))
        finals = self._final_observations(file) if "next_observations" in names else itertools.repeat(None)
        for episode, final in zip(range(self.n_episodes), finals, strict=False):
            ended = bool(_hdf5.scalar(file, f"terminated_{episode}", self.path))
            arrays = {name: self._dataset(file, name, episode) for name in self.stored}
            length = self._length(arrays, episode, ended)
            for first in range(0, length, step):
                span = (first, min(first + step, length), length)
                yield {name: self._column(arrays, name, episode, span, ended, final) for name in names}

    def _final_observations(self, file: Any) -> Iterator[Array]:
        """Yield the final observation of each episode, (1, ...), read in blocks."""
        finals = _hdf5.dataset_at(file, _ours.FINALS, self.path)
        step = rows_at_once(row_bytes(finals.dtype, finals.shape))
        for first in range(0, self.n_episodes, step):
            yield from finals.rows(first, first + step)[:, None]

    def _length(self, arrays: Mapping[str, Stored], episode: int, ended: bool) -> int:
        """Return the steps of an episode; of a row that groundschool added for its final observation, one less."""
        lengths = {where(n, episode): arrays[n].shape[0] for n, one in self.stored.items() if one.tail is not None}
        stored = lengths_agree(self.path, lengths)
        if len(self.starts) == 0:
            return stored
        length = int(self.starts[episode + 1] - self.starts[episode])
        if stored not in (length, length + (not ended)):
            raise InputError(
                f"{self.path}: episode {episode} has {stored:,} rows, but groundschool wrote {length:,} steps. "
                f"Something else changed it: remove its group {_ours.GROUP!r} to read it as any other d3rlpy file."
            )
        return length

    def _column(
        self,
        arrays: Mapping[str, Stored],
        name: str,
        episode: int,
        span: tuple[int, int, int],
        ended: bool,
        final: Array | None,
    ) -> Array:
        first, end, length = span
        if name == "episode":
            return np.full(end - first, episode, np.int64)
        if name in ("terminals", "timeouts"):
            flags = np.zeros(end - first, np.bool_)
            flags[-1] = end == length and ended == (name == "terminals")
            return flags
        if name == "next_observations":
            here = (first + 1, min(end + 1, length), length)
            following = self._column(arrays, "observations", episode, here, ended, None)
            return following if end < length or final is None else np.concatenate([following, final])
        one, dataset = self.stored[name], arrays[name]
        if one.tail is None:
            return tidy(where(name, episode), np.full(end - first, dataset.value()), one.kind, end - first)
        return tidy(where(name, episode), dataset.rows(first, end), one.kind, end - first)

    def _dataset(self, file: Any, name: str, episode: int) -> Any:
        place = where(name, episode)
        dataset = _hdf5.dataset_at(file, place, self.path)
        known = self.stored.get(name)
        tail = dataset.shape[1:] if dataset.shape else None
        if known is not None and tail != known.tail:
            raise InputError(f"{self.path}: {place!r} has shape {dataset.shape}, unlike {where(name, 0)!r}.")
        return dataset

    def _kind(self, dataset: Any, name: str, *, asks: bool) -> str:
        if not dataset.shape:
            return kind_of(dataset.dtype, (1,))
        wide = keeps_width(name, dataset.dtype.kind)
        if name == "observations" and dataset.dtype.kind in "iu":
            wide = False  # one column of integers: state ids
        elif asks and wide and name == "actions" and dataset.shape[1:] == (1,):
            # Where d3rlpy would call floats discrete, a person has to say it: one number a row is asked about.
            values = dataset.rows()
            wide = not bool((values == np.floor(values)).all())
        return kind_of(dataset.dtype, dataset.shape, keep_width=wide)


def where(name: str, episode: int) -> str:
    """Return the dataset that holds the column `name` of an episode."""
    stem, _, part = name.partition("/")
    return f"{stem}_{episode}_{part}" if part else f"{stem}_{episode}"
