"""What groundschool's own writers leave in files of other formats, so that a log comes back whole.

HDF5 files hold a group ``groundschool``: ``marks``, the bytes of JSON; ``episodes/...``, arrays with one entry an
episode (``length``, ``episode_id``, ``group``, ``time``, ``final_observation``), texts as bytes of JSON, one a line;
and arrays with one entry a row. A Minari dataset has a file of its own for them. Other tools pass over all of it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.features import Feature
from groundschool.data.readers import _hdf5
from groundschool.data.readers._rows import Field, lengths_agree, spread, starts_of
from groundschool.data.validation import Array
from groundschool.errors import InputError

GROUP = "groundschool"
EPISODES = f"{GROUP}/episodes"
FINALS = f"{EPISODES}/final_observation"
FINAL_IDS = f"{EPISODES}/final_id"
VERSION = 1
LABELS = ("episode_id", "group", "time")
_DECLARED = {"horizon": int, "n_actions": int, "return_range": tuple, "action_labels": tuple, "features": tuple}


@dataclass(frozen=True)
class Ours:
    """The marks of a file.

    Attributes
    ----------
    columns : Columns
    declared : mapping
        As `Source.declared`.
    notes : tuple of str
    labels : mapping from label to "text", "int64", "float64" or "datetime64[us]"
    episodes : mapping from column name to (E,)
        The labels, under the names that `columns` gives them.
    lengths : (E,) int64
        Rows of each episode.
    final_ids : (E,) int64 or None
        The state ids after the last actions, -1 where unknown, where the format has no way to say unknown.
    """

    columns: Columns
    declared: Mapping[str, Any]
    notes: tuple[str, ...]
    labels: Mapping[str, str]
    episodes: Mapping[str, Array] = field(default_factory=dict)
    lengths: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    final_ids: Array | None = None

    def kind(self, label: str) -> str:
        """Return the kind of the column that a label becomes."""
        return _KINDS[self.labels[label]]

    def episode_fields(self, n_rows: int) -> dict[str, Field]:
        """Return the labels as columns of rows."""
        starts = starts_of(self.lengths)
        if starts[-1] != n_rows:
            raise InputError(f"{GROUP}: the episodes have {starts[-1]:,} rows, the file has {n_rows:,}. It is damaged.")
        fields = {}
        for label in self.labels:
            name = f"{EPISODES}/{label}"
            fields[name] = Field(self.kind(label), 8, spread(self.episodes[name], starts))
        return fields


_KINDS = {"text": "text", "int64": "integer", "float64": "number", "datetime64[us]": "time"}


def read_marks(values: object, where: object) -> Ours:
    """Return marks from their JSON; InputError if they are damaged or of a newer version."""
    try:
        return _checked(values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: what groundschool marked in it is damaged ({error}). Write it again.") from None


def read_hdf5(file: Any, path: Path) -> Ours | None:
    """Return the marks of an open HDF5 file, with its labels, or None where it is not of our making."""
    name = f"{GROUP}/marks"
    if name not in file:
        return None
    try:
        values = json.loads(_bytes(file, name, path))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: {name!r} is not JSON ({error}). Write the file again.") from None
    ours = read_marks(values, path)
    lengths = _hdf5.dataset_at(file, f"{EPISODES}/length", path).rows().astype(np.int64)
    if lengths.ndim != 1 or len(lengths) == 0 or (lengths < 1).any():
        raise InputError(f"{path}: {EPISODES}/length holds no lengths of episodes. It is damaged.")
    episodes = {}
    for label, kind in ours.labels.items():
        where = f"{EPISODES}/{label}"
        if kind == "text":
            episodes[where] = _texts(_bytes(file, where, path), path)
        else:
            stored = _hdf5.dataset_at(file, where, path).rows()
            episodes[where] = stored.astype(np.int64 if kind == "datetime64[us]" else kind).astype(kind)
    final_ids = _hdf5.dataset_at(file, FINAL_IDS, path).rows().astype(np.int64) if FINAL_IDS in file else None
    arrays = episodes | ({} if final_ids is None else {FINAL_IDS: final_ids})
    lengths_agree(path, {f"{EPISODES}/length": len(lengths)} | {name: len(one) for name, one in arrays.items()})
    return dataclasses.replace(ours, episodes=episodes, lengths=lengths, final_ids=final_ids)


def _bytes(file: Any, name: str, path: Path) -> bytes:
    """Return text that is stored as bytes: HDF5's own texts are not safe to read from a damaged file."""
    stored = _hdf5.dataset_at(file, name, path).rows()
    if stored.dtype != np.uint8:
        raise InputError(f"{path}: {name!r} holds {stored.dtype}, expected bytes. It is damaged.")
    return stored.tobytes()


def _texts(stored: bytes, path: Path) -> Array:
    """Return texts from JSON, one a line."""
    texts = [json.loads(line) for line in stored.splitlines()]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{path}: a label of an episode is not text. It is damaged.")
    return np.array(texts, dtype=np.object_)


def row_arrays(file: Any) -> list[str]:
    """Return the names of the arrays over all rows that groundschool added to an HDF5 file."""
    apart = ("marks", "episodes")
    return [f"{GROUP}/{name}" for name in file[GROUP] if name not in apart]


def _checked(values: Any) -> Ours:
    version = values["version"]
    if version != VERSION:
        raise InputError(f"was written by a newer groundschool (version {version!r}). Upgrade groundschool to read it.")
    labels = dict(values["labels"])
    for label, kind in labels.items():
        if label not in LABELS or kind not in _KINDS:
            raise InputError(f"marks an unknown label {label!r} of kind {kind!r}. It is damaged.")
    declared: dict[str, Any] = {}
    for name, value in values["declared"].items():
        if value is None or name not in _DECLARED:
            declared[name] = None
        elif name == "features":
            declared[name] = tuple(Feature(**one) for one in value)
        else:
            declared[name] = _DECLARED[name](value)
    notes = tuple(str(note) for note in values["notes"])
    return Ours(Columns.from_mapping(values["columns"]), declared, notes, labels)
